//! What the benches share: a world of a known size, sets of blocks, an observed packet, and how long
//! to measure.

mod blocks;
mod observed;
mod settings;
mod world;

pub use blocks::Blocks;
pub use observed::{refused_flow, refused_syn, two_pods};
pub use settings::{is_smoke_run, settings};
pub use world::{Size, World};
