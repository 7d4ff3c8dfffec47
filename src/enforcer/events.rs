//! What happened, told with names.

use std::io;
use std::time::Duration;

use crate::datapath::{Events, LossCounters, MapError};
use crate::flow::Flow;

use super::core::Enforcer;

impl Enforcer {
    /// Tells the flows of everything that happened since the last call; returns how many.
    pub fn drain(&mut self, mut tell: impl FnMut(Flow)) -> usize {
        let Self {
            events,
            flows,
            identities,
            known,
            lapsed,
            ..
        } = self;
        let snapshot = identities.snapshot();
        let mut tell = |seen| tell(flows.record(&seen, &snapshot, known));
        let ended = lapsed.drain(..).map(&mut tell).count();
        let Some(events) = events else { return ended };
        ended + events.drain(tell)
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
        match &self.events {
            Some(events) => events.wait(limit)?,
            None => false,
        };
        Ok(self.drain(tell))
    }

    /// How many events found no room in the ring: their packets were judged, and cannot be told of.
    ///
    /// # Errors
    ///
    /// When the counters cannot be read.
    pub fn lost(&self) -> Result<LossCounters, MapError> {
        self.events
            .as_ref()
            .map_or_else(|| Ok(LossCounters::default()), Events::lost)
    }
}
