//! Addresses and prefixes: whom a packet's far end belongs to.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use porin_identity::IdentityId;

use crate::abi::{Address, Owner, Prefix};
use crate::error::{ApplyError, MapError};
use crate::sys::{Map, MapShape, TypedMap};

/// The exact addresses and the prefix trie.
///
/// An address of an endpoint of this node is the endpoint's alone: what others
/// say of it rests until the endpoint is gone.
#[derive(Debug)]
pub(crate) struct AddressTable {
    exact: TypedMap<Address, Owner>,
    trie: TypedMap<Prefix, Owner>,
    local: BTreeMap<IpAddr, IdentityId>,
    remote: BTreeMap<IpNet, IdentityId>,
    exact_max: usize,
    trie_max: usize,
}

impl AddressTable {
    /// Takes over the two maps and reads what is in them.
    pub(crate) fn new(
        (exact, exact_shape): (Map, &MapShape),
        (trie, trie_shape): (Map, &MapShape),
    ) -> Result<Self, MapError> {
        let mut table = Self {
            exact: TypedMap::new(exact, exact_shape)?,
            trie: TypedMap::new(trie, trie_shape)?,
            local: BTreeMap::new(),
            remote: BTreeMap::new(),
            exact_max: exact_shape.max_entries as usize,
            trie_max: trie_shape.max_entries as usize,
        };
        for (address, owner) in table.exact.entries()? {
            let (address, identity) = (IpAddr::from(address), IdentityId::new(owner.identity));
            if owner.flags & Owner::LOCAL != 0 {
                table.local.insert(address, identity);
            } else {
                table.remote.insert(IpNet::from(address), identity);
            }
        }
        for (prefix, owner) in table.trie.entries()? {
            if let Some(net) = decode(&prefix) {
                table.remote.insert(net, IdentityId::new(owner.identity));
            }
        }
        Ok(table)
    }

    /// Whether an endpoint of this node has the address.
    pub(crate) fn is_local(&self, address: IpAddr) -> bool {
        self.local.contains_key(&address)
    }

    /// Whether an endpoint of this node has the address under this name.
    pub(crate) fn is_of(&self, address: IpAddr, identity: IdentityId) -> bool {
        self.local.get(&address) == Some(&identity)
    }

    /// The addresses that endpoints of this node are recorded with.
    pub(crate) fn local(&self) -> impl Iterator<Item = IpAddr> {
        self.local.keys().copied()
    }

    /// Every block with its identity, as it was given.
    pub(crate) fn remote(&self) -> impl Iterator<Item = (IpNet, IdentityId)> {
        self.remote.iter().map(|(net, identity)| (*net, *identity))
    }

    /// Makes an address an endpoint's own.
    pub(crate) fn claim(&mut self, address: IpAddr, identity: IdentityId) -> Result<(), MapError> {
        self.exact.set(&address.into(), &local(identity))?;
        self.local.insert(address, identity);
        Ok(())
    }

    /// The endpoint is gone: the address is what others say of it, or nobody's.
    pub(crate) fn disclaim(&mut self, address: IpAddr) -> Result<(), MapError> {
        match self.remote.get(&IpNet::from(address)) {
            Some(identity) => self.exact.set(&address.into(), &remote(*identity))?,
            None => {
                self.exact.remove(&address.into())?;
            }
        }
        self.local.remove(&address);
        Ok(())
    }

    /// Whom an address belongs to, as the programs find it: `None` if no table knows it.
    pub(crate) fn identity_of(&self, address: IpAddr) -> Option<IdentityId> {
        if let Some(identity) = self.local.get(&address) {
            return Some(*identity);
        }
        let longest = IpNet::from(address).max_prefix_len();
        (0..=longest).rev().find_map(|length| {
            let net = IpNet::new(address, length).ok()?.trunc();
            self.remote.get(&net).copied()
        })
    }

    /// How many entries the two tables have.
    pub(crate) fn usage(&self) -> (usize, usize) {
        let exact = self.remote.keys().filter(|net| is_exact(net));
        let shared = exact.clone().filter(|net| self.is_local(net.addr()));
        let exact_entries = self.local.len() + exact.clone().count() - shared.count();
        (exact_entries, self.remote.len() - exact.count())
    }

    /// Room for `count` more exact addresses?
    pub(crate) fn check_exact(&self, count: usize) -> Result<(), ApplyError> {
        let held = self.local.len() + self.remote.keys().filter(|net| is_exact(net)).count();
        check("the table of addresses", held + count, self.exact_max)
    }

