//! Endpoints: made known, made ready, renamed, removed.

use std::net::IpAddr;

use porin_flow::EndpointId;
use porin_identity::IdentityId;

use crate::abi::{Address, Cell, Endpoint, IDENTITY_MAX};
use crate::datapath::{Datapath, Known};
use crate::error::{ApplyError, AttachError, MapError};
use crate::link::{Attachment, Target};
use crate::sys::{LinkPosition, TcxHook};
use crate::tables::inline;

/// A workload at the host side of a veth pair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointSpec {
    /// Its number in observations; not 0.
    pub id: EndpointId,
    /// The device of the host's side, in the calling thread's network namespace.
    pub ifindex: u32,
    /// Who it is; of 25 bits, not 0.
    pub identity: IdentityId,
    /// The addresses it may send from and receive at: at most one of each family.
    pub addresses: Vec<IpAddr>,
}

/// What the kernel holds of an endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointDump {
    /// How it was made known.
    pub spec: EndpointSpec,
    /// Whether its packets are judged; otherwise all are dropped.
    pub ready: bool,
    /// Epoch of its policy; 0 before any is installed.
    pub epoch: u64,
    /// Slot of its policy table; equal for endpoints of equal policy.
    pub table: u32,
}

impl Datapath {
    /// Makes an endpoint known and attaches the programs to its device. From
    /// now on every packet from or to it is dropped (`NOT_READY`), until a
    /// policy is [installed](Self::install) and it is [made ready](Self::set_ready).
    ///
    /// Its addresses become its alone: packets that bear them and come from
    /// elsewhere are dropped as forged.
    ///
    /// # Errors
    ///
    /// [`AttachError`] says which part of `spec` cannot be; nothing is changed then.
    pub fn add_endpoint(&mut self, spec: EndpointSpec) -> Result<(), AttachError> {
        self.check_spec(&spec)?;
        let slot = self.take_endpoint_slot(spec.ifindex)?;
        let record = self.record(&spec);
        self.endpoints.insert(slot, &record)?;
        let id = spec.id;
        let known = Known {
            slot,
            spec,
            attachments: Vec::new(),
        };
        let added = self.connect(known);
        if added.is_err() {
            // What was made is taken back; the first error is the one that tells why.
            let _ = self.remove_endpoint(id);
        }
        added
    }

    /// Puts another endpoint in the place of one: number and device stay, and so
    /// do the programs at the device, so that no packet passes unjudged in
    /// between. It begins like an [added](Self::add_endpoint) one, without a
    /// policy, not ready, and inherits nothing.
    ///
    /// # Errors
    ///
    /// [`AttachError`]. If identity or addresses cannot be, the endpoint is as it
    /// was; if the kernel refuses to write them, it is not ready.
    pub fn replace_endpoint(
        &mut self,
        id: EndpointId,
        identity: IdentityId,
        addresses: Vec<IpAddr>,
    ) -> Result<(), AttachError> {
        let known = self
            .known
            .get(&id)
            .ok_or(AttachError::UnknownEndpoint(id))?;
        let (old_slot, old) = (known.slot, known.spec.clone());
        let spec = EndpointSpec {
            identity,
            addresses,
            ..old.clone()
        };
        spec.check()?;
        let fresh = |address: &&IpAddr| !old.addresses.contains(address);
        self.check_addresses(spec.addresses.iter().filter(fresh))?;
        let slot = self.take_endpoint_slot(spec.ifindex)?;
        let table = self.endpoints.cell(old_slot).table();
        self.endpoints.set_cell(old_slot, Cell::default());
        self.policies.release(table);
        let moved = self.move_addresses(&old, &spec);
        self.endpoints.raise_address_epoch();
        let record = self.record(&spec);
        let placed = self.endpoints.replace(old_slot, slot, &record);
        if let (Ok(()), Some(known)) = (&placed, self.known.get_mut(&id)) {
            known.slot = slot;
            known.spec = spec;
        }
        Ok(moved.and(placed)?)
    }

    fn move_addresses(&mut self, old: &EndpointSpec, new: &EndpointSpec) -> Result<(), MapError> {
        for address in &old.addresses {
            if !new.addresses.contains(address) {
                self.addresses.disclaim(*address)?;
            }
        }
        let mut addresses = new.addresses.iter();
        addresses.try_for_each(|address| self.addresses.claim(*address, new.identity))
    }

    fn record(&self, spec: &EndpointSpec) -> Endpoint {
        let (ipv4, ipv6) = inline(&spec.addresses);
        Endpoint {
            born: self.endpoints.born(),
            ifindex: spec.ifindex,
            id: spec.id.get(),
            identity: spec.identity.get(),
            ipv4,
            ipv6,
            ..Endpoint::default()
        }
    }

