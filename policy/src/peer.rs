//! Who a compiled rule speaks of: scoped selectors, and when they pick a label set.

use std::sync::Arc;

use ipnet::IpNet;
use porin_identity::{
    Family, Label, Labels, Operator, Requirement, Selector, SelectorKey, key, source,
};

use crate::peers::{CidrSource, Entity, FqdnPeer};
use crate::{CidrMatch, Options, Semantics};

/// One scoped peer selector; equal selectors share their identities in the selector cache.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum PeerSelector {
    Labels(Selector),
    Entity(Entity),
    Cidr(Box<CidrSelector>),
    /// Whoever the name leads to. A name and a pattern of one text are two selectors.
    Fqdn(Box<FqdnPeer>),
}

/// Addresses, and which identities are taken for what their addresses are.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct CidrSelector {
    pub(crate) source: CidrSource,
    pub(crate) except: Arc<[IpNet]>,
    pub(crate) reach: CidrMatch,
    /// Whether a block of length zero holds every address of its family, like other blocks theirs;
    /// else it is the world of the family alone.
    pub(crate) zero_holds_all: bool,
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

/// The key that the blocks of a CIDR group carry, followed by the group's name.
pub(crate) const GROUP_NAME_PREFIX: &str = "io.cilium.policy.cidrgroupname/";

impl PeerSelector {
    /// Whether it is taken for the selector of everybody: that of all CIDR groups has the same text
    /// upstream, where selectors are known by their text.
    pub(crate) fn passes_for_wildcard(&self, semantics: Semantics) -> bool {
        let of_all_groups = |cidr: &CidrSelector| {
            matches!(&cidr.source, CidrSource::Groups(groups) if groups.is_everything())
                && cidr.except.is_empty()
        };
        semantics == Semantics::Cilium && matches!(self, Self::Cidr(cidr) if of_all_groups(cidr))
    }

    pub(crate) fn picks(&self, labels: &Labels, options: &Options) -> bool {
        match self {
            Self::Labels(selector) => selector.matches(labels),
            Self::Entity(entity) => entity_picks(*entity, labels, options),
            Self::Cidr(cidr) => cidr.picks(labels, options),
            Self::Fqdn(name) => labels.has_key(source::FQDN, name.text()),
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

/// The selectors that an entity stands for.
pub(crate) fn entity_selectors(entity: Entity, options: &Options) -> Vec<Selector> {
    let reserved = |name: &&str| Requirement::equals(SelectorKey::new(source::RESERVED, name), "");
    let cluster = match entity {
        Entity::Cluster => {
            let key = SelectorKey::new(source::K8S, key::CLUSTER);
            Some(Requirement::equals(key, &options.cluster_name))
        }
        Entity::ClusterMesh => Some(Requirement::exists(SelectorKey::new(
            source::ANY,
            key::CLUSTER,
        ))),
        _ => None,
    };
    let terms = entity_labels(entity).iter().map(reserved).chain(cluster);
    terms.map(|term| Selector::from_parts([term])).collect()
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

impl CidrSelector {
    /// The block, host bits cleared; `None` if it stands in a group.
    pub(crate) fn block(&self) -> Option<IpNet> {
        match self.source {
            CidrSource::Address(address) => Some(address.into()),
            CidrSource::Block(block) => Some(block.trunc()),
            CidrSource::Group(_) | CidrSource::Groups(_) => None,
        }
    }

    /// An exception is a condition of the selector.
    fn picks(&self, labels: &Labels, options: &Options) -> bool {
        self.reaches(labels, options)
            && self.names(labels, options)
            && !self
                .except
                .iter()
                .any(|block| lies_in(*block, labels, options, self.zero_holds_all))
    }

    /// Blocks pick what is outside of the cluster, and nodes and pods if they are asked to.
    ///
    /// Upstream looks for the keys of the reserved labels in every source.
    fn reaches(&self, labels: &Labels, options: &Options) -> bool {
        let is = |name: &str| match options.semantics {
            Semantics::Strict => labels.reserved(name),
            Semantics::Cilium => labels.iter().any(|label| label.key() == name),
        };
        if ["world", "world-ipv4", "world-ipv6"].into_iter().any(is) {
            return true;
        }
        if is("host") || is("remote-node") {
            return self.reach.nodes;
        }
        self.reach.pods
    }

    fn names(&self, labels: &Labels, options: &Options) -> bool {
        match &self.source {
            CidrSource::Address(_) | CidrSource::Block(_) => self
                .block()
                .is_some_and(|block| lies_in(block, labels, options, self.zero_holds_all)),
            CidrSource::Group(name) => {
                labels.has_key(source::CIDRGROUP, &format!("{GROUP_NAME_PREFIX}{name}"))
            }
            CidrSource::Groups(groups) => groups_fit(groups, labels, options.semantics),
        }
    }
}

/// Whether the labels of some group fit. Its blocks carry every label `k=v` of a group as the key
/// `k+v`, since a block may be in several groups that differ in `k`.
///
/// Where a selector asks for no label, upstream takes blocks that are in no group at all.
fn groups_fit(groups: &Selector, labels: &Labels, semantics: Semantics) -> bool {
    let has = |key: &str| labels.has_key(source::CIDRGROUP, key);
    let has_value = |key: &str, value: &str| has(&format!("{key}+{value}"));
    let fits = |term: &Requirement| {
        let key = term.key.key();
        match &term.operator {
            Operator::Equals(value) => has_value(key, value),
            Operator::In(values) => values.iter().any(|value| has_value(key, value)),
            Operator::NotIn(values) => !values.iter().any(|value| has_value(key, value)),
            Operator::Exists => has(key),
            Operator::DoesNotExist => !has(key),
        }
    };
    let of_group = |label: &Label| {
        label.source() == source::CIDRGROUP && label.key().starts_with(GROUP_NAME_PREFIX)
    };
    let in_group = semantics == Semantics::Cilium || labels.iter().any(of_group);
    in_group && groups.requirements().iter().all(fits)
}

/// A block of length zero is the world of its family; whoever has an address of the family, if it
/// holds all. A family that is not in use has no addresses.
fn lies_in(block: IpNet, labels: &Labels, options: &Options, zero_holds_all: bool) -> bool {
    let family = Family::of(&block.addr());
    let inside = |own: IpNet| block.contains(&own);
    if block.prefix_len() > 0 {
        return labels.blocks().any(inside);
    }
    let world = options.families.world_name(family);
    let all = zero_holds_all && options.families.speaks(family);
    labels.reserved(world) || (all && labels.blocks().any(inside))
}
