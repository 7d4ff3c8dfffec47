//! Who a compiled rule speaks of: scoped selectors, and when they pick a label set.

use ipnet::IpNet;
use porin_identity::{
    Families, Family, Labels, Operator, Requirement, Selector, SelectorKey, key, source,
};

use crate::Options;
use crate::peers::{CidrPeer, Entity, Peer, Peers};
use crate::rule::PolicyName;

/// One scoped peer selector; equal selectors share their identities in the selector cache.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum PeerSelector {
    Labels(Selector),
    Entity(Entity),
    Cidr(CidrPeer),
}

/// The other side of a compiled rule.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum PeerSet {
    Nobody,
    Anybody,
    Picked(Vec<PeerSelector>),
}

/// Reserved labels of what belongs to a cluster besides its workloads.
const CLUSTER_PARTS: [&str; 8] = [
    "aggregate-cluster",
    "host",
    "remote-node",
    "init",
    "ingress",
    "health",
    "unmanaged",
    "kube-apiserver",
];

/// The same of all connected clusters.
const MESH_PARTS: [&str; 9] = [
    "aggregate-cluster",
    "aggregate-cluster-mesh",
    "host",
    "remote-node",
    "init",
    "ingress",
    "health",
    "unmanaged",
    "kube-apiserver",
];

impl PeerSelector {
    pub(crate) fn picks(&self, labels: &Labels, options: &Options) -> bool {
        match self {
            Self::Labels(selector) => selector.matches(labels),
            Self::Entity(entity) => entity_picks(*entity, labels, options),
            Self::Cidr(cidr) => cidr_picks(cidr, labels, options.families),
        }
    }
}

/// The reserved labels of an entity; the cluster key of the two cluster entities stands apart.
pub(crate) fn entity_labels(entity: Entity) -> &'static [&'static str] {
    match entity {
        Entity::All | Entity::None => &[],
        Entity::World => &["world", "world-ipv4", "world-ipv6", "aggregate-world"],
        Entity::WorldIpv4 => &["world-ipv4"],
        Entity::WorldIpv6 => &["world-ipv6"],
        Entity::Host => &["host"],
        Entity::Init => &["init"],
        Entity::Ingress => &["ingress"],
        Entity::Health => &["health"],
        Entity::Unmanaged => &["unmanaged"],
        Entity::KubeApiserver => &["kube-apiserver"],
        Entity::RemoteNode => &["remote-node", "aggregate-remote-node"],
        Entity::Cluster => &CLUSTER_PARTS,
        Entity::ClusterMesh => &MESH_PARTS,
    }
}

fn entity_picks(entity: Entity, labels: &Labels, options: &Options) -> bool {
    let named = || {
        entity_labels(entity)
            .iter()
            .any(|name| labels.reserved(name))
    };
    match entity {
        Entity::All => true,
        Entity::Cluster => {
            labels.contains(source::K8S, key::CLUSTER, &options.cluster_name) || named()
        }
        Entity::ClusterMesh => labels.iter().any(|label| label.key() == key::CLUSTER) || named(),
        _ => named(),
    }
}

/// Blocks pick identities outside of the cluster only; an exception is a condition of the selector.
fn cidr_picks(cidr: &CidrPeer, labels: &Labels, families: Families) -> bool {
    let outside = ["world", "world-ipv4", "world-ipv6"]
        .iter()
        .any(|name| labels.reserved(name));
    outside
        && cidr
            .block()
            .is_some_and(|block| lies_in(block, labels, families))
        && !cidr
            .except
            .iter()
            .any(|block| lies_in(*block, labels, families))
}

fn lies_in(block: IpNet, labels: &Labels, families: Families) -> bool {
    if block.prefix_len() == 0 {
        return labels.reserved(families.world_name(Family::of(&block.addr())));
    }
    labels.blocks().any(|own| block.contains(&own))
}

/// What the selectors of one policy mean beyond their text: its namespace and its cluster.
pub(crate) struct Scope {
    /// The subject lives here; `None` for clusterwide policies.
    namespace: Option<Requirement>,
    any_namespace: Requirement,
    /// Peers live here unless their selector names a cluster; `None` if that is switched off.
    cluster: Option<Requirement>,
}

