//! Laws of the policy engine, held against random worlds.
//!
//! Each law is a function that returns what is [`Broken`]. Tests run them over a few worlds,
//! `porin-lab agree` over many, and the fuzz targets under `fuzz/` over worlds whose choices the
//! fuzzer spells out.

mod agreement;
mod broken;
mod config;
mod history;
mod same;
mod shrink;
mod world;

pub use agreement::disagreements;
pub use broken::Broken;
pub use history::history_leaves_no_trace;
pub use porin_worlds::Random;
pub use shrink::smallest;
pub use world::World;
