//! What a program costs that does nothing: the measure for what ours cost.

use std::time::Duration;

use crate::error::MapError;
use crate::run::{TestPacket, run};
use crate::sys::{CallError, Map, MapFlags, MapKind, MapShape, Program, UpdateMode, thread_time};

/// Two tiny programs, measured beside ours on the same machine in the same run:
/// one that does nothing, and one that finds a key of 16 bytes in a hash map.
/// The difference of the two is the unit in which per-packet work is compared
/// between machines.
#[derive(Debug)]
pub struct Floor {
    empty: Program,
    lookup: Program,
    /// Held for the program that looks into it.
    _map: Map,
}

/// The key that is looked up, in two words.
const KEY: [i32; 2] = [0x0102_0304, 0x0506_0708];

impl Floor {
    /// Loads both.
    ///
    /// # Errors
    ///
    /// If the kernel refuses.
    pub fn load() -> Result<Self, MapError> {
        let shape = MapShape {
            kind: MapKind::Hash,
            key_size: 16,
            value_size: 8,
            max_entries: 1024,
            flags: MapFlags::NONE,
        };
        let map = Map::create("floor", &shape)?;
        let key: Vec<u8> = KEY
            .iter()
            .flat_map(|word| i64::from(*word).to_ne_bytes())
            .collect();
        map.update(&key, &[0; 8], UpdateMode::Any)?;
        let refused = |source| MapError::call("floor", source);
        Ok(Self {
            empty: Program::constant("empty", -1).map_err(refused)?,
            lookup: Program::lookup("lookup", &map, KEY).map_err(refused)?,
            _map: map,
        })
    }

    /// Time of `repeat` runs of the empty program.
    ///
    /// # Errors
    ///
    /// If the kernel refuses the run.
    pub fn empty(&self, packet: &TestPacket<'_>, repeat: u32) -> Result<Duration, CallError> {
        timed(&self.empty, packet, repeat)
    }

    /// Time of `repeat` runs of the program that finds one key.
    ///
    /// # Errors
    ///
    /// If the kernel refuses the run.
    pub fn lookup(&self, packet: &TestPacket<'_>, repeat: u32) -> Result<Duration, CallError> {
        timed(&self.lookup, packet, repeat)
    }
}

/// All of `repeat` runs, in time of this thread's processor: the kernel's own
/// figure is rounded to nanoseconds and counts what others ran meanwhile.
pub(crate) fn timed(
    program: &Program,
    packet: &TestPacket<'_>,
    repeat: u32,
) -> Result<Duration, CallError> {
    let start = thread_time();
    run(program, packet, repeat)?;
    Ok(thread_time().saturating_sub(start))
}