    fn connect(&mut self, known: Known) -> Result<(), AttachError> {
        let (id, ifindex, identity) = (known.spec.id, known.spec.ifindex, known.spec.identity);
        let addresses = known.spec.addresses.clone();
        self.known.insert(id, known);
        for address in addresses {
            self.addresses.claim(address, identity)?;
        }
        self.endpoints.raise_address_epoch();
        for hook in [TcxHook::Ingress, TcxHook::Egress] {
            let attachment = self.attach(id, Target { ifindex, hook })?;
            if let Some(known) = self.known.get_mut(&id) {
                known.attachments.push(attachment);
            }
        }
        Ok(())
    }

    /// First of its hook, so that nobody who ends the chain hides a packet from us.
    pub(crate) fn attach(&self, id: EndpointId, target: Target) -> Result<Attachment, AttachError> {
        let (program, mode) = (self.program_at(target.hook), self.config.attach);
        let first = LinkPosition::First;
        match &self.pins {
            Some(pins) => {
                let path = pins.link_path(id, target.hook);
                Attachment::attach_pinned(program, target, mode, first, &path)
            }
            None => Attachment::attach(program, target, mode, first),
        }
    }

    fn check_spec(&self, spec: &EndpointSpec) -> Result<(), AttachError> {
        if self.known.contains_key(&spec.id)
            || self.is_host(spec.id)
            || self.groups.contains_key(&spec.id)
        {
            return Err(AttachError::Duplicate(spec.id));
        }
        let same_device = |known: &&Known| known.spec.ifindex == spec.ifindex;
        if let Some(other) = self.known.values().find(same_device) {
            return Err(AttachError::Duplicate(other.spec.id));
        }
        spec.check()?;
        self.check_addresses(spec.addresses.iter())
    }

