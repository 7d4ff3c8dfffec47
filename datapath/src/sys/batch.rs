//! Many entries in one call.
//!
//! A batch costs about half of the single calls for hashes, and for a map of
//! maps it is the difference between one RCU grace period and one per entry.

use std::ptr::null;

use super::bpf::{Attributes, CallError, Command, address, bpf};
use super::map::{Map, UpdateMode};
use crate::error::MapError;

/// `ENOTSUPP`: the kernel's own "this map has no such operation".
const ENOTSUPP: i32 = 524;

/// `struct { in_batch; out_batch; keys; values; count; map_fd; elem_flags; flags; }`
#[repr(C)]
struct BatchAttributes {
    cursor: u64,
    next_cursor: u64,
    keys: u64,
    values: u64,
    count: u32,
    map: u32,
    element_flags: u64,
    flags: u64,
}

// SAFETY: mirrors the kernel's layout; `Map` checks the lengths behind the pointers.
unsafe impl Attributes for BatchAttributes {}

impl BatchAttributes {
    fn new(map: &Map, keys: *const u8, values: *const u8, count: u32) -> Self {
        Self {
            cursor: 0,
            next_cursor: 0,
            keys: address(keys),
            values: address(values),
            count,
            map: map.raw(),
            element_flags: 0,
            flags: 0,
        }
    }
}

impl Map {
    /// Writes many entries in one call: keys and values one after the other.
    ///
    /// The call is not a transaction: when it fails, the entries before the
    /// failing one are in the map.
    ///
    /// # Errors
    ///
    /// As [`update`](Self::update); [`MapError::Length`] also if the two
    /// slices are not the same whole number of elements.
    pub fn update_batch(
        &self,
        keys: &[u8],
        values: &[u8],
        mode: UpdateMode,
    ) -> Result<(), MapError> {
        let count = self.count(keys)?;
        self.check_len("values", values.len(), count as usize * self.value_len())?;
        if count == 0 {
            return Ok(());
        }
        let mut attributes = BatchAttributes::new(self, keys.as_ptr(), values.as_ptr(), count);
        attributes.element_flags = mode.flags();
        match bpf(Command::MapUpdateBatch, &mut attributes) {
            Ok(_) => Ok(()),
            Err(error) if is_unsupported(&error) => self.update_each(keys, values, mode),
            Err(error) => Err(self.error(error)),
        }
    }

    /// Removes many entries in one call; keys that are absent are passed over.
    ///
    /// # Errors
    ///
    /// As [`delete`](Self::delete).
    pub fn delete_batch(&self, keys: &[u8]) -> Result<(), MapError> {
        let mut rest = keys;
        loop {
            let count = self.count(rest)?;
            if count == 0 {
                return Ok(());
            }
            let mut attributes = BatchAttributes::new(self, rest.as_ptr(), null(), count);
            match bpf(Command::MapDeleteBatch, &mut attributes) {
                Ok(_) => return Ok(()),
                // The kernel stops at the first absent key and says how many it did before.
                Err(error) if error.is(libc::ENOENT) => {
                    let done = (attributes.count as usize + 1) * self.key_len();
                    rest = rest.get(done..).unwrap_or_default();
                }
                Err(error) if is_unsupported(&error) => return self.delete_each(rest),
                Err(error) => return Err(self.error(error)),
            }
        }
    }

    /// Gives every entry to `visit`, in no order. Entries that come or go meanwhile may be missed.
    ///
    /// # Errors
    ///
    /// The kernel's refusal.
    pub fn for_each(&self, mut visit: impl FnMut(&[u8], &[u8])) -> Result<(), MapError> {
        let (key_len, value_len) = (self.key_len(), self.value_len());
        let mut capacity = self.info().shape.max_entries.clamp(1, 4096);
        // A trie's cursor is a key; a hash's and an array's are four bytes.
        let mut cursor = vec![0_u8; key_len.max(8)];
        let mut next = cursor.clone();
        let mut first = true;
        loop {
            let mut keys = vec![0_u8; key_len * capacity as usize];
            let mut values = vec![0_u8; value_len * capacity as usize];
            let mut attributes =
                BatchAttributes::new(self, keys.as_mut_ptr(), values.as_mut_ptr(), capacity);
            attributes.cursor = if first { 0 } else { address(cursor.as_ptr()) };
            attributes.next_cursor = address(next.as_mut_ptr());
            let result = bpf(Command::MapLookupBatch, &mut attributes);
            let end = match result {
                Ok(_) => false,
                Err(error) if error.is(libc::ENOENT) => true,
                // One bucket of the hash has more entries than the buffer.
                Err(error) if error.is(libc::ENOSPC) => {
                    capacity = capacity.saturating_mul(2);
                    continue;
                }
                Err(error) if first && is_unsupported(&error) => return self.each(visit),
                Err(error) => return Err(self.error(error)),
            };
            keys.chunks_exact(key_len)
                .zip(values.chunks_exact(value_len))
                .take(attributes.count as usize)
                .for_each(|(key, value)| visit(key, value));
            if end {
                return Ok(());
            }
            std::mem::swap(&mut cursor, &mut next);
            first = false;
        }
    }

    /// How many entries the map holds now.
    ///
    /// # Errors
    ///
    /// As [`for_each`](Self::for_each).
    pub fn count_entries(&self) -> Result<usize, MapError> {
        let mut count = 0;
        self.for_each(|_, _| count += 1)?;
        Ok(count)
    }

    fn each(&self, mut visit: impl FnMut(&[u8], &[u8])) -> Result<(), MapError> {
        let mut key = vec![0; self.key_len()];
        let mut next = key.clone();
        let mut value = vec![0; self.value_len()];
        let mut more = self.next_key(None, &mut next)?;
        while more {
            key.copy_from_slice(&next);
            if self.lookup(&key, &mut value)? {
                visit(&key, &value);
            }
            more = self.next_key(Some(&key), &mut next)?;
        }
        Ok(())
    }

    fn update_each(&self, keys: &[u8], values: &[u8], mode: UpdateMode) -> Result<(), MapError> {
        keys.chunks_exact(self.key_len())
            .zip(values.chunks_exact(self.value_len()))
            .try_for_each(|(key, value)| self.update(key, value, mode))
    }

    fn delete_each(&self, keys: &[u8]) -> Result<(), MapError> {
        keys.chunks_exact(self.key_len())
            .try_for_each(|key| self.delete(key).map(drop))
    }

    fn count(&self, keys: &[u8]) -> Result<u32, MapError> {
        let len = self.key_len().max(1);
        self.check_len("keys", keys.len() % len, 0)?;
        u32::try_from(keys.len() / len).map_err(|_| MapError::Full {
            map: self.info().name.clone(),
            capacity: self.info().shape.max_entries,
        })
    }
}

fn is_unsupported(error: &CallError) -> bool {
    matches!(
        error.errno(),
        Some(libc::EOPNOTSUPP | libc::EINVAL | ENOTSUPP)
    )
}
