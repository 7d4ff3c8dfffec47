//! The Cilium kinds: CiliumNetworkPolicy and CiliumClusterwideNetworkPolicy.

mod cidr;
mod dns;
mod http;
mod icmp;
mod kafka;
mod l7;
mod named;
mod peer;
mod port;
mod redirect;
mod rule;
mod spec;

pub(crate) use kafka::KAFKA_KEYS;
pub(super) use spec::{specs, subjects};
