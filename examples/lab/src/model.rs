//! A set of policies in a world, ready to be asked.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use porin::flow::Escaped;
use porin::identity::{Families, Identities, IdentityId};
use porin::policy::{
    EndpointPolicy, Explanation, Options, PolicySet, Query, Resolver, Semantics, World,
};

use crate::args::Inputs;
use crate::failure::Failure;
use crate::input;

/// The policies, the world and the identities of everybody in it.
pub(crate) struct Model {
    world: World,
    identities: Identities,
    /// The blocks that policies name, with their identities; the widest last.
    blocks: Vec<(IpNet, IdentityId)>,
    resolver: Resolver,
    policies: BTreeMap<IdentityId, EndpointPolicy>,
}

/// Somebody who can be asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Party {
    /// As it is shown: `namespace/name`, a name from `outside`, an address or an entity.
    pub(crate) name: String,
    pub(crate) identity: IdentityId,
    /// Whether policies can guard it.
    pub(crate) guarded: bool,
}

impl Model {
    /// Reads the policies and the world. Documents that are refused without being an error are
    /// reported on standard error.
    pub(crate) fn read(inputs: &Inputs) -> Result<Self, Failure> {
        let world =
            input::world(inputs.world.as_deref(), &inputs.policies)?.ok_or(Failure::NoWorld)?;
        let set = load(&inputs.policies, inputs.semantics.into())?;
        let mut identities = Identities::new(Families::Dual);
        for workload in &world.workloads {
            let labels = workload
                .identity(CLUSTER)
                .map_err(|e| Failure::Refused(e.to_string()))?;
            identities
                .intern(labels)
                .map_err(|e| Failure::Refused(e.to_string()))?;
        }
        let every: [IpNet; 2] = [
            IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::UNSPECIFIED, 0)),
            IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::UNSPECIFIED, 0)),
        ];
        let mut blocks = Vec::new();
        for block in set.prefixes().into_iter().chain(every) {
            let interned = identities.intern_local(block, []);
            blocks.push((
                block,
                interned.map_err(|e| Failure::Refused(e.to_string()))?.id,
            ));
        }
        blocks.sort_by_key(|(block, _)| std::cmp::Reverse(block.prefix_len()));
        let resolver = Resolver::new(&set, &identities.snapshot());
        Ok(Self {
            world,
            identities,
            blocks,
            resolver,
            policies: BTreeMap::new(),
        })
    }

    pub(crate) fn world(&self) -> &World {
        &self.world
    }

    /// Why one side says what it says.
    pub(crate) fn explain(&mut self, side: &Side) -> Result<Explanation, Failure> {
        let explained = self.resolver.explain(side.subject.identity, &side.query);
        explained.map_err(|error| Failure::Refused(error.to_string()))
    }

    /// The policy that guards a party.
    pub(crate) fn policy(&mut self, party: &Party) -> Result<EndpointPolicy, Failure> {
        if let Some(policy) = self.policies.get(&party.identity) {
            return Ok(policy.clone());
        }
        let resolved = self.resolver.resolve(party.identity);
        let policy = resolved.map_err(|error| Failure::Refused(error.to_string()))?;
        self.policies.insert(party.identity, policy.clone());
        Ok(policy)
    }

    /// The party of that name.
    pub(crate) fn party(&self, name: &str) -> Result<Party, Failure> {
        let bare = name.rsplit_once('/');
        let workload = self.world.workloads.iter().find(|workload| match bare {
            Some((namespace, bare)) => *workload.namespace == *namespace && *workload.name == *bare,
            None => *workload.name == *name,
        });
        if let Some(workload) = workload {
            return self.workload(workload);
        }
        if let Some(outside) = self.world.range(name) {
            return Ok(self.outside(outside));
        }
        if let Ok(address) = name.parse::<IpAddr>() {
            return self.at(address);
        }
        match IdentityId::from_reserved_name(name) {
            Some(identity) => Ok(Party {
                name: name.to_owned(),
                identity,
                guarded: false,
            }),
            None => Err(self.nobody(name)),
        }
    }

    /// Everybody in the world, in the order of the file: workloads, then ranges.
    pub(crate) fn parties(&self) -> Result<Vec<Party>, Failure> {
        let workloads = self
            .world
            .workloads
            .iter()
            .map(|workload| self.workload(workload));
        let outside = self
            .world
            .outside
            .iter()
            .map(|outside| Ok(self.outside(outside)));
        workloads.chain(outside).collect()
    }

    fn workload(&self, workload: &porin::policy::Workload) -> Result<Party, Failure> {
        let labels = workload
            .identity(CLUSTER)
            .map_err(|e| Failure::Refused(e.to_string()))?;
        let name = format!("{}/{}", workload.namespace, workload.name);
        let identity = self
            .identities
            .find(&labels)
            .ok_or_else(|| self.nobody(&name))?;
        Ok(Party {
            name,
            identity,
            guarded: true,
        })
    }

    /// A range is asked about by its first listed address, or the first host of the block.
    fn outside(&self, outside: &porin::policy::Outside) -> Party {
        let address = outside.addresses.first().copied();
        let address = address
            .or_else(|| outside.cidr.hosts().next())
            .unwrap_or(outside.cidr.addr());
        Party {
            name: outside.name.to_string(),
            identity: self.identity_of(address),
            guarded: false,
        }
    }

    fn at(&self, address: IpAddr) -> Result<Party, Failure> {
        let owner = self
            .world
            .workloads
            .iter()
            .find(|workload| workload.addresses.contains(&address));
        match owner {
            Some(workload) => self.workload(workload),
            None => Ok(Party {
                name: address.to_string(),
                identity: self.identity_of(address),
                guarded: false,
            }),
        }
    }

    /// The longest block around an address decides; the whole of each family is always there.
    fn identity_of(&self, address: IpAddr) -> IdentityId {
        let around = self
            .blocks
            .iter()
            .find(|(block, _)| block.contains(&address));
        around.map_or(IdentityId::WORLD, |(_, identity)| *identity)
    }

    fn nobody(&self, name: &str) -> Failure {
        let workloads = self.world.workloads.iter().map(|workload| &*workload.name);
        let outside = self.world.outside.iter().map(|outside| &*outside.name);
        let known: Vec<_> = workloads
            .chain(outside)
            .map(|name| format!("`{name}`"))
            .collect();
        Failure::Nobody {
            name: name.to_owned(),
            known: known.join(", "),
        }
    }
}

