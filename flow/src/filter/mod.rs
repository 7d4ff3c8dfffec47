//! Which flows somebody wants to see, with the exact meaning that Hubble gives its filters.

mod args;
mod filters;
mod pod;
mod selector;

pub use filters::{Filter, Filters, Side};
pub use pod::PodPattern;
pub use selector::parse_selector;
