//! The other side of a rule, as its author wrote it.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use porin_identity::Selector;

use crate::group::GroupPeer;

/// The other side of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Peers {
    /// No peer field at all: anybody, if the rule has ports; else the rule only counts for default
    /// deny. For the Kubernetes kinds: anybody in any case.
    Unspecified,
    /// The only peer fields are `toFQDNs`, `toServices`, `fromGroups` or `toGroups`, and they are
    /// empty lists. Upstream takes that for anybody if the rule has ports.
    Unnamed,
    /// The union of these; an empty list is nobody.
    Listed(Vec<Peer>),
}

/// One element of a peer field.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Peer {
    /// An element of `fromEndpoints` or `toEndpoints`, as written, not yet scoped.
    Endpoints(Selector),
    /// A peer of a Kubernetes kind that picks pods by their labels or those of their namespace.
    Pods(PodPeer),
    /// An element of `fromCIDR`, `toCIDR`, `fromCIDRSet` or `toCIDRSet`; `ipBlock`; an element of
    /// `networks`.
    Cidr(Box<CidrPeer>),
    /// An element of `fromEntities` or `toEntities`.
    Entity(Entity),
    /// An element of `fromNodes` or `toNodes`, as written, not yet scoped; `nodes` of a cluster-scoped
    /// kind, its keys with source `node`.
    Nodes(Selector),
    /// An element of `toFQDNs` or `domainNames`.
    Fqdn(FqdnPeer),
    /// An element of `toServices`.
    Service(Box<ServicePeer>),
    /// An element of `fromGroups` or `toGroups`.
    Group(Box<GroupPeer>),
    /// A peer of a cluster-scoped kind whose fields nobody knows yet. The API wants such a rule to
    /// fail closed: an allowance speaks of nobody, anything else denies everybody.
    Unknown,
}

/// A peer of a Kubernetes kind. At least one of the two is there.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PodPeer {
    /// `podSelector`, its keys with source `k8s`.
    pub pods: Option<Selector>,
    /// `namespaceSelector` or `namespaces`, its keys with source `k8s` and
    /// [`NAMESPACE_LABELS_PREFIX`](porin_identity::key::NAMESPACE_LABELS_PREFIX). `None` is the
    /// policy's own namespace.
    pub namespaces: Option<Selector>,
}

/// Addresses without exceptions.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CidrPeer {
    /// Which addresses.
    pub source: CidrSource,
    /// Blocks inside that are not meant.
    pub except: Vec<IpNet>,
}

impl CidrPeer {
    /// The block, host bits cleared; `None` if it stands in a group.
    pub fn block(&self) -> Option<IpNet> {
        match self.source {
            CidrSource::Address(address) => Some(address.into()),
            CidrSource::Block(block) => Some(block.trunc()),
            CidrSource::Group(_) | CidrSource::Groups(_) => None,
        }
    }
}

/// Where the blocks of a [`CidrPeer`] stand.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum CidrSource {
    /// This one address, written without a prefix length.
    Address(IpAddr),
    /// Here, with its host bits as written.
    Block(IpNet),
    /// In the CiliumCIDRGroup of that name (`cidrGroupRef`).
    Group(Arc<str>),
    /// In every CiliumCIDRGroup whose labels match (`cidrGroupSelector`); keys without a source have
    /// been given `cidrgroup`.
    Groups(Selector),
}

/// Names in the DNS.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FqdnPeer {
    /// `matchName`: exactly this name.
    Name(Box<str>),
    /// `matchPattern`: the names that fit.
    Pattern(Box<str>),
}

impl FqdnPeer {
    /// The text that labels of source `fqdn` carry for whoever this selects.
    pub fn text(&self) -> &str {
        match self {
            Self::Name(text) | Self::Pattern(text) => text,
        }
    }
}

/// Kubernetes services.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ServicePeer {
    /// Which services.
    pub source: ServiceSource,
    /// Their namespace; `None` is every namespace.
    pub namespace: Option<Box<str>>,
}

/// How a [`ServicePeer`] names services.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ServiceSource {
    /// `k8sService.serviceName`.
    Name(Box<str>),
    /// `k8sServiceSelector.selector`, over the labels of the service itself, with source `k8s`.
    Selector(Selector),
}

/// Peers that have a name of their own in the policy API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Entity {
    /// Everybody.
    All,
    /// Everything outside the cluster.
    World,
    /// Everything outside the cluster, by IPv4.
    WorldIpv4,
    /// Everything outside the cluster, by IPv6.
    WorldIpv6,
    /// The local host.
    Host,
    /// Workloads whose labels are not known yet.
    Init,
    /// The ingress proxy.
    Ingress,
    /// The health endpoint.
    Health,
    /// Workloads that are not under management.
    Unmanaged,
    /// Nobody.
    None,
    /// The Kubernetes API server.
    KubeApiserver,
    /// Other nodes of the cluster.
    RemoteNode,
    /// Everything in the own cluster.
    Cluster,
    /// Everything in any connected cluster.
    ClusterMesh,
}

impl Entity {
    /// All entities, in the order of their declaration.
    pub const ALL: [Self; 14] = [
        Self::All,
        Self::World,
        Self::WorldIpv4,
        Self::WorldIpv6,
        Self::Host,
        Self::Init,
        Self::Ingress,
        Self::Health,
        Self::Unmanaged,
        Self::None,
        Self::KubeApiserver,
        Self::RemoteNode,
        Self::Cluster,
        Self::ClusterMesh,
    ];

    /// The name in policy documents.
    pub fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::World => "world",
            Self::WorldIpv4 => "world-ipv4",
            Self::WorldIpv6 => "world-ipv6",
            Self::Host => "host",
            Self::Init => "init",
            Self::Ingress => "ingress",
            Self::Health => "health",
            Self::Unmanaged => "unmanaged",
            Self::None => "none",
            Self::KubeApiserver => "kube-apiserver",
            Self::RemoteNode => "remote-node",
            Self::Cluster => "cluster",
            Self::ClusterMesh => "cluster-mesh",
        }
    }

    /// The entity of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|entity| entity.name() == name)
    }
}

impl fmt::Display for Entity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
