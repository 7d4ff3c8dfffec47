//! Counters of the programs, summed over the CPUs.

use porin_flow::DropReason;
use porin_policy::Direction;

use super::direction_of;
use crate::abi::Counter;
use crate::error::MapError;
use crate::sys::{Map, MapShape, PerCpuMap};

/// Packets dropped at one hook for one reason, whether or not their events were delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DropCounter {
    /// The hook: egress is what endpoints sent, ingress what they were to receive.
    pub direction: Direction,
    /// Why.
    pub reason: DropReason,
    /// How many packets.
    pub packets: u64,
    /// How many bytes of frames.
    pub bytes: u64,
}

#[derive(Debug)]
pub(crate) struct Counters {
    drops: PerCpuMap<u32, Counter>,
}

impl Counters {
    pub(crate) fn new(map: Map, shape: &MapShape) -> Result<Self, MapError> {
        let drops = PerCpuMap::new(map, shape)?;
        Ok(Self { drops })
    }

    /// Every counter that is not zero.
    pub(crate) fn drops(&self) -> Result<Vec<DropCounter>, MapError> {
        let mut counters = Vec::new();
        for (index, copies) in self.drops.entries()? {
            let packets = copies.iter().map(|copy| copy.packets).sum();
            let bytes = copies.iter().map(|copy| copy.bytes).sum();
            let [reason, direction, ..] = index.to_le_bytes();
            if let Some(direction) = direction_of(direction).filter(|_| packets > 0) {
                counters.push(DropCounter {
                    direction,
                    reason: DropReason::new(reason),
                    packets,
                    bytes,
                });
            }
        }
        Ok(counters)
    }
}