    /// Sets or, with `None`, removes blocks. `true` if any address may mean
    /// somebody else now. Room is checked before anything is written.
    pub(crate) fn apply(
        &mut self,
        changes: &[(IpNet, Option<IdentityId>)],
    ) -> Result<bool, ApplyError> {
        let changes = self.effective(changes);
        self.check(&changes)?;
        for (net, identity) in &changes {
            match identity {
                Some(identity) => self.put(*net, *identity)?,
                None => self.take(*net)?,
            }
        }
        Ok(!changes.is_empty())
    }

    /// The last word on each block, without what is so already.
    fn effective(
        &self,
        changes: &[(IpNet, Option<IdentityId>)],
    ) -> BTreeMap<IpNet, Option<IdentityId>> {
        let mut last: BTreeMap<_, _> = changes.iter().map(|(net, to)| (net.trunc(), *to)).collect();
        last.retain(|net, to| !is_mapped(net) && self.remote.get(net).copied() != *to);
        last
    }

    fn check(&self, changes: &BTreeMap<IpNet, Option<IdentityId>>) -> Result<(), ApplyError> {
        let added = |exact: bool| {
            let wanted = |net: &IpNet| is_exact(net) == exact;
            let held = self.remote.keys().filter(|net| wanted(net)).count();
            let new = changes
                .iter()
                .filter(|(net, to)| wanted(net) && to.is_some() && !self.remote.contains_key(net));
            held + new.count()
        };
        check(
            "the table of addresses",
            added(true) + self.local.len(),
            self.exact_max,
        )?;
        check("the table of prefixes", added(false), self.trie_max)
    }

    fn put(&mut self, net: IpNet, identity: IdentityId) -> Result<(), MapError> {
        if !is_exact(&net) {
            self.trie.set(&encode(net), &block(net, identity))?;
        } else if !self.is_local(net.addr()) {
            self.exact.set(&net.addr().into(), &remote(identity))?;
        }
        self.remote.insert(net, identity);
        Ok(())
    }

    fn take(&mut self, net: IpNet) -> Result<(), MapError> {
        if !is_exact(&net) {
            self.trie.remove(&encode(net))?;
        } else if !self.is_local(net.addr()) {
            self.exact.remove(&net.addr().into())?;
        }
        self.remote.remove(&net);
        Ok(())
    }
}

pub(super) fn check(what: &'static str, needed: usize, capacity: usize) -> Result<(), ApplyError> {
    if needed > capacity {
        return Err(ApplyError::Capacity {
            what,
            needed,
            capacity,
        });
    }
    Ok(())
}

/// Inside of `::ffff:0:0/96`: no packet may bear such an IPv6 address, and in
/// the tables it would be an IPv4 block.
fn is_mapped(net: &IpNet) -> bool {
    matches!(net, IpNet::V6(v6) if v6.prefix_len() >= 96 && v6.addr().to_ipv4_mapped().is_some())
}

fn block(net: IpNet, identity: IdentityId) -> Owner {
    Owner {
        identity: identity.get(),
        flags: if net.addr().is_ipv6() { Owner::IPV6 } else { 0 },
    }
}

fn is_exact(net: &IpNet) -> bool {
    net.prefix_len() == net.max_prefix_len()
}

const fn remote(identity: IdentityId) -> Owner {
    Owner {
        identity: identity.get(),
        flags: 0,
    }
}

const fn local(identity: IdentityId) -> Owner {
    Owner {
        identity: identity.get(),
        flags: Owner::LOCAL,
    }
}

pub(super) fn encode(net: IpNet) -> Prefix {
    let mapped = if net.addr().is_ipv4() { 96 } else { 0 };
    Prefix {
        length: u32::from(net.prefix_len()) + mapped,
        address: Address::from(net.network()).0,
    }
}

pub(super) fn decode(prefix: &Prefix) -> Option<IpNet> {
    let length = u8::try_from(prefix.length).ok()?;
    match IpAddr::from(Address(prefix.address)) {
        IpAddr::V4(address) if length >= 96 => IpNet::new(IpAddr::V4(address), length - 96).ok(),
        _ => IpNet::new(std::net::Ipv6Addr::from(prefix.address).into(), length).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_are_read_back() -> Result<(), ipnet::AddrParseError> {
        for text in [
            "10.0.0.0/8",
            "0.0.0.0/0",
            "2001:db8::/32",
            "::/0",
            "192.0.2.0/31",
        ] {
            let net: IpNet = text.parse()?;
            assert_eq!(decode(&encode(net)), Some(net), "{text}");
        }
        Ok(())
    }
}
