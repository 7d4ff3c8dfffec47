//! From text to [`Document`](crate::Document)s: decoding, validation, errors with their place.
//!
//! For the Cilium kinds the rules of acceptance are those of the Cilium 1.20 agent (its `api` package and its typed
//! decoding), with Kafka and `l7proto` as 1.19 had them. Where that agent ignores what it does not
//! understand (unknown fields, unknown authentication modes, a list under `fromRequires`), a
//! document is refused instead, because what is ignored is often a restriction. For the Kubernetes
//! kinds they are those of the API server and of the schemas.

mod at;
mod block;
mod bounds;
mod cidr_group;
mod cilium;
mod document;
mod error;
mod kind;
mod kubernetes;
mod list;
mod meta;
mod selector;
mod staging;

pub use document::{Parsed, Refused, parse_documents};
pub use error::{ParseError, ParseErrorKind};

pub(crate) use at::{At, Reader};
pub(crate) use block::parse_block;
pub(crate) use cilium::KAFKA_KEYS;
pub(crate) use error::suggest;
pub(crate) use kind::api_of;
