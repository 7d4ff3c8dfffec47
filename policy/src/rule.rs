//! The documents of a policy set, as their authors wrote them: validated, typed, with the place
//! of every part, and free of any question of how they are enforced.
//!
//! Selectors are kept *as written*: scoping to a namespace or a cluster is the business of the
//! deciding half. The shape follows the policy API of Cilium 1.20 (CiliumNetworkPolicy,
//! CiliumClusterwideNetworkPolicy), with the Kafka and `l7proto` rules as 1.19 had them.

use std::fmt;
use std::sync::Arc;

use ipnet::IpNet;
use porin_identity::{Label, Selector};

use crate::direction::Direction;
use crate::l7::L7Rules;
use crate::options::Semantics;
use crate::parse::ParseError;

/// A place in a policy or world file: line and column count from one, columns in characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Location {
    file: Arc<str>,
    line: u32,
    column: u32,
}

impl Location {
    /// A place in `file`; `line` and `column` count from one.
    pub fn new(file: impl Into<Arc<str>>, line: u32, column: u32) -> Self {
        Self {
            file: file.into(),
            line,
            column,
        }
    }

    /// The file's name, as it was given to the parser.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The line, from one.
    pub fn line(&self) -> u32 {
        self.line
    }

    /// The column in characters, from one.
    pub fn column(&self) -> u32 {
        self.column
    }
}

impl fmt::Display for Location {
    /// `file:line:column`, which editors and terminals turn into a link.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// The kinds of policy documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum PolicyKind {
    /// `CiliumNetworkPolicy` (`cilium.io/v2`): guards the workloads of its own namespace.
    CiliumNetworkPolicy,
    /// `CiliumClusterwideNetworkPolicy` (`cilium.io/v2`): guards workloads of every namespace.
    CiliumClusterwideNetworkPolicy,
}

impl PolicyKind {
    /// The kind as it stands in a document's `kind` field.
    pub fn name(self) -> &'static str {
        match self {
            Self::CiliumNetworkPolicy => "CiliumNetworkPolicy",
            Self::CiliumClusterwideNetworkPolicy => "CiliumClusterwideNetworkPolicy",
        }
    }

    /// The usual short name: `cnp`, `ccnp`.
    pub fn short_name(self) -> &'static str {
        match self {
            Self::CiliumNetworkPolicy => "cnp",
            Self::CiliumClusterwideNetworkPolicy => "ccnp",
        }
    }
}

impl fmt::Display for PolicyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a policy is known by: of two documents with the same name the later replaces the earlier.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PolicyName {
    /// The kind of document.
    pub kind: PolicyKind,
    /// The namespace; `None` for the clusterwide kinds.
    pub namespace: Option<Arc<str>>,
    /// `metadata.name`.
    pub name: Arc<str>,
}

impl fmt::Display for PolicyName {
    /// `cnp/NAMESPACE/NAME` or `ccnp/NAME`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.short_name())?;
        if let Some(namespace) = &self.namespace {
            write!(f, "/{namespace}")?;
        }
        write!(f, "/{}", self.name)
    }
}

/// One policy document that was read and found valid.
///
/// ```
/// let parsed = porin_policy::parse_documents("web.yaml", r#"
/// apiVersion: cilium.io/v2
/// kind: CiliumNetworkPolicy
/// metadata: {name: web, namespace: shop}
/// spec:
///   endpointSelector: {matchLabels: {app: web}}
///   ingress:
///   - toPorts: [{ports: [{port: "443", protocol: TCP}]}]
/// "#);
/// let document = &parsed.documents[0];
/// assert_eq!(document.name.to_string(), "cnp/shop/web");
/// assert_eq!(document.specs[0].rules[0].location.to_string(), "web.yaml:8:5");
/// ```
#[derive(Debug, Clone)]
pub struct Document {
    /// The name of the policy.
    pub name: PolicyName,
    /// Where the document begins.
    pub location: Location,
    /// `spec`, then each of `specs`: independent of one another.
    pub specs: Vec<Spec>,
    pub(crate) source: Source,
    pub(crate) objections: Vec<(Semantics, ParseError)>,
}

impl Document {
    /// Whether the document may be loaded under `semantics`.
    ///
    /// Most of what is wrong with a document is wrong for everybody, and such a document is never
    /// made. A few things are taken by one semantics and refused by the other: under
    /// [`Semantics::Cilium`] a spec without any rule; under [`Semantics::Strict`] an `endPort`
    /// that is no port.
    ///
    /// # Errors
    /// The first reason against the document, with its place.
    pub fn accept(&self, semantics: Semantics) -> Result<(), &ParseError> {
        match self.objections.iter().find(|(of, _)| *of == semantics) {
            Some((_, error)) => Err(error),
            None => Ok(()),
        }
    }

    /// The file that the document stands in, whole, as it was given to the parser.
    pub fn source_text(&self) -> &Arc<str> {
        &self.source.text
    }
}

