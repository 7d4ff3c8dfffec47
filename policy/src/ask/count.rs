//! Counting a world.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use porin_identity::{Identities, IdentityId, Label, Labels, source};

use super::census::{Census, entity};
use super::error::AskError;
use super::party::{Party, PartyKind};
use super::place::{Place, fits};
use crate::world::NodeEntry;
use crate::{Member, NamedPorts, Outside, PolicySet, Workload, World};

/// The entities that are asked about when everybody is; the world is there as its blocks.
const ENTITIES: [IdentityId; 6] = [
    IdentityId::HOST,
    IdentityId::REMOTE_NODE,
    IdentityId::KUBE_APISERVER,
    IdentityId::HEALTH,
    IdentityId::INGRESS,
    IdentityId::UNMANAGED,
];

/// A party, and what may tell it from others of its identity.
type Counted = (Party, Member);

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
            places: Vec::new(),
            parties: Vec::new(),
            everybody: Vec::new(),
            addresses: Vec::new(),
            names: NamedPorts::new(),
            members: Vec::new(),
            ranges: world.outside.iter().map(|outside| outside.cidr).collect(),
        };
        let workloads = world.workloads.iter().map(|one| census.workload(one));
        let mut counted: Vec<Counted> = workloads.collect::<Result<_, _>>()?;
        for node in &world.nodes {
            counted.push(census.node_party(node)?);
        }
        census.tell_apart(counted, sets)?;
        census.add_places(&world.outside, sets)?;
        for outside in &world.outside {
            let identity = census.identity_of(outside.sample());
            let party = Party::new(Arc::clone(&outside.name), identity, PartyKind::Outside);
            census.parties.push(party);
        }
        census.count_everybody()?;
        Ok(census)
    }

    fn workload(&mut self, workload: &Workload) -> Result<Counted, AskError> {
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
        let member = Member {
            ports: workload.named_ports(),
            ..Member::pod(identity, workload.addresses.clone())
        };
        Ok((party, member))
    }

    fn node_party(&mut self, node: &NodeEntry) -> Result<Counted, AskError> {
        let label = |source: &str, key: &str, value: &str| {
            Label::new(source, key, value).map_err(|error| AskError::Labels {
                workload: node.name.to_string(),
                error,
            })
        };
        let own = node.labels.iter();
        let own = own.map(|(key, value)| label(source::NODE, key, value));
        let kind = std::iter::once(label(source::RESERVED, "remote-node", ""));
        let labels: Labels = own.chain(kind).collect::<Result<_, _>>()?;
        let identity = self.identities.intern(labels)?.id;
        let party = Party::new(Arc::clone(&node.name), identity, PartyKind::Node);
        Ok((party, Member::node(identity, node.addresses.clone())))
    }

    /// Whom rules of some set tell apart by address gets an identity of its own.
    fn tell_apart(&mut self, counted: Vec<Counted>, sets: &[&PolicySet]) -> Result<(), AskError> {
        let members: Vec<Member> = counted.iter().map(|(_, member)| member.clone()).collect();
        let mut apart = vec![false; members.len()];
        for set in sets {
            let told = set.criteria().tells_apart(&members);
            for (all, told) in apart.iter_mut().zip(told) {
                *all |= told;
            }
        }
        for ((mut party, member), apart) in counted.into_iter().zip(apart) {
            if apart {
                let own = self
                    .identities
                    .intern_member(member.identity, &member.addresses, []);
                party.identity = own?.id;
                self.members
                    .push((party.identity, member.addresses.clone()));
            }
            let names = self.names.entry(party.identity).or_default();
            names.add(&member.ports);
            let own = member
                .addresses
                .iter()
                .map(|address| (*address, party.clone()));
            self.addresses.extend(own);
            self.parties.push(party);
        }
        Ok(())
    }

    /// Blocks that policies name, and addresses that the DNS names lead to of which rules speak.
    fn add_places(&mut self, outside: &[Outside], sets: &[&PolicySet]) -> Result<(), AskError> {
        let mut places: BTreeMap<IpNet, Vec<Box<str>>> = BTreeMap::new();
        places.insert(IpNet::V4(Ipv4Net::default()), Vec::new());
        places.insert(IpNet::V6(Ipv6Net::default()), Vec::new());
        for block in sets.iter().flat_map(|set| set.prefixes()) {
            places.entry(block).or_default();
        }
        let peers: BTreeSet<_> = sets.iter().flat_map(|set| set.fqdns()).collect();
        let spoken_of = |name: &str| peers.iter().any(|peer| fits(peer, name));
        for range in outside {
            let names = range.names.iter().filter(|name| spoken_of(name));
            let names: Vec<Box<str>> = names.cloned().collect();
            if names.is_empty() {
                continue;
            }
            let sample = [range.sample()];
            let addresses = match range.addresses.is_empty() {
                true => &sample[..],
                false => &range.addresses,
            };
            for address in addresses {
                let place = places.entry(IpNet::from(*address)).or_default();
                place.extend(names.iter().cloned());
            }
        }
        for (block, names) in places {
            let identity = self.identities.intern_local(block, [])?.id;
            self.places.push(Place {
                block,
                identity,
                names,
            });
        }
        self.places
            .sort_by_key(|place| Reverse(place.block.prefix_len()));
        Ok(())
    }

    fn count_everybody(&mut self) -> Result<(), AskError> {
        let mut everybody = self.parties.clone();
        for Place {
            block, identity, ..
        } in &self.places
        {
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
            elsewhere.push_str("-x");
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
}
