//! L7 rules: as data, and compiled into matchers that a proxy asks request by request.

mod rules;

pub use rules::{
    DnsRule, HeaderMatch, HeaderRule, HttpRule, KafkaRole, KafkaRule, L7Rules, Mismatch, SecretRef,
};