/// Where the text of a document is: lint answers with edits of it.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    /// The text of the whole file.
    pub(crate) text: Arc<str>,
    /// Which document of the file, from zero.
    pub(crate) index: usize,
}

/// One `spec`: whom it guards, and its rules.
#[derive(Debug, Clone)]
pub struct Spec {
    /// The workloads that are guarded, as written (`endpointSelector`), not yet scoped.
    pub subject: Selector,
    /// The rules of the four lists, each list in its order.
    pub rules: Vec<Rule>,
    /// Rule lists that are present and empty, such as `egress: []`.
    pub empty_lists: Vec<EmptyList>,
    /// `enableDefaultDeny`.
    pub default_deny: DefaultDeny,
    /// `labels`: data for whoever lists policies, without influence on decisions.
    pub labels: Vec<Label>,
    /// `description`, data likewise.
    pub description: Option<Box<str>>,
    /// `log.value`: text that a flow log carries along with the decisions of this spec.
    pub log: Option<Box<str>>,
    /// Where the spec begins.
    pub location: Location,
    /// Whether it stands in `specs`, and where in it; `None` for `spec`.
    pub position: Option<usize>,
}

/// A rule list that is present and empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmptyList {
    /// The direction of the list.
    pub direction: Direction,
    /// Whether it is a list of allowances or of denials.
    pub action: Action,
    /// Where the list stands.
    pub location: Location,
}

/// `enableDefaultDeny`; `None` where the author said nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DefaultDeny {
    /// For what comes in.
    pub ingress: Option<bool>,
    /// For what goes out.
    pub egress: Option<bool>,
}

impl DefaultDeny {
    /// What the author said about `direction`.
    pub fn get(self, direction: Direction) -> Option<bool> {
        match direction {
            Direction::Ingress => self.ingress,
            Direction::Egress => self.egress,
        }
    }
}

/// What a rule does with the flows that it covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Action {
    /// An element of `ingress` or `egress`.
    Allow,
    /// An element of `ingressDeny` or `egressDeny`.
    Deny,
}

/// The field of a spec that holds the rules of `direction` and `action`.
pub fn list_field(direction: Direction, action: Action) -> &'static str {
    match (direction, action) {
        (Direction::Ingress, Action::Allow) => "ingress",
        (Direction::Ingress, Action::Deny) => "ingressDeny",
        (Direction::Egress, Action::Allow) => "egress",
        (Direction::Egress, Action::Deny) => "egressDeny",
    }
}

/// One element of `ingress`, `ingressDeny`, `egress` or `egressDeny`.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Which way the flows go, seen from the guarded workload.
    pub direction: Direction,
    /// Allow or deny.
    pub action: Action,
    /// The place in its list, from zero.
    pub index: usize,
    /// The other side.
    pub peers: Peers,
    /// `toPorts`; `None` when it is absent or empty, which means every port and protocol.
    pub ports: Option<Vec<PortRule>>,
    /// Where the rule begins.
    pub location: Location,
}

/// The other side of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Peers {
    /// No peer field at all: anybody, if the rule has ports; else the rule only counts for default deny.
    Unspecified,
    /// The union of these; an empty list is nobody.
    Listed(Vec<Peer>),
}

/// One element of a peer field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Peer {
    /// An element of `fromEndpoints` or `toEndpoints`, as written, not yet scoped.
    Endpoints(Selector),
    /// An element of `fromCIDR`, `toCIDR`, `fromCIDRSet` or `toCIDRSet`.
    Cidr(CidrPeer),
    /// An element of `fromEntities` or `toEntities`.
    Entity(Entity),
}

/// A block of addresses without its exceptions.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CidrPeer {
    /// The block, host bits cleared.
    pub block: IpNet,
    /// Blocks inside it that are not meant.
    pub except: Vec<IpNet>,
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

/// One element of `toPorts`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortRule {
    /// The ports; an empty list is no port at all.
    pub ports: Vec<PortSpec>,
    /// What requests on these ports must look like.
    pub l7: L7Rules,
    /// Where the element begins.
    pub location: Location,
}

/// One port or range of ports of one protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PortSpec {
    /// The port or the first of a range; 0 means every port.
    pub port: u16,
    /// The last port of a range. A value that is not above `port` makes no range.
    ///
    /// The API takes any 32-bit number and upstream keeps its low 16 bits; so does this field.
    /// [`Document::accept`] refuses such a document under [`Semantics::Strict`].
    pub end_port: Option<u16>,
    /// The protocol.
    pub protocol: PortProtocol,
}

/// The protocol of a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PortProtocol {
    /// TCP, UDP and SCTP (nothing else: no ICMP).
    Any,
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl fmt::Display for PortProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Any => "ANY",
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
            Self::Sctp => "SCTP",
        })
    }
}
