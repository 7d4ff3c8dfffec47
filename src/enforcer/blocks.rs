//! Blocks of addresses that policies name, and every claim on a prefix.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;

use crate::datapath::{ApplyError, Datapath};
use crate::identity::{
    AllocateError, Binding, Generation, Identities, IdentityId, Label, OwnerId, PrefixEntry,
    PrefixError, PrefixTable, Source,
};

/// The policy set and the node are owners like every endpoint; theirs are the first numbers.
const POLICIES: OwnerId = OwnerId::new(0);
const NODE: OwnerId = OwnerId::new(1);
/// The number of the first endpoint.
const FIRST_ENDPOINT: u64 = 2;

/// Every claim is made once: an owner that returns gets a new number.
const ONCE: Generation = Generation::new(1);

/// The prefix table of a node, and the identities that it holds for blocks.
#[derive(Debug)]
pub(super) struct Blocks {
    table: PrefixTable,
    held: BTreeMap<IpNet, IdentityId>,
    next_owner: u64,
    /// Prefixes that may lead elsewhere than the kernel knows.
    unwritten: BTreeSet<IpNet>,
}

/// Blocks that got an identity, or another one than they had.
#[derive(Debug, Default)]
pub(super) struct Held {
    pub(super) new: BTreeSet<IpNet>,
    /// The identities before.
    pub(super) replaced: BTreeMap<IpNet, IdentityId>,
}

impl Held {
    fn note(&mut self, block: IpNet, before: Option<IdentityId>) {
        match before {
            None => drop(self.new.insert(block)),
            Some(before) => drop(self.replaced.insert(block, before)),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.new.is_empty() && self.replaced.is_empty()
    }

    fn blocks(&self) -> impl Iterator<Item = &IpNet> {
        self.new.iter().chain(self.replaced.keys())
    }
}

impl Blocks {
    pub(super) fn new() -> Self {
        Self {
            table: PrefixTable::new(),
            held: BTreeMap::new(),
            next_owner: FIRST_ENDPOINT,
            unwritten: BTreeSet::new(),
        }
    }

    /// An owner that there never was.
    pub(super) fn owner(&mut self) -> OwnerId {
        let owner = OwnerId::new(self.next_owner);
        self.next_owner = self.next_owner.wrapping_add(1);
        owner
    }

    /// Claims the node's own addresses.
    pub(super) fn claim_node(&mut self, addresses: &[IpAddr]) -> Result<(), PrefixError> {
        for address in addresses {
            let entry = entry(IdentityId::HOST, Source::Node, NODE);
            self.table
                .upsert(IpNet::from(*address), entry, Duration::ZERO)?;
        }
        Ok(())
    }

    /// Claims the addresses of an endpoint. The datapath judges local packets by the device they
    /// left and has forgotten the flows of whoever had the address before, so nothing has to rest.
    pub(super) fn claim_endpoint(
        &mut self,
        owner: OwnerId,
        identity: IdentityId,
        addresses: &[IpAddr],
        now: Duration,
    ) -> Result<(), PrefixError> {
        for address in addresses {
            let prefix = IpNet::from(*address);
            self.table
                .upsert(prefix, entry(identity, Source::Local, owner), now)?;
            self.table.confirm(prefix, owner, ONCE);
        }
        Ok(())
    }

    /// Takes the claims of an endpoint back.
    pub(super) fn leave(&mut self, owner: OwnerId, addresses: &[IpAddr], now: Duration) {
        for address in addresses {
            self.table.remove(IpNet::from(*address), owner, ONCE, now);
        }
    }

    /// Gives an identity to every block that has none yet, and another to those whose labels have
    /// changed with the groups they stand in. When one fails, nothing has changed.
    pub(super) fn hold(
        &mut self,
        wanted: &BTreeMap<IpNet, Vec<Label>>,
        identities: &mut Identities,
        now: Duration,
    ) -> Result<Held, AllocateError> {
        let mut held = Held::default();
        for (block, groups) in wanted {
            // Every address of a family is the world, which has its identity.
            if block.prefix_len() == 0 {
                continue;
            }
            let before = self.held.get(block).copied();
            let labels = identities.local_labels(*block, groups.iter().cloned());
            if before.is_some_and(|id| identities.labels(id) == Some(&labels)) {
                continue;
            }
            match identities.intern_local(*block, groups.iter().cloned()) {
                Ok(interned) => {
                    self.held.insert(*block, interned.id);
                    held.note(*block, before);
                }
                Err(error) => {
                    self.let_go(&held, identities, now);
                    return Err(error);
                }
            }
        }
        Ok(held)
    }