impl Scope {
    pub(crate) fn new(policy: &PolicyName, options: &Options) -> Self {
        let namespace = SelectorKey::new(source::K8S, key::NAMESPACE);
        let own_cluster = || {
            let cluster = SelectorKey::new(source::K8S, key::CLUSTER);
            Requirement::equals(cluster, &options.cluster_name)
        };
        let own = policy.namespace.as_deref();
        Self {
            namespace: own.map(|own| Requirement::equals(namespace.clone(), own)),
            any_namespace: Requirement::exists(namespace),
            cluster: options.default_local_cluster.then(own_cluster),
        }
    }

    /// The subject of a namespaced policy lives in its namespace, whatever else its selector says;
    /// that of a clusterwide one anywhere.
    pub(crate) fn subject(&self, written: &Selector) -> Selector {
        let Some(namespace) = &self.namespace else {
            return written.clone();
        };
        let overwritten = |term: &&Requirement| {
            term.key == namespace.key && matches!(term.operator, Operator::Equals(_))
        };
        let kept = written
            .requirements()
            .iter()
            .filter(|term| !overwritten(term));
        kept.chain([namespace]).cloned().collect()
    }

    /// A peer selector with what its author left to the policy's own place. `subject` is the subject
    /// as written.
    pub(crate) fn peer(&self, written: &Selector, subject: &Selector) -> Selector {
        if written.mentions_source(source::RESERVED) {
            return written.clone();
        }
        let namespace = match &self.namespace {
            _ if written.mentions(source::K8S, key::NAMESPACE) => None,
            Some(namespace) => Some(namespace).filter(|_| !mentions_namespace_labels(written)),
            None => Some(&self.any_namespace).filter(|_| !mentions_init(subject)),
        };
        let named = written.mentions(source::K8S, key::CLUSTER);
        let cluster = self.cluster.as_ref().filter(|_| !named);
        if namespace.is_none() && cluster.is_none() {
            return written.clone();
        }
        written
            .requirements()
            .iter()
            .chain(namespace)
            .chain(cluster)
            .cloned()
            .collect()
    }
}

/// One subject of one policy, scoped.
pub(crate) fn scope_subject(subject: &Selector, policy: &PolicyName) -> Selector {
    Scope::new(policy, &Options::default()).subject(subject)
}

/// One peer selector of one policy, scoped.
pub(crate) fn scope_peer(
    peer: &Selector,
    subject: &Selector,
    policy: &PolicyName,
    options: &Options,
) -> Selector {
    Scope::new(policy, options).peer(peer, subject)
}

fn mentions_namespace_labels(selector: &Selector) -> bool {
    selector.requirements().iter().any(|term| {
        let of_k8s = term.key.is_any() || term.key.source() == source::K8S;
        of_k8s && term.key.key().starts_with(key::NAMESPACE_LABELS_PREFIX)
    })
}

fn mentions_init(selector: &Selector) -> bool {
    let mut terms = selector.requirements().iter();
    terms.any(|term| term.key.source() == source::RESERVED && term.key.key() == "init")
}

/// The other side of a rule. One wildcard among the peers makes the whole rule speak of anybody;
/// a rule that names neither peers nor ports speaks of nobody.
pub(crate) fn peer_set(
    peers: &Peers,
    has_ports: bool,
    scope: impl Fn(&Selector) -> Selector,
) -> PeerSet {
    let listed = match peers {
        Peers::Unspecified if has_ports => return PeerSet::Anybody,
        Peers::Unspecified | Peers::Unnamed => return PeerSet::Nobody,
        Peers::Listed(listed) if listed.is_empty() => return PeerSet::Nobody,
        Peers::Listed(listed) => listed,
    };
    let mut picked: Vec<PeerSelector> = Vec::with_capacity(listed.len());
    for peer in listed {
        let selector = match peer {
            Peer::Endpoints(written) => PeerSelector::Labels(scope(written)),
            Peer::Cidr(cidr) => PeerSelector::Cidr(cidr.clone()),
            Peer::Entity(entity) => PeerSelector::Entity(*entity),
            _ => continue,
        };
        match &selector {
            PeerSelector::Entity(Entity::All) => return PeerSet::Anybody,
            PeerSelector::Labels(labels) if labels.is_everything() => return PeerSet::Anybody,
            _ if picked.contains(&selector) => {}
            _ => picked.push(selector),
        }
    }
    PeerSet::Picked(picked)
}
