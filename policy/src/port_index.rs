//! Who calls which port by which name.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use porin_identity::IdentityId;

use crate::PortNames;
use crate::bits::Bits;
use crate::map_state::IdentityHash;
use crate::selector_cache::PortName;

/// The port names of identities, and by name and number the slots of those who have them.
#[derive(Debug, Default)]
pub(crate) struct PortIndex {
    names: HashMap<IdentityId, PortNames, IdentityHash>,
    who: HashMap<PortName, BTreeMap<u16, Bits>>,
}

impl PortIndex {
    pub(crate) fn names(&self, id: IdentityId) -> Option<&PortNames> {
        self.names.get(&id)
    }

    /// The numbers of a name, in order.
    pub(crate) fn numbers(&self, name: &PortName) -> Vec<u16> {
        let numbers = self.who.get(name).into_iter().flat_map(BTreeMap::keys);
        numbers.copied().collect()
    }

    pub(crate) fn who(&self, name: &PortName, port: u16) -> Option<&Bits> {
        self.who.get(name)?.get(&port)
    }

    /// An identity got a slot.
    pub(crate) fn add(&mut self, id: IdentityId, slot: u32) {
        let Some(names) = self.names.get(&id) else {
            return;
        };
        for (name, protocol, port) in names.iter() {
            let numbers = self.who.entry((Arc::clone(name), protocol)).or_default();
            numbers.entry(port).or_default().insert(slot);
        }
    }

    /// An identity lost its slot.
    pub(crate) fn remove(&mut self, id: IdentityId, slot: u32) {
        let Some(names) = self.names.get(&id) else {
            return;
        };
        for (name, protocol, port) in names.iter() {
            let name = (Arc::clone(name), protocol);
            let Some(numbers) = self.who.get_mut(&name) else {
                continue;
            };
            if let Some(slots) = numbers.get_mut(&port) {
                slots.remove(slot);
                if slots.is_empty() {
                    numbers.remove(&port);
                }
            }
            if numbers.is_empty() {
                self.who.remove(&name);
            }
        }
    }

    /// Gives an identity other names; whether they are others.
    pub(crate) fn set(&mut self, id: IdentityId, slot: Option<u32>, names: PortNames) -> bool {
        if self
            .names
            .get(&id)
            .map_or(names.is_empty(), |old| *old == names)
        {
            return false;
        }
        if let Some(slot) = slot {
            self.remove(id, slot);
        }
        if names.is_empty() {
            self.names.remove(&id);
        } else {
            self.names.insert(id, names);
        }
        if let Some(slot) = slot {
            self.add(id, slot);
        }
        true
    }
}
