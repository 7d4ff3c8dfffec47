//! An array map whose memory this process sees.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use super::bpf::{CallError, Command};
use super::map::Map;
use super::pod::Pod;
use super::shape::{MapFlags, MapKind, MapShape};
use crate::error::MapError;

/// One mapping of memory, undone when dropped.
#[derive(Debug)]
pub(super) struct Mapping {
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: the mapping belongs to the process, not to a thread; access goes through atomics.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps `len` bytes of `fd` from `offset` on.
    pub(super) fn new(
        fd: BorrowedFd<'_>,
        offset: usize,
        len: usize,
        write: bool,
    ) -> Result<Self, CallError> {
        let protection = libc::PROT_READ | if write { libc::PROT_WRITE } else { 0 };
        let offset = libc::off_t::try_from(offset)
            .map_err(|_| CallError::from_errno(Command::Mmap, libc::EOVERFLOW))?;
        // SAFETY: a fresh mapping at an address of the kernel's choice touches no memory of ours.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                len,
                protection,
                libc::MAP_SHARED,
                fd.as_raw_fd(),
                offset,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(CallError::last(Command::Mmap));
        }
        NonNull::new(start.cast())
            .map(|start| Self { start, len })
            .ok_or_else(|| CallError::from_errno(Command::Mmap, libc::ENOMEM))
    }

    /// The word of eight bytes at `offset`; `None` outside of the mapping or off its grid.
    pub(super) fn word(&self, offset: usize) -> Option<&AtomicU64> {
        let end = offset.checked_add(8)?;
        if end > self.len || !offset.is_multiple_of(8) {
            return None;
        }
        // SAFETY: inside of the mapping, aligned (a mapping starts at a page), and alive as
        // long as `self`; the kernel and other threads change it only as a whole.
        Some(unsafe { self.start.add(offset).cast::<AtomicU64>().as_ref() })
    }

    /// `len` bytes at `offset`; `None` outside of the mapping.
    ///
    /// # Safety
    ///
    /// Nobody writes to these bytes while the slice lives.
    pub(super) unsafe fn bytes(&self, offset: usize, len: usize) -> Option<&[u8]> {
        if offset.checked_add(len)? > self.len {
            return None;
        }
        // SAFETY: inside of the mapping and alive as long as `self`; the caller excludes writers.
        Some(unsafe { std::slice::from_raw_parts(self.start.add(offset).as_ptr(), len) })
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: exactly the range that `new` mapped; no reference into it outlives `self`.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.len) };
    }
}

/// An array map made with `BPF_F_MMAPABLE`, seen as words of eight bytes.
///
/// A store is one instruction and is seen by the next packet: the cheapest way
/// to change something that programs read for every packet. Elements lie one
/// after the other, each rounded up to eight bytes.
#[derive(Debug)]
pub struct MappedArray {
    map: Map,
    mapping: Mapping,
}

impl MappedArray {
    /// Maps the memory of an array of `V`.
    ///
    /// # Errors
    ///
    /// [`MapError::Mismatch`] if it is not a mmapable array of values of this
    /// size and number, otherwise the kernel's refusal.
    pub fn new<V: Pod>(map: Map, max_entries: u32) -> Result<Self, MapError> {
        map.verify(&MapShape::of::<u32, V>(
            MapKind::Array,
            max_entries,
            MapFlags::MMAPABLE,
        ))?;
        let len = size_of::<V>().next_multiple_of(8) * max_entries as usize;
        let mapping = Mapping::new(map.as_fd(), 0, len.next_multiple_of(page_size()), true)
            .map_err(|source| MapError::call(&map.info().name, source))?;
        Ok(Self { map, mapping })
    }

    /// Reads the word at `offset` bytes of element `index`; `None` outside of the array.
    #[must_use]
    pub fn load(&self, index: u32, offset: usize) -> Option<u64> {
        Some(self.word(index, offset)?.load(Ordering::Acquire))
    }

    /// Writes the word at `offset` bytes of element `index`, at once and as a
    /// whole; `false` outside of the array.
    #[must_use]
    pub fn store(&self, index: u32, offset: usize, value: u64) -> bool {
        self.word(index, offset)
            .map(|word| word.store(value, Ordering::Release))
            .is_some()
    }

    /// Adds to the word and gives back what it was; `None` outside of the array.
    pub fn fetch_add(&self, index: u32, offset: usize, value: u64) -> Option<u64> {
        Some(self.word(index, offset)?.fetch_add(value, Ordering::AcqRel))
    }

    /// The map.
    #[must_use]
    pub fn map(&self) -> &Map {
        &self.map
    }

    fn word(&self, index: u32, offset: usize) -> Option<&AtomicU64> {
        let shape = &self.map.info().shape;
        let step = (shape.value_size as usize).next_multiple_of(8);
        if index >= shape.max_entries || offset >= step {
            return None;
        }
        self.mapping.word(index as usize * step + offset)
    }
}

/// The size of a page of memory.
pub(super) fn page_size() -> usize {
    // SAFETY: asks for a constant of the system.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(size).unwrap_or(4096)
}