    /// Nobody has them, and there is room for them.
    fn check_addresses<'a>(
        &self,
        addresses: impl Iterator<Item = &'a IpAddr>,
    ) -> Result<(), AttachError> {
        let mut count = 0;
        for address in addresses {
            if self.addresses.is_local(*address) {
                return Err(AttachError::AddressTaken(*address));
            }
            count += 1;
        }
        Ok(self.addresses.check_exact(count)?)
    }

    fn take_endpoint_slot(&mut self, ifindex: u32) -> Result<u32, AttachError> {
        if let Some(slot) = self.endpoints.take(ifindex) {
            return Ok(slot);
        }
        self.wait_grace()?;
        self.endpoints.take(ifindex).ok_or(AttachError::Capacity {
            capacity: self.endpoints.capacity(),
        })
    }

    /// Opens the gate: from now on packets are judged by the policy that is installed.
    ///
    /// # Errors
    ///
    /// [`ApplyError::NoPolicy`] if none is installed yet.
    pub fn set_ready(&mut self, id: EndpointId) -> Result<(), ApplyError> {
        let slot = self.slot(id)?;
        let cell = self.endpoints.cell(slot);
        if cell.epoch() == 0 {
            return Err(ApplyError::NoPolicy(id));
        }
        self.endpoints.set_cell(slot, cell.made_ready());
        Ok(())
    }

    /// Shuts the gate: every packet is dropped (`NOT_READY`) until it is made
    /// ready again. What several calls change together is then seen whole.
    ///
    /// # Errors
    ///
    /// [`ApplyError::UnknownEndpoint`].
    pub fn set_held(&mut self, id: EndpointId) -> Result<(), ApplyError> {
        let slot = self.slot(id)?;
        let cell = self.endpoints.cell(slot);
        let shut = Cell::new(cell.epoch(), cell.table(), false);
        self.endpoints.set_cell(slot, shut);
        Ok(())
    }

    /// Gives an endpoint another identity. Every flow of the node is judged
    /// anew by its next packet, under the new name.
    ///
    /// # Errors
    ///
    /// [`ApplyError`]; the old identity stays then.
    pub fn set_identity(&mut self, id: EndpointId, identity: IdentityId) -> Result<(), ApplyError> {
        let slot = self.slot(id)?;
        if !fits(identity) {
            return Err(ApplyError::Identity(identity));
        }
        let Some(known) = self.known.get_mut(&id) else {
            return Err(ApplyError::UnknownEndpoint(id));
        };
        // The table first: whoever is judged in between bears a name that the
        // table does not know, and is dropped rather than taken for another.
        let addresses = &mut self.addresses;
        let mut claim = |identity| {
            let mut own = known.spec.addresses.iter();
            own.try_for_each(|address| addresses.claim(*address, identity))
        };
        if let Err(error) = claim(identity) {
            // What was written is written over; an address that resists bears a
            // name that the record contradicts, and is dropped.
            let _ = claim(known.spec.identity);
            // Who was judged in between is judged again.
            self.endpoints.raise_address_epoch();
            return Err(error.into());
        }
        known.spec.identity = identity;
        self.endpoints.set_identity(slot, identity.get());
        self.endpoints.raise_address_epoch();
        Ok(())
    }

    /// Ends everything an endpoint may do at `until` (nanoseconds of
    /// `CLOCK_MONOTONIC`), without user space having to be there; `None` never.
    ///
    /// # Errors
    ///
    /// [`ApplyError::UnknownEndpoint`].
    pub fn set_lease(&mut self, id: EndpointId, until: Option<u64>) -> Result<(), ApplyError> {
        self.endpoints.set_lease(self.slot(id)?, until.unwrap_or(0));
        Ok(())
    }

    /// Delivers what other endpoints of this node send to this one straight into its namespace, at
    /// this link address, or (`None`, as at the beginning) through the stack of the host.
    ///
    /// Only packets of a connection that both ends have allowed take the short way, judged for both
    /// where they leave the sender. They do not meet the host's own firewall, nor other programs
    /// behind ours at the two hooks, nor a smaller MTU on the way. The device must be one end of a
    /// veth pair.
    ///
    /// Source: `bpf_redirect_peer` in `bpf-helpers(7)`.
    ///
    /// # Errors
    ///
    /// [`ApplyError::UnknownEndpoint`].
    pub fn set_delivery(&mut self, id: EndpointId, mac: Option<[u8; 6]>) -> Result<(), ApplyError> {
        self.endpoints.set_delivery(self.slot(id)?, mac);
        Ok(())
    }

    /// Takes an endpoint out: its packets are dropped first, its addresses
    /// become nobody's, its flows count no more, and last the programs leave
    /// its device. What the device carries afterwards is not ours to judge.
    ///
    /// # Errors
    ///
    /// [`AttachError`]; the endpoint is unknown afterwards all the same.
    pub fn remove_endpoint(&mut self, id: EndpointId) -> Result<(), AttachError> {
        let known = self
            .known
            .remove(&id)
            .ok_or(AttachError::UnknownEndpoint(id))?;
        let table = self.endpoints.cell(known.slot).table();
        self.endpoints.set_cell(known.slot, Cell::default());
        let mut result = Ok(());
        for address in &known.spec.addresses {
            result = result.and(self.addresses.disclaim(*address).map_err(AttachError::from));
        }
        self.endpoints.raise_address_epoch();
        for attachment in known.attachments {
            result = result.and(attachment.detach());
        }
        self.policies.release(table);
        let removed = self.endpoints.remove(known.slot, known.spec.ifindex);
        result.and(removed.map_err(AttachError::from))
    }

    /// What the kernel holds of every endpoint, by number.
    #[must_use]
    pub fn endpoints(&self) -> Vec<EndpointDump> {
        self.known
            .values()
            .map(|known| {
                let cell = self.endpoints.cell(known.slot);
                EndpointDump {
                    spec: known.spec.clone(),
                    ready: cell.ready(),
                    epoch: cell.epoch(),
                    table: cell.table(),
                }
            })
            .collect()
    }

    pub(crate) fn slot(&self, id: EndpointId) -> Result<u32, ApplyError> {
        let known = self.known.get(&id);
        known
            .map(|known| known.slot)
            .ok_or(ApplyError::UnknownEndpoint(id))
    }
}

fn fits(identity: IdentityId) -> bool {
    (1..=IDENTITY_MAX).contains(&identity.get())
}

impl EndpointSpec {
    /// Whether it can be, whoever else is there.
    ///
    /// # Errors
    ///
    /// [`AttachError::Identity`] and [`AttachError::Addresses`].
    pub fn check(&self) -> Result<(), AttachError> {
        if self.id == EndpointId::NONE || !fits(self.identity) {
            return Err(AttachError::Identity(self.identity));
        }
        let families = |v4| {
            self.addresses
                .iter()
                .filter(move |address| address.is_ipv4() == v4)
        };
        if families(true).count() > 1 || families(false).count() > 1 {
            return Err(AttachError::Addresses);
        }
        // An IPv4 address in IPv6 clothes would be taken for the IPv4 address.
        let odd = |address: &IpAddr| {
            address.is_unspecified() || IpAddr::from(Address::from(*address)) != *address
        };
        if self.addresses.iter().any(odd) {
            return Err(AttachError::Addresses);
        }
        Ok(())
    }

    /// The spec that a record was made from.
    pub(crate) fn of(record: &Endpoint) -> Self {
        Self {
            id: EndpointId::new(record.id),
            ifindex: record.ifindex,
            identity: IdentityId::new(record.identity),
            addresses: record.addresses().collect(),
        }
    }
}
