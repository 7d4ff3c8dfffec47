//! World files: who exists, what listens where, and which ranges lie outside the cluster.
//!
//! Questions that speak of workloads by name need one, and lint tells by it whom a selector was
//! probably meant for.

mod entry;
mod read;

pub use entry::{NodeEntry, Outside, Workload, WorkloadPort, World};
