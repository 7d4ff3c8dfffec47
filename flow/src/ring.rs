//! A bounded memory of the newest records, with an exact account of what a reader missed.

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The newest records, up to a bound; writing never waits for readers.
///
/// Records are numbered from 0 in the order of writing. Each [`Reader`] has a place of its own; a
/// reader that was overtaken is told exactly how many records it missed. The newest record can be
/// read at once. Clones share one ring.
///
/// ```
/// use std::num::NonZeroUsize;
/// use porin_flow::{Read, Ring};
///
/// let ring = Ring::new(NonZeroUsize::new(2).ok_or("zero")?);
/// let mut reader = ring.reader();
/// for record in ["a", "b", "c"] {
///     ring.push(record);
/// }
/// assert_eq!(reader.read(), Some(Read::Lost(1)));
/// assert_eq!(reader.read(), Some(Read::Record("b")));
/// assert_eq!(reader.read(), Some(Read::Record("c")));
/// assert_eq!(reader.read(), None);
/// # Ok::<(), &str>(())
/// ```
#[derive(Debug)]
pub struct Ring<T> {
    shared: Arc<Shared<T>>,
}

#[derive(Debug)]
struct Shared<T> {
    capacity: usize,
    state: Mutex<State<T>>,
    written: Condvar,
}

#[derive(Debug)]
struct State<T> {
    records: VecDeque<T>,
    /// Number of the next record, which is the count of all records ever written.
    next: u64,
}

impl<T> State<T> {
    fn oldest(&self) -> u64 {
        self.next - self.records.len() as u64
    }
}

impl<T> Shared<T> {
    // Every change of the state is complete before anything can panic, so a poisoned lock still
    // guards a sound state.
    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Clone for Ring<T> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<T> Ring<T> {
    /// A ring that holds the newest `capacity` records.
    #[must_use]
    pub fn new(capacity: NonZeroUsize) -> Self {
        let state = State {
            records: VecDeque::new(),
            next: 0,
        };
        let capacity = capacity.get();
        Self {
            shared: Arc::new(Shared {
                capacity,
                state: Mutex::new(state),
                written: Condvar::new(),
            }),
        }
    }

    /// How many records the ring can hold.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.shared.capacity
    }

    /// How many records it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shared.state().records.len()
    }

    /// Whether nothing was ever written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many records were ever written.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.shared.state().next
    }

    /// Writes a record; the oldest one gives way when the ring is full.
    pub fn push(&self, record: T) {
        let mut state = self.shared.state();
        // What gives way is dropped after the lock is released.
        let _oldest = if state.records.len() == self.shared.capacity {
            state.records.pop_front()
        } else {
            None
        };
        state.records.push_back(record);
        state.next += 1;
        drop(state);
        self.shared.written.notify_all();
    }

    /// A reader that begins with the oldest record there is.
    #[must_use]
    pub fn reader(&self) -> Reader<T> {
        self.reader_at(|state| state.oldest())
    }

    /// A reader that begins with the newest `count` records, or as many as there are.
    #[must_use]
    pub fn reader_of_last(&self, count: u64) -> Reader<T> {
        self.reader_at(|state| state.next.saturating_sub(count).max(state.oldest()))
    }

    /// A reader of what will be written from now on.
    #[must_use]
    pub fn follower(&self) -> Reader<T> {
        self.reader_at(|state| state.next)
    }

    fn reader_at(&self, start: impl FnOnce(&State<T>) -> u64) -> Reader<T> {
        let position = start(&self.shared.state());
        Reader {
            shared: Arc::clone(&self.shared),
            position,
        }
    }
}

/// What a [`Reader`] got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Read<T> {
    /// The next record.
    Record(T),
    /// So many records were overwritten before they could be read.
    Lost(u64),
}

/// A place in a [`Ring`], from which records are read in order.
///
/// At any time, the records read plus the losses told equal the records written since the reader's
/// start, less those still ahead of it.
#[derive(Debug)]
pub struct Reader<T> {
    shared: Arc<Shared<T>>,
    position: u64,
}

impl<T: Clone> Reader<T> {
    /// The next record or the loss before it; `None` when everything written was read.
    pub fn read(&mut self) -> Option<Read<T>> {
        let shared = Arc::clone(&self.shared);
        let state = shared.state();
        self.take(&state)
    }

    /// As [`read`](Self::read), but waits up to `timeout` for something to be written.
    pub fn wait(&mut self, timeout: Duration) -> Option<Read<T>> {
        let shared = Arc::clone(&self.shared);
        let idle = |state: &mut State<T>| state.next == self.position;
        let waited = shared
            .written
            .wait_timeout_while(shared.state(), timeout, idle);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        self.take(&state)
    }

    fn take(&mut self, state: &State<T>) -> Option<Read<T>> {
        let oldest = state.oldest();
        if self.position < oldest {
            let lost = oldest - self.position;
            self.position = oldest;
            return Some(Read::Lost(lost));
        }
        let index = usize::try_from(self.position - oldest).ok()?;
        let record = state.records.get(index)?.clone();
        self.position += 1;
        Some(Read::Record(record))
    }
}
