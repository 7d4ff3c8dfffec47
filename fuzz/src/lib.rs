//! Fuzz targets of the policy engine. Each is one law of [`porin_laws`], held against whatever bytes
//! spell: a text, or the choices that make a random world.
//!
//! `cargo xtask fuzz TARGET` builds a target with coverage counters and runs libFuzzer with it; the
//! tests of this package hold the same laws against seeds and changed seeds, without coverage.
//!
//! ```
//! use porin_fuzz::Target;
//! let target = Target::named("policy_print").ok_or("no such target")?;
//! target.check(b"apiVersion: cilium.io/v2\nkind: CiliumCIDRGroup\nmetadata: {name: g}\nspec: {externalCIDRs: [10.0.0.0/8]}")?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod memory;
mod seeds;
mod target;
mod words;

pub use memory::{measured, most_for};
pub use seeds::seeds;
pub use target::{Target, hold};
pub use words::words;
