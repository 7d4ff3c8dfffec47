//! Reading events from the kernel's ring buffer.
//!
//! The programs write records without waking anybody (`BPF_RB_NO_WAKEUP`)
//! until a good part of the ring waits, and wake the reader then
//! (`BPF_RB_FORCE_WAKEUP`): a wake-up costs more than many records. The other
//! side of it: **a trickle of records wakes nobody**. A reader waits for the
//! descriptor *and* looks every 10 to 50 ms on its own:
//!
//! ```no_run
//! # fn example(mut ring: porin_datapath::ring::RingReader) -> std::io::Result<()> {
//! use std::time::Duration;
//!
//! loop {
//!     ring.wait(Duration::from_millis(20))?;
//!     while ring.drain(4096, |record| println!("{} bytes", record.len())) > 0 {}
//! }
//! # }
//! ```
//!
//! Under tokio the same is an `AsyncFd` over [`AsFd`] and an interval, in one `select!`.
//!
//! When the ring is full the programs drop records and count them in a map of
//! their own; the kernel tells the reader nothing about it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use crate::error::MapError;
use crate::sys::{Map, RingMemory, wait_readable};

/// The reader of a ring buffer; there must be only one per ring.
///
/// Records are lent from the ring's own memory, without a copy; their room is
/// free again when the closure returns. Dropping the reader loses nothing: the
/// position is in the ring, and the next reader goes on from it.
#[derive(Debug)]
pub struct RingReader {
    memory: RingMemory,
}

impl RingReader {
    /// Maps the ring buffer `map` of `bytes` bytes.
    ///
    /// # Errors
    ///
    /// [`MapError::Mismatch`] if it is not a ring buffer of this size,
    /// otherwise the kernel's refusal.
    pub fn new(map: Map, bytes: u32) -> Result<Self, MapError> {
        RingMemory::new(map, bytes).map(|memory| Self { memory })
    }

    /// Lends up to `limit` waiting records to `read`, oldest first; gives back how many they were.
    pub fn drain(&mut self, limit: usize, mut read: impl FnMut(&[u8])) -> usize {
        let mut count = 0;
        while count < limit && self.memory.next(&mut read).is_some() {
            count += 1;
        }
        count
    }

    /// How many bytes wait, headers included.
    #[must_use]
    pub fn pending(&self) -> u64 {
        self.memory.pending()
    }

    /// Waits until the programs wake the reader, or `limit` has passed.
    /// `true` if records are waiting then.
    ///
    /// # Errors
    ///
    /// If `poll(2)` fails.
    pub fn wait(&self, limit: Duration) -> io::Result<bool> {
        if self.pending() == 0 {
            wait_readable(self.as_fd(), limit)?;
        }
        Ok(self.pending() > 0)
    }
}

impl AsFd for RingReader {
    /// Readable when the programs woke the reader; see the [module](self) about trickles.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.memory.as_fd()
    }
}
