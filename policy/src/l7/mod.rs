//! L7 rules: as data, and compiled into matchers that a proxy asks request by request.

mod conditions;
mod dns;
mod error;
mod expression;
mod fqdn;
mod http;
mod judgement;
mod kafka;
mod matcher;
mod name;
mod re2;
mod request;
mod rules;

pub use conditions::{Correction, HeaderTest, HeaderValue, HttpConditions, NoSecrets, Secrets};
pub use dns::{DnsMatcher, ServerNames};
pub use error::L7Error;
pub use fqdn::FqdnMatcher;
pub use http::HttpMatcher;
pub use judgement::{HeaderCorrection, Judgement};
pub use kafka::KafkaMatcher;
pub use matcher::L7Matcher;
pub use name::NamePattern;
pub use request::{DnsQuery, HttpRequest, KafkaRequest, Request, TlsHello};
pub use rules::{
    DnsRule, HeaderMatch, HeaderRule, HttpRule, KafkaRole, KafkaRule, L7Rules, Mismatch, SecretRef,
};

pub(crate) use expression::Expression;
