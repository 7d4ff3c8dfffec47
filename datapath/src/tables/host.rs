//! The host's record: which policy is in force for the node itself, and until when.

use crate::abi::{self, Cell, Endpoint, Host};
use crate::error::MapError;
use crate::sys::{Map, MappedArray, bytes_of, from_bytes, monotonic};

/// One record, and the steps that its policies take.
///
/// The programs read current cell, previous cell and deadline one by one. Each step here is a
/// sequence of stores of which every prefix leaves a policy in force that was in force before, or
/// that is to be.
#[derive(Debug)]
pub(crate) struct HostTable {
    record: MappedArray,
}

impl HostTable {
    pub(crate) fn new(map: Map) -> Result<Self, MapError> {
        let record = MappedArray::new::<Host>(map, 1)?;
        Ok(Self { record })
    }

    /// The cell that was given last, [`Cell::OPEN`] included; `None` if there never was one.
    pub(crate) fn current(&self) -> Option<Cell> {
        Some(Cell::from_word(self.load(abi::CELL))).filter(|cell| *cell != Cell::default())
    }

    /// The cell to go back to and the deadline, as long as a policy is on trial.
    pub(crate) fn trial(&self) -> Option<(Cell, u64)> {
        let deadline = self.load(abi::DEADLINE);
        (deadline != 0).then(|| (Cell::from_word(self.load(abi::PREVIOUS)), deadline))
    }

    /// The record of the host.
    pub(crate) fn read(&self) -> Option<Endpoint> {
        let mut bytes = [0; size_of::<Endpoint>()];
        for (at, chunk) in bytes.chunks_exact_mut(8).enumerate() {
            chunk.copy_from_slice(&self.record.load(0, at * 8)?.to_ne_bytes());
        }
        from_bytes(&bytes)
    }

    /// Makes the host known: nothing is judged yet.
    pub(crate) fn begin(&self, own: &Endpoint) {
        self.clear();
        for (at, chunk) in bytes_of(own).chunks_exact(8).enumerate().skip(1) {
            self.store(at * 8, from_bytes(chunk).unwrap_or(0));
        }
        self.store(abi::CELL, Cell::OPEN.word());
    }

    /// Nobody's policy: what is still attached drops everything.
    pub(crate) fn clear(&self) {
        self.store(abi::CELL, 0);
        self.store(abi::DEADLINE, 0);
    }

    /// Puts a policy in force for good.
    pub(crate) fn put(&self, cell: Cell) {
        self.store(abi::CELL, cell.word());
        self.store(abi::DEADLINE, 0);
    }

    /// Puts a policy in force until `deadline`. What is in force now, or what a trial that still
    /// goes on would go back to, is in force afterwards.
    pub(crate) fn put_until(&self, cell: Cell, deadline: u64) {
        if self.trial().is_none() {
            self.store(abi::PREVIOUS, self.load(abi::CELL));
        }
        self.store(abi::DEADLINE, deadline.max(1));
        self.store(abi::CELL, cell.word());
    }

    /// The same policies under new cells: the current one and the one to go back to.
    pub(crate) fn renew(&self, current: Cell, previous: Option<Cell>) {
        if let Some(previous) = previous {
            self.store(abi::PREVIOUS, previous.word());
        }
        self.store(abi::CELL, current.word());
    }

    /// Whether the deadline of a trial has passed.
    pub(crate) fn is_over(&self) -> bool {
        let now = u64::try_from(monotonic().as_nanos()).unwrap_or(u64::MAX);
        self.trial().is_some_and(|(_, deadline)| now >= deadline)
    }

    /// What is on trial stays; gives back the cell that nobody goes back to any more.
    pub(crate) fn confirm(&self) -> Option<Cell> {
        let (previous, _) = self.trial()?;
        self.store(abi::DEADLINE, 0);
        Some(previous)
    }

    /// What was before the trial stays; gives back the cell that was on trial.
    pub(crate) fn revert(&self) -> Option<Cell> {
        let (previous, _) = self.trial()?;
        let tried = self.current()?;
        self.store(abi::CELL, previous.word());
        self.store(abi::DEADLINE, 0);
        Some(tried)
    }

    fn load(&self, offset: usize) -> u64 {
        self.record.load(0, offset).unwrap_or(0)
    }

    fn store(&self, offset: usize, word: u64) {
        let stored = self.record.store(0, offset, word);
        debug_assert!(stored, "the record has a word at {offset}");
    }
}
