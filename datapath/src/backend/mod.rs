//! From object bytes to maps and programs in the kernel.
//!
//! A loader resolves the object's relocations, makes its maps and loads its
//! programs; nothing else. Both loaders do it from the same [`LoadPlan`] and
//! answer with the same [`Loaded`], and everything afterwards goes through
//! [`sys`](crate::sys).

#[cfg(feature = "aya")]
mod aya;
#[cfg(feature = "libbpf")]
mod libbpf;
mod loader;
mod memory;

#[cfg(any(feature = "aya", feature = "libbpf"))]
use loader::{Load, refused};
pub use loader::{LoadPlan, Loaded, Loader};
pub use memory::{MemoryDatapath, Ruling};
