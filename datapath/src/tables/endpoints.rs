//! Endpoint records: which device is whose, and which policy is in force for it.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;

use super::Slots;
use crate::abi::{self, Cell, Endpoint};
use crate::config::Limits;
use crate::error::MapError;
use crate::sys::{Map, MapShape, MappedArray, TypedMap, bytes_of, from_bytes, monotonic};

/// The map from device to slot, the records, and the facts of the node.
#[derive(Debug)]
pub(crate) struct EndpointTable {
    devices: TypedMap<u32, u32>,
    records: MappedArray,
    node: MappedArray,
    slots: Slots,
    /// Bits of a device's number that are its own slot.
    own_mask: u32,
}

impl EndpointTable {
    pub(crate) fn new(
        (devices, shape): (Map, &MapShape),
        records: Map,
        node: Map,
        limits: &Limits,
    ) -> Result<Self, MapError> {
        let endpoints = records.info().shape.max_entries;
        Ok(Self {
            devices: TypedMap::new(devices, shape)?,
            records: MappedArray::new::<Endpoint>(records, endpoints)?,
            node: MappedArray::new::<abi::Node>(node, 1)?,
            slots: Slots::new(0, endpoints.min(abi::SLOT_NONE)),
            own_mask: limits.endpoint_mask(),
        })
    }

    /// The records that devices lead to, with their slots: what an earlier process left.
    pub(crate) fn adopt(&mut self) -> Result<Vec<(u32, Endpoint)>, MapError> {
        let mut found = Vec::new();
        for (ifindex, slot) in self.devices.entries()? {
            match self.read(slot).filter(|record| record.ifindex == ifindex) {
                Some(record) => {
                    self.slots.occupy(slot);
                    found.push((slot, record));
                }
                None => {
                    self.devices.remove(&ifindex)?;
                }
            }
        }
        Ok(found)
    }

    /// A free slot for the endpoint of a device, where the programs look first if that is to be
    /// had; `None` if there is none before the next grace period.
    pub(crate) fn take(&mut self, ifindex: u32) -> Option<u32> {
        let own = ifindex & self.own_mask;
        if self.slots.claim(own) {
            return Some(own);
        }
        self.slots.take()
    }

    /// A grace period has passed.
    pub(crate) fn rested(&mut self) {
        self.slots.rested();
    }

    /// How many endpoints there may be.
    pub(crate) fn capacity(&self) -> usize {
        self.slots.capacity()
    }

    /// Writes a record and then makes its device lead to it.
    pub(crate) fn insert(&mut self, slot: u32, record: &Endpoint) -> Result<(), MapError> {
        self.write(slot, record);
        self.devices.set(&record.ifindex, &slot).inspect_err(|_| {
            self.write(slot, &Endpoint::default());
            self.slots.untake(slot);
        })
    }

    /// Makes a device lead from one record to another, in one step. The slot of
    /// the old one rests.
    pub(crate) fn replace(
        &mut self,
        old: u32,
        new: u32,
        record: &Endpoint,
    ) -> Result<(), MapError> {
        self.insert(new, record)?;
        self.write(old, &Endpoint::default());
        self.slots.retire(old);
        Ok(())
    }

    /// Makes a record unfindable and empty. Its slot rests.
    pub(crate) fn remove(&mut self, slot: u32, ifindex: u32) -> Result<(), MapError> {
        self.set_cell(slot, Cell::default());
        self.devices.remove(&ifindex)?;
        self.write(slot, &Endpoint::default());
        self.slots.retire(slot);
        Ok(())
    }

    /// Puts a policy in force, in one store.
    pub(crate) fn set_cell(&self, slot: u32, cell: Cell) {
        self.store(slot, abi::CELL, cell.word());
    }

    /// The policy in force.
    pub(crate) fn cell(&self, slot: u32) -> Cell {
        Cell::from_word(self.records.load(slot, abi::CELL).unwrap_or(0))
    }

    /// Gives the endpoint another identity, in one store.
    pub(crate) fn set_identity(&self, slot: u32, identity: u32) {
        if let Some(record) = self.read(slot) {
            let next = Endpoint { identity, ..record };
            self.store(slot, abi::IDENTITY, word_at(&next, abi::IDENTITY));
        }
    }

    /// Packets of this node go past its stack to this link address, or (`None`) through it.
    pub(crate) fn set_delivery(&self, slot: u32, mac: Option<[u8; 6]>) {
        let next = Endpoint {
            mac: mac.unwrap_or_default(),
            direct: mac.is_some().into(),
            ..Endpoint::default()
        };
        self.store(slot, abi::DELIVERY, word_at(&next, abi::DELIVERY));
    }

