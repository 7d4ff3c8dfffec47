//! L7 rules: what is accepted, what it asks, what passes.

mod http;
mod kafka;
mod kind;
mod merge;
mod names;
mod read;
mod validate;

pub(super) use kind::Kind;
pub(super) use names::policy_names;
