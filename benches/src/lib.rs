//! What the benches share: a world of a known size, an observed packet, and how long to measure.

mod observed;
mod settings;
mod world;

pub use observed::{refused_flow, refused_syn, two_pods};
pub use settings::{is_smoke_run, settings};
pub use world::{Size, World};
