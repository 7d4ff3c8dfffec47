//! Who has which identity at one step.

use std::collections::BTreeMap;

use ipnet::IpNet;
use porin::identity::{Identities, IdentityId, Label, Labels, key, source};
use porin::policy::{FqdnMatcher, Member, NamedPorts, PolicySet, PortNames};

use super::case::{Cluster, External, Node, Pod};
use crate::vectors::Fault;

/// The own cluster, as the options name it by default.
const CLUSTER: &str = "default";

/// Everybody there is, by name.
#[derive(Default)]
pub(super) struct World {
    pub(super) everybody: BTreeMap<String, Inhabitant>,
    /// The named ports of all identities.
    pub(super) names: NamedPorts,
    /// What was taken from the registry.
    held: Vec<IdentityId>,
}

pub(super) struct Inhabitant {
    pub(super) identity: IdentityId,
    /// The names of its own ports, if policies govern it.
    pub(super) governed: Option<PortNames>,
}

/// Somebody before it is known who has to be told apart.
struct Candidate<'a> {
    name: String,
    pod: Option<&'a Pod>,
    member: Member,
}

impl World {
    /// Gives everybody an identity. Those before, if any, are to be released afterwards, so that
    /// whoever stays keeps its own.
    pub(super) fn of(
        cluster: &Cluster,
        set: &PolicySet,
        identities: &mut Identities,
    ) -> Result<Self, Fault> {
        let mut world = Self {
            everybody: BTreeMap::new(),
            names: NamedPorts::new(),
            held: Vec::new(),
        };
        let candidates = world.candidates(cluster, identities)?;
        let criteria = set.criteria();
        let members: Vec<_> = candidates.iter().map(|one| one.member.clone()).collect();
        for (candidate, apart) in candidates.into_iter().zip(criteria.tells_apart(&members)) {
            let Member {
                identity,
                addresses,
                ports,
                ..
            } = candidate.member;
            let identity = match apart {
                true => {
                    let groups = criteria.group_labels(&addresses);
                    let member = identities.intern_member(identity, &addresses, groups);
                    world.hold(member.map_err(Fault::of)?.id)
                }
                false => identity,
            };
            let governed = candidate.pod.map(|_| {
                world.names.entry(identity).or_default().add(&ports);
                let mut own = PortNames::default();
                own.add(&ports);
                own
            });
            let one = Inhabitant { identity, governed };
            world.everybody.insert(candidate.name, one);
        }
        let matcher = FqdnMatcher::new(set.fqdns().into_iter().cloned());
        let blocks = set.prefixes();
        for external in &cluster.externals {
            let identity = world.external(external, &matcher, &blocks, identities)?;
            let one = Inhabitant {
                identity,
                governed: None,
            };
            world
                .everybody
                .insert(format!("ext:{}", external.name), one);
        }
        Ok(world)
    }

    /// Gives back what was taken.
    pub(super) fn release(self, identities: &mut Identities) -> Result<(), Fault> {
        let now = std::time::Duration::ZERO;
        for id in self.held {
            identities.release(id, now).map_err(Fault::of)?;
        }
        Ok(())
    }

    fn hold(&mut self, id: IdentityId) -> IdentityId {
        self.held.push(id);
        id
    }

    fn intern(&mut self, labels: Labels, identities: &mut Identities) -> Result<IdentityId, Fault> {
        Ok(self.hold(identities.intern(labels).map_err(Fault::of)?.id))
    }

    fn candidates<'a>(
        &mut self,
        cluster: &'a Cluster,
        identities: &mut Identities,
    ) -> Result<Vec<Candidate<'a>>, Fault> {
        let mut candidates = Vec::new();
        for node in &cluster.nodes {
            let identity = self.intern(node_labels(node)?, identities)?;
            candidates.push(Candidate {
                name: format!("node:{}", node.name),
                pod: None,
                member: Member::node(identity, node.ips.clone()),
            });
        }
        for pod in &cluster.pods {
            let name = format!("{}/{}", pod.namespace, pod.name);
            if pod.host_network {
                let node = cluster.nodes.iter().find(|node| node.ips.contains(&pod.ip));
                let node = node.ok_or_else(|| Fault::of(format!("{name} has no node")))?;
                let identity = self.intern(node_labels(node)?, identities)?;
                let member = Member::node(identity, node.ips.clone());
                candidates.push(Candidate {
                    name,
                    pod: None,
                    member,
                });
                continue;
            }
            let identity = self.intern(pod_labels(pod, cluster)?, identities)?;
            let mut member = Member::pod(identity, vec![pod.ip]);
            member.ports = pod.ports()?;
            candidates.push(Candidate {
                name,
                pod: Some(pod),
                member,
            });
        }
        Ok(candidates)
    }

    /// The identity of the longest block around an address; of the address itself, if a rule speaks
    /// of one of its names.
    fn external(
        &mut self,
        external: &External,
        matcher: &FqdnMatcher,
        blocks: &std::collections::BTreeSet<IpNet>,
        identities: &mut Identities,
    ) -> Result<IdentityId, Fault> {
        let meant = external
            .dns_names
            .iter()
            .flat_map(|name| matcher.selectors(name));
        let labels = meant.map(|peer| Label::new(source::FQDN, peer.text(), ""));
        let labels: Vec<_> = labels.collect::<Result<_, _>>().map_err(Fault::of)?;
        let around = blocks.iter().filter(|block| block.contains(&external.ip));
        let block = match around.max_by_key(|block| block.prefix_len()) {
            _ if !labels.is_empty() => IpNet::from(external.ip),
            Some(block) => *block,
            None => IpNet::new(external.ip, 0).map_err(Fault::of)?,
        };
        let interned = identities.intern_local(block, labels);
        Ok(self.hold(interned.map_err(Fault::of)?.id))
    }
}

fn node_labels(node: &Node) -> Result<Labels, Fault> {
    let own = node
        .labels
        .iter()
        .map(|(key, value)| (source::NODE, key.as_str(), value.as_str()));
    let place = [
        (source::RESERVED, "remote-node", ""),
        (source::K8S, key::CLUSTER, CLUSTER),
    ];
    labels(own.chain(place))
}

fn pod_labels(pod: &Pod, cluster: &Cluster) -> Result<Labels, Fault> {
    let namespace = cluster
        .namespaces
        .iter()
        .find(|known| known.name == pod.namespace);
    let prefixed = namespace
        .into_iter()
        .flat_map(|namespace| &namespace.labels);
    let prefixed: Vec<_> = prefixed
        .map(|(key, value)| (format!("{}{key}", key::NAMESPACE_LABELS_PREFIX), value))
        .collect();
    let own = pod
        .labels
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_str()));
    let around = prefixed
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_str()));
    let place = [
        (key::NAMESPACE, pod.namespace.as_str()),
        (key::CLUSTER, CLUSTER),
    ];
    labels(
        own.chain(around)
            .chain(place)
            .map(|(key, value)| (source::K8S, key, value)),
    )
}

fn labels<'a>(parts: impl Iterator<Item = (&'a str, &'a str, &'a str)>) -> Result<Labels, Fault> {
    let label = |(source, key, value)| Label::new(source, key, value).map_err(Fault::of);
    parts.map(label).collect()
}
