//! A bounded YAML reader: text becomes a tree in which every node knows where it stands.
//!
//! Scalars are typed as the tools around Kubernetes type them: YAML 1.1 booleans (`yes`, `off`,
//! `y` …), numbers in every notation, and text only where it is quoted or cannot be anything
//! else. JSON is YAML; whole documents of JSON take a shorter way to the same tree.

mod build;
mod json;
mod lines;
mod scalar;
mod split;
mod tree;

pub(crate) use lines::Lines;
pub(crate) use scalar::is_plain_text;
pub(crate) use split::documents;
pub(crate) use tree::{Entry, Fault, FaultKind, Node, Value};
#[cfg(test)]
pub(crate) use tree::{MAX_ALL_NODES, MAX_DEPTH, MAX_NODES, MAX_TEXT, TEXT_OF_NODE};