    /// Claims blocks for their identities.
    pub(super) fn claim(&mut self, held: &Held, now: Duration) -> Result<(), PrefixError> {
        for block in held.blocks() {
            if let Some(identity) = self.held.get(block) {
                self.table
                    .upsert(*block, entry(*identity, Source::Policy, POLICIES), now)?;
            }
        }
        Ok(())
    }

    /// Gives back the identities that other ones have replaced.
    pub(super) fn settle(&mut self, held: &Held, identities: &mut Identities, now: Duration) {
        for identity in held.replaced.values() {
            // Held since an earlier `hold`, so the registry knows it.
            let _ = identities.release(*identity, now);
        }
    }

    /// Takes back what [`Blocks::hold`] did; the blocks that had an identity before have it again.
    pub(super) fn let_go(&mut self, held: &Held, identities: &mut Identities, now: Duration) {
        self.release(&held.new, identities, now);
        for (block, before) in &held.replaced {
            if let Some(identity) = self.held.insert(*block, *before) {
                let _ = identities.release(identity, now);
            }
        }
    }

    /// The blocks held that are not wanted.
    pub(super) fn unwanted(&self, wanted: &BTreeMap<IpNet, Vec<Label>>) -> BTreeSet<IpNet> {
        self.held
            .keys()
            .filter(|block| !wanted.contains_key(block))
            .copied()
            .collect()
    }

    /// Takes the claims on blocks back; their identities stay until [`Blocks::release`].
    pub(super) fn disclaim(&mut self, blocks: &BTreeSet<IpNet>, now: Duration) {
        for block in blocks {
            self.table.remove(*block, POLICIES, ONCE, now);
        }
    }

    /// Gives the identities of blocks back.
    pub(super) fn release(
        &mut self,
        blocks: &BTreeSet<IpNet>,
        identities: &mut Identities,
        now: Duration,
    ) {
        for block in blocks {
            if let Some(identity) = self.held.remove(block) {
                // Held since `hold`, so the registry knows it.
                let _ = identities.release(identity, now);
            }
        }
    }

    /// Ends the rest of addresses whose time has come.
    pub(super) fn expire(&mut self, now: Duration) {
        self.table.expire(now);
    }

    /// Does anybody claim this prefix?
    pub(super) fn claims(&self, prefix: &IpNet) -> bool {
        self.table.binding(prefix) != Binding::Unbound
    }

    /// Brings the kernel's tables in line, in one batch. The addresses of local endpoints are not
    /// written here: they come and go with their endpoint. What fails is tried again next time.
    pub(super) fn write(&mut self, datapath: &mut Datapath) -> Result<(), ApplyError> {
        for change in self.table.take_delta() {
            self.unwritten.insert(change.prefix);
        }
        if self.unwritten.is_empty() {
            return Ok(());
        }
        let changes: Vec<_> = self
            .unwritten
            .iter()
            .filter_map(|prefix| self.kernel_form(*prefix))
            .collect();
        datapath.apply_prefixes(&changes)?;
        self.unwritten.clear();
        Ok(())
    }

    fn kernel_form(&self, prefix: IpNet) -> Option<(IpNet, Option<IdentityId>)> {
        let found = self.table.lookup(prefix.addr());
        let local = found
            .is_some_and(|(longest, claim)| longest == prefix && claim.source == Source::Local);
        match self.table.binding(&prefix) {
            Binding::Identity(_) if local => None,
            Binding::Identity(identity) => Some((prefix, Some(identity))),
            // Nobody: no rule that names a peer fits.
            Binding::Quarantined => Some((prefix, Some(IdentityId::UNKNOWN))),
            Binding::Unbound => Some((prefix, None)),
        }
    }
}

fn entry(identity: IdentityId, source: Source, owner: OwnerId) -> PrefixEntry {
    PrefixEntry {
        identity,
        source,
        owner,
        generation: ONCE,
    }
}
