//! Laws of the policy engine, held against random worlds.
//!
//! Each law is a function that returns what is [`Broken`]. Tests run them over a few worlds,
//! `porin-lab agree` over many, and the fuzz targets under `fuzz/` over worlds whose choices the
//! fuzzer spells out.

mod agreement;
mod broken;
mod config;
mod content;
mod denial;
mod history;
mod http;
mod names;
mod printing;
mod reading;
mod same;
mod script;
mod shrink;
mod world;

pub use agreement::disagreements;
pub use broken::Broken;
pub use content::content_is_judged;
pub use denial::{denials_only_deny, never_wider};
pub use history::history_leaves_no_trace;
pub use porin_worlds::Random;
pub use printing::{group_reads_as_printed, reads_as_printed, text_reads_as_printed};
pub use reading::any_text_is_read;
pub use same::{alike, rule_texts};
pub use shrink::smallest;
pub use world::World;