/// The cluster that every workload of a world file belongs to.
const CLUSTER: &str = "default";

fn load(paths: &[PathBuf], semantics: Semantics) -> Result<PolicySet, Failure> {
    let mut set = PolicySet::new(Options::new().semantics(semantics).families(Families::Dual));
    let files = input::policies(paths)?;
    let report = set
        .load(files)
        .map_err(|error| Failure::Refused(error.to_string()))?;
    for refused in &report.refused {
        eprintln!("porin-lab: {}", Escaped(&refused.to_string()));
    }
    Ok(set)
}

/// One side's judgement of a connection.
pub(crate) struct Side {
    /// Whose policy.
    pub(crate) subject: Party,
    pub(crate) policy: EndpointPolicy,
    pub(crate) query: Query,
}

/// The sides that judge a connection: the sender's egress, then the receiver's ingress.
pub(crate) fn sides(
    model: &mut Model,
    from: &Party,
    to: &Party,
    protocol: porin::policy::Protocol,
    port: u16,
) -> Result<Vec<Side>, Failure> {
    let mut sides = Vec::new();
    if from.guarded {
        let query = Query::egress(to.identity).on(protocol, port);
        sides.push(Side {
            subject: from.clone(),
            policy: model.policy(from)?,
            query,
        });
    }
    if to.guarded {
        let query = Query::ingress(from.identity).on(protocol, port);
        sides.push(Side {
            subject: to.clone(),
            policy: model.policy(to)?,
            query,
        });
    }
    if sides.is_empty() {
        return Err(Failure::NoSubject {
            from: from.name.clone(),
            to: to.name.clone(),
        });
    }
    Ok(sides)
}
