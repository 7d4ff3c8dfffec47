//! What happened, told with names.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use crate::datapath::Losses;
use crate::flow::Flow;

use super::core::Enforcer;

impl Enforcer {
    /// Tells the flows of everything that happened since the last call; returns how many.
    pub fn drain(&mut self, mut tell: impl FnMut(Flow)) -> usize {
        let Self {
            datapath,
            flows,
            identities,
            known,
            ..
        } = self;
        let snapshot = identities.snapshot();
        datapath.drain(|seen| tell(flows.record(&seen, &snapshot, known)))
    }

    /// As [`Enforcer::drain`], after waiting up to `limit` for something to happen.
    ///
    /// The kernel wakes the reader for many events at once, not for each: single ones are told
    /// when the time is over, so a short limit (20 ms, say) keeps the delay short.
    ///
    /// # Errors
    ///
    /// When waiting fails.
    pub fn wait(&mut self, limit: Duration, tell: impl FnMut(Flow)) -> io::Result<usize> {
        self.datapath.wait(limit)?;
        Ok(self.drain(tell))
    }

    /// How many events found no room in the ring: they were judged, and cannot be told.
    ///
    /// # Errors
    ///
    /// When the counters cannot be read.
    pub fn lost(&self) -> Result<Losses, crate::datapath::MapError> {
        self.datapath.lost()
    }
}

/// For waiting on several things: readable when many events are pending.
impl AsFd for Enforcer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.datapath.as_fd()
    }
}
