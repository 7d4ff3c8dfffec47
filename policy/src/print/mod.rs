//! From documents back to text: JSON, in one form, such that reading it again gives the same
//! document but for its places.

mod cilium;
mod cluster;
mod document;
mod json;
mod l7;
mod network_policy;
mod ports;
mod selector;
mod text;
mod yaml;

pub(crate) use json::{Fields, Json};

use text::json_text;
