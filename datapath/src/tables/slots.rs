//! Numbers that programs may still hold after we took them back.

use std::collections::BTreeSet;

/// Slots of an array that programs index.
///
/// A slot that is given back may still be in use by a packet that is being
/// judged on another processor: it rests until a grace period has passed.
#[derive(Debug)]
pub(crate) struct Slots {
    free: BTreeSet<u32>,
    resting: Vec<u32>,
    capacity: usize,
}

impl Slots {
    /// The slots from `first` up to, not including, `end`.
    pub(crate) fn new(first: u32, end: u32) -> Self {
        let free: BTreeSet<u32> = (first..end).collect();
        Self {
            capacity: free.len(),
            free,
            resting: Vec::new(),
        }
    }

    /// Marks a slot as taken: for what was found in use.
    pub(crate) fn occupy(&mut self, slot: u32) {
        self.free.remove(&slot);
    }

    /// This slot, if it is free.
    pub(crate) fn claim(&mut self, slot: u32) -> bool {
        self.free.remove(&slot)
    }

    /// The lowest free slot.
    pub(crate) fn take(&mut self) -> Option<u32> {
        self.free.pop_first()
    }

    /// Gives a slot back that programs may have seen.
    pub(crate) fn retire(&mut self, slot: u32) {
        self.resting.push(slot);
    }

    /// Gives a slot back that no program has ever seen.
    pub(crate) fn untake(&mut self, slot: u32) {
        self.free.insert(slot);
    }

    /// A grace period began after the last [`retire`](Self::retire) and has passed.
    pub(crate) fn rested(&mut self) {
        self.free.extend(self.resting.drain(..));
    }

    /// Free now.
    pub(crate) fn available(&self) -> usize {
        self.free.len()
    }

    /// Free after the next grace period.
    pub(crate) fn obtainable(&self) -> usize {
        self.free.len() + self.resting.len()
    }

    /// How many slots there are.
    pub(crate) fn capacity(&self) -> usize {
        self.capacity
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retired_slot_rests() {
        let mut slots = Slots::new(1, 3);
        assert_eq!(
            (slots.take(), slots.take(), slots.take()),
            (Some(1), Some(2), None)
        );
        slots.retire(1);
        assert_eq!((slots.take(), slots.obtainable()), (None, 1));
        slots.rested();
        assert_eq!(slots.take(), Some(1));
        slots.untake(2);
        assert_eq!(slots.available(), 1);
    }
}
