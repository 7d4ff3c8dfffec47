//! The memory of a BPF ring buffer, from the consumer's side.
//!
//! Layout (`Documentation/bpf/ringbuf.rst`): one page with the consumer's
//! position, one page with the producer's, then the data, mapped twice in a
//! row so that a record never wraps. A record is a header of eight bytes (a
//! length whose top bits say *busy* and *discarded*, and an offset) and its
//! bytes, rounded up to eight.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::map::Map;
use super::mapped::{Mapping, page_size};
use super::shape::{MapFlags, MapKind, MapShape};
use crate::error::MapError;

const BUSY: u32 = 1 << 31;
const DISCARDED: u32 = 1 << 30;
const HEADER: usize = 8;

/// A ring buffer map and its memory; the only consumer of its records.
#[derive(Debug)]
pub struct RingMemory {
    map: Map,
    consumer: Mapping,
    producer: Mapping,
    position: u64,
    size: u64,
    /// Where the data begin in the producer's mapping.
    start: usize,
}

impl RingMemory {
    /// Maps the ring buffer `map` of `bytes` bytes.
    ///
    /// # Errors
    ///
    /// [`MapError::Mismatch`] if it is not a ring buffer of this size, otherwise the kernel's
    /// refusal.
    pub fn new(map: Map, bytes: u32) -> Result<Self, MapError> {
        map.verify(&MapShape {
            kind: MapKind::RingBuffer,
            key_size: 0,
            value_size: 0,
            max_entries: bytes,
            flags: MapFlags::NONE,
        })?;
        let page = page_size();
        let call = |source| MapError::call(&map.info().name, source);
        let consumer = Mapping::new(map.as_fd(), 0, page, true).map_err(call)?;
        let data = page + 2 * bytes as usize;
        let producer = Mapping::new(map.as_fd(), page, data, false).map_err(call)?;
        let position = consumer
            .word(0)
            .map_or(0, |word| word.load(Ordering::Acquire));
        Ok(Self {
            map,
            consumer,
            producer,
            position,
            size: u64::from(bytes),
            start: page,
        })
    }

    /// Lends the next record to `read` and frees its room afterwards; `None`
    /// if the ring is empty or its next record is still being written.
    pub fn next<R>(&mut self, read: impl FnOnce(&[u8]) -> R) -> Option<R> {
        let len = loop {
            let header = self.header()?;
            let len = (header & !(BUSY | DISCARDED)) as usize;
            if header & DISCARDED == 0 {
                break len;
            }
            self.advance(len);
        };
        // SAFETY: the record is committed (not busy) and its room is not free before `advance`
        // below, so the kernel does not write to it.
        let record = unsafe { self.producer.bytes(self.at() + HEADER, len) }?;
        let result = read(record);
        self.advance(len);
        Some(result)
    }

    /// How many bytes wait in the ring, headers included.
    #[must_use]
    pub fn pending(&self) -> u64 {
        self.producer.word(0).map_or(0, |word| {
            word.load(Ordering::Acquire).saturating_sub(self.position)
        })
    }

    /// The map.
    #[must_use]
    pub fn map(&self) -> &Map {
        &self.map
    }

    /// Where the next record lies in the producer's mapping.
    fn at(&self) -> usize {
        // The remainder is below the ring's size, which is a `u32`.
        self.start + (self.position % self.size) as usize
    }

    /// The length word of the next record, once it is committed.
    fn header(&self) -> Option<u32> {
        if self.pending() == 0 {
            return None;
        }
        // The length is the lower half of the header's eight bytes on a little-endian machine.
        let word = self.producer.word(self.at())?.load(Ordering::Acquire);
        let header = if cfg!(target_endian = "little") {
            word as u32
        } else {
            (word >> 32) as u32
        };
        (header & BUSY == 0).then_some(header)
    }

    /// Frees the room of the next record, which has `len` bytes.
    fn advance(&mut self, len: usize) {
        self.position += (HEADER + len.next_multiple_of(8)) as u64;
        if let Some(word) = self.consumer.word(0) {
            word.store(self.position, Ordering::Release);
        }
    }
}

impl AsFd for RingMemory {
    /// Readable (`EPOLLIN`) when the kernel woke the ring's readers.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.map.as_fd()
    }
}

/// Waits until `fd` is readable, or `limit` has passed; `true` if it is readable.
///
/// # Errors
///
/// If `poll(2)` fails. An interrupting signal counts as time passed.
pub fn wait_readable(fd: BorrowedFd<'_>, limit: Duration) -> io::Result<bool> {
    let mut entry = libc::pollfd {
        fd: fd.as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    };
    let limit = i32::try_from(limit.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: one entry, alive during the call.
    let ready = unsafe { libc::poll(&raw mut entry, 1, limit) };
    if ready >= 0 {
        return Ok(ready > 0);
    }
    let error = io::Error::last_os_error();
    if error.kind() == io::ErrorKind::Interrupted {
        return Ok(false);
    }
    Err(error)
}
