//! Who exists, by number.

use std::net::IpAddr;

use ipnet::IpNet;
use porin_identity::{Identities, IdentityId, Labels, Snapshot};

use super::error::AskError;
use super::party::{Party, PartyKind};
use super::place::{Place, labels};
use crate::{NamedPorts, Options, PolicySet};

/// Everybody in a world, and every block that policies name, each with an identity.
///
/// Made for all the sets that are to be compared, so that a number means the same in each.
///
/// ```
/// use porin_policy::{Options, PolicySet, World};
/// use porin_policy::ask::Census;
/// let world = World::parse("world.yaml", "workloads: [{name: web, namespace: shop}]")?;
/// let set = PolicySet::new(Options::new());
/// let census = Census::new(&world, &[&set])?;
/// assert_eq!(&*census.party("web")?.name, "shop/web");
/// assert!(!census.party("203.0.113.7")?.is_guarded());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Census {
    pub(super) identities: Identities,
    pub(super) options: Options,
    /// The blocks that policies name and those that DNS names lead to, the narrowest first.
    pub(super) places: Vec<Place>,
    pub(super) parties: Vec<Party>,
    pub(super) everybody: Vec<Party>,
    pub(super) addresses: Vec<(IpAddr, Party)>,
    pub(super) names: NamedPorts,
    /// Who has an identity of their own because rules tell them apart by these addresses.
    pub(super) members: Vec<(IdentityId, Vec<IpAddr>)>,
    /// The ranges of the world file.
    pub(super) ranges: Vec<IpNet>,
}

impl Census {
    /// Counts somebody of whom only the labels are known, such as an end of a recorded flow.
    ///
    /// # Errors
    /// [`AskError::Allocate`].
    pub fn admit(&mut self, labels: &Labels) -> Result<IdentityId, AskError> {
        match self.identities.find(labels) {
            Some(known) => Ok(known),
            None => Ok(self.identities.intern(labels.clone())?.id),
        }
    }

    /// The settings of the sets that it was made for.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// All identities, with the labels that a set gives to blocks: those of its CIDR groups, and of
    /// the DNS names that its rules speak of.
    ///
    /// # Errors
    /// [`AskError::Allocate`].
    pub fn identities(&self, set: &PolicySet) -> Result<Snapshot, AskError> {
        let places = self.places.iter();
        let places = places.map(|place| (place.identity, labels(place, &self.places, set)));
        let criteria = set.criteria();
        let members = self.members.iter();
        let members = members.map(|(id, addresses)| (*id, criteria.group_labels(addresses)));
        let labelled: Vec<_> = places
            .chain(members)
            .filter(|(_, labels)| !labels.is_empty())
            .collect();
        if labelled.is_empty() {
            return Ok(self.identities.snapshot());
        }
        let mut identities = Identities::new(self.options.families);
        for (id, known) in self.identities.iter() {
            let mut labels = known.clone();
            for (_, more) in labelled.iter().filter(|(own, _)| *own == id) {
                labels = labels.with(more.iter().cloned());
            }
            identities.insert_fixed(id, labels)?;
        }
        Ok(identities.snapshot())
    }

    /// The labels of an identity.
    #[must_use]
    pub fn labels(&self, identity: IdentityId) -> Option<&Labels> {
        self.identities.labels(identity)
    }

    /// The identity that has exactly these labels.
    #[must_use]
    pub fn find(&self, labels: &Labels) -> Option<IdentityId> {
        self.identities.find(labels)
    }

    /// The named ports of all workloads.
    #[must_use]
    pub fn named_ports(&self) -> &NamedPorts {
        &self.names
    }

    /// The workloads and the ranges of the world file, in its order.
    #[must_use]
    pub fn parties(&self) -> &[Party] {
        &self.parties
    }

    /// The workloads, in the order of the world file.
    pub fn workloads(&self) -> impl Iterator<Item = &Party> {
        self.parties.iter().filter(|party| party.is_guarded())
    }

    /// Everybody that a question about the whole world has to try: the parties; blocks that
    /// policies name; entities; a workload without labels of each namespace and of one that nobody
    /// lives in; and whoever no selector picks.
    #[must_use]
    pub fn everybody(&self) -> &[Party] {
        &self.everybody
    }

    /// The party of a name: a workload (`NAME` or `NAMESPACE/NAME`), a range of the world file, an
    /// address, or an entity such as `world`.
    ///
    /// # Errors
    /// [`AskError::Nobody`].
    pub fn party(&self, name: &str) -> Result<Party, AskError> {
        let is = |party: &&Party| {
            let bare = party.name.rsplit_once('/').map(|(_, bare)| bare);
            *party.name == *name || bare == Some(name)
        };
        if let Some(party) = self.parties.iter().find(is) {
            return Ok(party.clone());
        }
        if let Ok(address) = name.parse::<IpAddr>() {
            return Ok(self.at(address));
        }
        match IdentityId::from_reserved_name(name) {
            Some(identity) => Ok(entity(identity)),
            None => Err(self.nobody(name)),
        }
    }

    /// Who has an address.
    #[must_use]
    pub fn at(&self, address: IpAddr) -> Party {
        let owner = self.addresses.iter().find(|(own, _)| *own == address);
        match owner {
            Some((_, party)) => party.clone(),
            None => {
                let identity = self.identity_of(address);
                Party::new(address.to_string(), identity, PartyKind::Outside)
            }
        }
    }

    /// The addresses of a workload.
    pub(crate) fn addresses_of(&self, party: &Party) -> Vec<IpAddr> {
        let own = self.addresses.iter().filter(|(_, owner)| owner == party);
        own.map(|(address, _)| *address).collect()
    }

    /// Whether a range of the world file holds an address.
    pub(super) fn is_in_range(&self, address: IpAddr) -> bool {
        self.ranges.iter().any(|range| range.contains(&address))
    }

    /// The longest block around an address decides; the whole of each family is always there.
    pub(super) fn identity_of(&self, address: IpAddr) -> IdentityId {
        let around = self
            .places
            .iter()
            .find(|place| place.block.contains(&address));
        around.map_or(IdentityId::WORLD, |place| place.identity)
    }

    fn nobody(&self, name: &str) -> AskError {
        let known = self.parties.iter().map(|party| format!("`{party}`"));
        AskError::Nobody {
            name: name.to_owned(),
            known: known.collect::<Vec<_>>().join(", "),
        }
    }
}

pub(super) fn entity(identity: IdentityId) -> Party {
    let name = identity.reserved_name().unwrap_or("unknown");
    Party::new(name, identity, PartyKind::Entity)
}
