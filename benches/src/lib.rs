//! What the benches share: a world of a known size, and how long to measure.

mod settings;
mod world;

pub use settings::{is_smoke_run, settings};
pub use world::{Size, World};