    /// Ends the lease at a time of the monotonic clock, or (0) never.
    pub(crate) fn set_lease(&self, slot: u32, nanoseconds: u64) {
        self.store(slot, abi::LEASE, nanoseconds);
    }

    /// The device of the tunnels between nodes and their port; 0 none.
    pub(crate) fn overlay(&self) -> (u32, u16) {
        let word = self.node.load(0, abi::OVERLAY).unwrap_or(0).to_ne_bytes();
        let [a, b, c, d, high, low, ..] = word;
        (
            u32::from_ne_bytes([a, b, c, d]),
            u16::from_be_bytes([high, low]),
        )
    }

    /// Sets them, in one store.
    pub(crate) fn set_overlay(&self, ifindex: u32, port: u16) {
        let [a, b, c, d] = ifindex.to_ne_bytes();
        let [high, low] = port.to_be_bytes();
        let word = u64::from_ne_bytes([a, b, c, d, high, low, 0, 0]);
        let _ = self.node.store(0, abi::OVERLAY, word);
    }

    /// All flows are judged anew: an address may mean somebody else now.
    pub(crate) fn raise_address_epoch(&self) {
        let _ = self.node.fetch_add(0, abi::ADDRESS_EPOCH, 1);
    }

    /// `count` epochs that were never given before, from the one that is returned on.
    pub(crate) fn epochs(&self, count: u64) -> u64 {
        self.node.fetch_add(0, abi::NEXT_EPOCH, count).unwrap_or(0)
    }

    /// When an endpoint that begins now was born: later than every other, though the clock has not
    /// moved on.
    pub(crate) fn born(&self) -> u64 {
        let now = monotonic().as_nanos() >> abi::AGE_SHIFT;
        let last = self.node.load(0, abi::BORN).unwrap_or(0);
        let born = u64::try_from(now).unwrap_or(last).max(last + 1);
        let _ = self.node.store(0, abi::BORN, born);
        born
    }

    /// The address epoch, and the first epoch that was not given yet.
    pub(crate) fn epochs_now(&self) -> (u64, u64) {
        let word = |offset| self.node.load(0, offset).unwrap_or(0);
        (word(abi::ADDRESS_EPOCH), word(abi::NEXT_EPOCH))
    }

    /// The first epoch is 1: a cell of 0 says that there is no policy.
    pub(crate) fn begin(&self) {
        if self.node.load(0, abi::NEXT_EPOCH) != Some(0) {
            return;
        }
        let _ = self.node.store(0, abi::ADDRESS_EPOCH, 1);
        // The standard library keys its hashes with what the system draws for it.
        let secret = RandomState::new().hash_one(());
        let _ = self.node.store(0, abi::SECRET, secret);
        // Last: a process that ended before this has begun nothing.
        let _ = self.node.store(0, abi::NEXT_EPOCH, 1);
    }

    fn store(&self, slot: u32, offset: usize, word: u64) {
        let stored = self.records.store(slot, offset, word);
        debug_assert!(stored, "slot {slot} is in the array");
    }

    /// The record of a slot.
    pub(crate) fn read(&self, slot: u32) -> Option<Endpoint> {
        let mut bytes = [0; size_of::<Endpoint>()];
        for (at, chunk) in bytes.chunks_exact_mut(8).enumerate() {
            chunk.copy_from_slice(&self.records.load(slot, at * 8)?.to_ne_bytes());
        }
        from_bytes(&bytes)
    }

    /// Every word but the cell, and then the cell.
    fn write(&self, slot: u32, record: &Endpoint) {
        self.set_cell(slot, Cell::default());
        for offset in (8..size_of::<Endpoint>()).step_by(8) {
            self.store(slot, offset, word_at(record, offset));
        }
        self.store(slot, abi::CELL, record.cell);
    }
}

fn word_at(record: &Endpoint, offset: usize) -> u64 {
    bytes_of(record)
        .get(offset..)
        .and_then(from_bytes)
        .unwrap_or(0)
}

/// The two inline forms of an endpoint's addresses.
pub(crate) fn inline(addresses: &[IpAddr]) -> (u32, abi::Address) {
    let mut forms = (0, abi::Address::default());
    for address in addresses {
        match address {
            IpAddr::V4(v4) => forms.0 = u32::from_ne_bytes(v4.octets()),
            IpAddr::V6(v6) => forms.1 = abi::Address(v6.octets()),
        }
    }
    forms
}
