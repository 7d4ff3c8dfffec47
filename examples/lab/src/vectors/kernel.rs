//! The kernel program itself.

use porin::policy::Query;

use super::Fault;
use super::case::Answer;
use super::engine::Resolved;
use crate::failure::Failure;

/// A loaded datapath.
pub(crate) struct Kernel(());

impl Kernel {
    pub(crate) fn load() -> Result<Self, Failure> {
        Err(Failure::Kernel("not here yet".to_owned()))
    }

    pub(crate) fn decide(&mut self, _: &Resolved<'_>, _: &[Query]) -> Result<Vec<Answer>, Fault> {
        Ok(Vec::new())
    }
}
