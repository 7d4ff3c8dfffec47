//! Who exists, by number.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use porin_identity::{Identities, IdentityId, Labels, Snapshot};

use super::error::AskError;
use super::party::{Party, PartyKind};
use crate::{NamedPorts, Options, PolicySet, Workload, World};

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
    identities: Identities,
    options: Options,
    /// The blocks that policies name, with their identities; the narrowest first.
    blocks: Vec<(IpNet, IdentityId)>,
    parties: Vec<Party>,
    everybody: Vec<Party>,
    addresses: Vec<(IpAddr, Party)>,
    names: NamedPorts,
}

/// The entities that are asked about when everybody is; the world is there as its blocks.
const ENTITIES: [IdentityId; 6] = [
    IdentityId::HOST,
    IdentityId::REMOTE_NODE,
    IdentityId::KUBE_APISERVER,
    IdentityId::HEALTH,
    IdentityId::INGRESS,
    IdentityId::UNMANAGED,
];

impl Census {
    /// Counts a world for some sets of policies. The options of the first set hold: the name of the
    /// cluster and the address families.
    ///
    /// # Errors
    /// [`AskError::Labels`] and [`AskError::Allocate`].
    pub fn new(world: &World, sets: &[&PolicySet]) -> Result<Self, AskError> {
        let options = sets.first().map(|set| set.options().clone());
        let options = options.unwrap_or_default();
        let mut census = Self {
            identities: Identities::new(options.families),
            options,
            blocks: Vec::new(),
            parties: Vec::new(),
            everybody: Vec::new(),
            addresses: Vec::new(),
            names: NamedPorts::new(),
        };
        for workload in &world.workloads {
            census.add_workload(workload)?;
        }
        census.add_blocks(sets)?;
        for outside in &world.outside {
            let identity = census.identity_of(outside.sample());
            let party = Party::new(Arc::clone(&outside.name), identity, PartyKind::Outside);
            census.parties.push(party);
        }
        census.count_everybody()?;
        Ok(census)
    }

    fn add_workload(&mut self, workload: &Workload) -> Result<(), AskError> {
        let name = format!("{}/{}", workload.namespace, workload.name);
        let labels = workload.identity(&self.options.cluster_name);
        let labels = labels.map_err(|error| AskError::Labels {
            workload: name.clone(),
            error,
        })?;
        let identity = self.identities.intern(labels)?.id;
        let party = Party {
            ports: workload.ports.clone().into(),
            ..Party::new(name, identity, PartyKind::Workload)
        };
        self.names
            .entry(identity)
            .or_default()
            .add(&workload.named_ports());
        for address in &workload.addresses {
            self.addresses.push((*address, party.clone()));
        }
        self.parties.push(party);
        Ok(())
    }

    fn add_blocks(&mut self, sets: &[&PolicySet]) -> Result<(), AskError> {
        let mut blocks: BTreeSet<IpNet> =
            BTreeSet::from([IpNet::V4(Ipv4Net::default()), IpNet::V6(Ipv6Net::default())]);
        blocks.extend(sets.iter().flat_map(|set| set.prefixes()));
        for block in blocks {
            let identity = self.identities.intern_local(block, [])?.id;
            self.blocks.push((block, identity));
        }
        self.blocks
            .sort_by_key(|(block, _)| Reverse(block.prefix_len()));
        Ok(())
    }

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

    /// All identities.
    #[must_use]
    pub fn identities(&self) -> Snapshot {
        self.identities.snapshot()
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

    fn count_everybody(&mut self) -> Result<(), AskError> {
        let mut everybody = self.parties.clone();
        for (block, identity) in &self.blocks {
            let shown =
                |party: &Party| party.identity == *identity && party.kind == PartyKind::Outside;
            if !everybody.iter().any(shown) {
                let name = match block.prefix_len() {
                    0 => identity.reserved_name().unwrap_or("world").to_owned(),
                    _ => block.to_string(),
                };
                everybody.push(Party::new(name, *identity, PartyKind::Outside));
            }
        }
        everybody.extend(ENTITIES.into_iter().map(entity));
        everybody.extend(self.strangers()?);
        everybody.push(Party::unlisted());
        self.everybody = everybody;
        Ok(())
    }

    /// Workloads that nobody has heard of yet, by namespace.
    fn strangers(&mut self) -> Result<Vec<Party>, AskError> {
        let place = |party: &Party| Some(self.labels(party.identity)?.namespace()?.to_owned());
        let mut namespaces: BTreeSet<String> = self.workloads().filter_map(place).collect();
        let mut elsewhere = "elsewhere".to_owned();
        while !namespaces.insert(elsewhere.clone()) {
            elsewhere.push('-');
            elsewhere.push('x');
        }
        let mut strangers = Vec::new();
        for namespace in namespaces {
            let name = match namespace == elsewhere {
                true => "any workload of another namespace".to_owned(),
                false => format!("any other workload of {namespace}"),
            };
            let labels = porin_identity::Workload::new(&namespace)
                .cluster(&self.options.cluster_name)
                .build();
            let labels = labels.map_err(|error| AskError::Labels {
                workload: name.clone(),
                error,
            })?;
            let identity = self.admit(&labels)?;
            strangers.push(Party::new(name, identity, PartyKind::Unlisted));
        }
        Ok(strangers)
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

    /// The longest block around an address decides; the whole of each family is always there.
    fn identity_of(&self, address: IpAddr) -> IdentityId {
        let around = self
            .blocks
            .iter()
            .find(|(block, _)| block.contains(&address));
        around.map_or(IdentityId::WORLD, |(_, identity)| *identity)
    }

    fn nobody(&self, name: &str) -> AskError {
        let known = self.parties.iter().map(|party| format!("`{party}`"));
        AskError::Nobody {
            name: name.to_owned(),
            known: known.collect::<Vec<_>>().join(", "),
        }
    }
}

fn entity(identity: IdentityId) -> Party {
    let name = identity.reserved_name().unwrap_or("unknown");
    Party::new(name, identity, PartyKind::Entity)
}
