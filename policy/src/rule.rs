//! The documents of a policy set, as their authors wrote them: validated, typed, with the place
//! of every part, and free of any question of how they are enforced.
//!
//! Selectors are kept *as written*: scoping to a namespace or a cluster is the business of the
//! deciding half. The shape follows the policy API of Cilium 1.20 (CiliumNetworkPolicy,
//! CiliumClusterwideNetworkPolicy), with the Kafka and `l7proto` rules as 1.19 had them, and holds
//! what the Kubernetes APIs (NetworkPolicy, AdminNetworkPolicy and BaselineAdminNetworkPolicy,
//! ClusterNetworkPolicy) say as well.

use std::fmt;
use std::sync::Arc;

use porin_identity::{Label, Selector};

use crate::direction::Direction;
use crate::options::Options;
use crate::parse::ParseError;
use crate::peers::{CidrSource, Peer, Peers};
use crate::port_rule::PortRule;
use crate::staged::Staging;

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

/// The kinds of policy documents, in the order of their short names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum PolicyKind {
    /// `AdminNetworkPolicy` (`policy.networking.k8s.io/v1alpha1`): goes before every other kind.
    AdminNetworkPolicy,
    /// `BaselineAdminNetworkPolicy` (`policy.networking.k8s.io/v1alpha1`): comes after every other kind.
    BaselineAdminNetworkPolicy,
    /// `CiliumClusterwideNetworkPolicy` (`cilium.io/v2`): guards workloads of every namespace, or nodes.
    CiliumClusterwideNetworkPolicy,
    /// `CiliumNetworkPolicy` (`cilium.io/v2`): guards the workloads of its own namespace.
    CiliumNetworkPolicy,
    /// `ClusterNetworkPolicy` (`policy.networking.k8s.io/v1alpha2`): either, as its `tier` says.
    ClusterNetworkPolicy,
    /// `NetworkPolicy` (`networking.k8s.io/v1`): guards the workloads of its own namespace.
    NetworkPolicy,
}

impl PolicyKind {
    /// All kinds, in the order of their declaration.
    pub const ALL: [Self; 6] = [
        Self::CiliumNetworkPolicy,
        Self::CiliumClusterwideNetworkPolicy,
        Self::NetworkPolicy,
        Self::AdminNetworkPolicy,
        Self::BaselineAdminNetworkPolicy,
        Self::ClusterNetworkPolicy,
    ];

    /// The kind as it stands in a document's `kind` field.
    pub fn name(self) -> &'static str {
        match self {
            Self::CiliumNetworkPolicy => "CiliumNetworkPolicy",
            Self::CiliumClusterwideNetworkPolicy => "CiliumClusterwideNetworkPolicy",
            Self::NetworkPolicy => "NetworkPolicy",
            Self::AdminNetworkPolicy => "AdminNetworkPolicy",
            Self::BaselineAdminNetworkPolicy => "BaselineAdminNetworkPolicy",
            Self::ClusterNetworkPolicy => "ClusterNetworkPolicy",
        }
    }

    /// The usual short name: `cnp`, `ccnp`, `netpol`, `anp`, `banp`, `kcnp`.
    pub fn short_name(self) -> &'static str {
        match self {
            Self::CiliumNetworkPolicy => "cnp",
            Self::CiliumClusterwideNetworkPolicy => "ccnp",
            Self::NetworkPolicy => "netpol",
            Self::AdminNetworkPolicy => "anp",
            Self::BaselineAdminNetworkPolicy => "banp",
            Self::ClusterNetworkPolicy => "kcnp",
        }
    }

    /// Whether such documents live in a namespace and guard its workloads only.
    pub fn is_namespaced(self) -> bool {
        matches!(self, Self::CiliumNetworkPolicy | Self::NetworkPolicy)
    }

    /// Whether the kind belongs to a Kubernetes API, whose peers are pods, never whatever else
    /// has labels.
    pub fn is_kubernetes(self) -> bool {
        !matches!(
            self,
            Self::CiliumNetworkPolicy | Self::CiliumClusterwideNetworkPolicy
        )
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
    /// `cnp/NAMESPACE/NAME`, `ccnp/NAME`: the kind's short name first.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.short_name())?;
        if let Some(namespace) = &self.namespace {
            write!(f, "/{namespace}")?;
        }
        write!(f, "/{}", self.name)
    }
}

/// What a document is known by, whether it is a policy or a group of blocks.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DocumentName {
    /// A policy.
    Policy(PolicyName),
    /// A CiliumCIDRGroup, by its `metadata.name`.
    CidrGroup(Arc<str>),
}

impl DocumentName {
    /// The name, if it is that of a policy.
    pub fn policy(&self) -> Option<&PolicyName> {
        match self {
            Self::Policy(name) => Some(name),
            Self::CidrGroup(_) => None,
        }
    }
}

impl fmt::Display for DocumentName {
    /// That of the policy; `ccg/NAME` for a group.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Policy(name) => name.fmt(f),
            Self::CidrGroup(name) => write!(f, "ccg/{name}"),
        }
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
    /// Which of its rules are only tried, not enforced.
    pub staging: Staging,
    pub(crate) source: Source,
    pub(crate) objections: Vec<Objection>,
}

/// A reason against a document that not every reader has.
#[derive(Debug, Clone)]
pub(crate) struct Objection {
    pub(crate) of: Objector,
    pub(crate) error: ParseError,
}

/// Who refuses a document that others take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Objector {
    /// Cilium semantics.
    Cilium,
    /// Strict semantics.
    Strict,
    /// Whoever knows no labels of nodes.
    WithoutNodeLabels,
    /// Whoever has no protocols without ports.
    WithoutPortless,
    /// Whoever has none, under Strict semantics.
    StrictWithoutPortless,
}

impl Document {
    /// Whether the document may be loaded under these options.
    ///
    /// Most of what is wrong with a document is wrong for everybody, and such a document is never
    /// made. A few things are taken by some and refused by others: under
    /// [`Semantics::Cilium`](crate::Semantics::Cilium) a spec without any rule; under
    /// [`Semantics::Strict`](crate::Semantics::Strict) an `endPort` that is no port; without
    /// [`Options::node_labels`] a peer that is a node; without [`Options::portless_protocols`] a
    /// protocol that has no ports.
    ///
    /// # Errors
    /// The first reason against the document, with its place.
    pub fn accept(&self, options: &Options) -> Result<(), &ParseError> {
        let mut objections = self.objections.iter();
        match objections.find(|objection| options.shares(objection.of)) {
            Some(objection) => Err(&objection.error),
            None => Ok(()),
        }
    }

    /// Whether a rule speaks of that CIDR group, or of groups by their labels.
    pub(crate) fn may_name_group(&self, group: &str) -> bool {
        let mut rules = self.specs.iter().flat_map(|spec| &spec.rules);
        rules.any(|rule| match &rule.peers {
            Peers::Listed(peers) => peers.iter().any(|peer| match peer {
                Peer::Cidr(cidr) => match &cidr.source {
                    CidrSource::Group(name) => **name == *group,
                    CidrSource::Groups(_) => true,
                    CidrSource::Address(_) | CidrSource::Block(_) => false,
                },
                _ => false,
            }),
            Peers::Unspecified | Peers::Unnamed => false,
        })
    }

    /// The file that the document stands in, whole, as it was given to the parser; `None` in a
    /// [`PolicySet`](crate::PolicySet), which keeps what documents mean and not their files.
    pub fn source_text(&self) -> Option<&Arc<str>> {
        self.source.text.as_ref()
    }

    pub(crate) fn without_text(mut self) -> Self {
        self.source.text = None;
        self
    }
}

/// Where the text of a document is: lint answers with edits of it.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    /// The text of the whole file, as long as somebody may want to edit it.
    pub(crate) text: Option<Arc<str>>,
    /// Which document of YAML or JSON, from zero.
    pub(crate) index: usize,
    /// Which item of it, if it is a list.
    pub(crate) item: Option<usize>,
}

/// One `spec`: whom it guards, and its rules.
#[derive(Debug, Clone)]
pub struct Spec {
    /// Whom the subject selector speaks of.
    pub guards: Guards,
    /// Who is guarded, as written, not yet scoped. The keys of the Kubernetes kinds have the source
    /// `k8s`, and those of namespace labels their prefix
    /// ([`NAMESPACE_LABELS_PREFIX`](porin_identity::key::NAMESPACE_LABELS_PREFIX)).
    pub subject: Selector,
    /// How strong the rules are against those of other documents.
    pub tier: Tier,
    /// The priority inside the tier, from 0 (strongest) to 1000; 0 where the kind has none.
    pub priority: u16,
    /// The rules, each list in its order.
    pub rules: Vec<Rule>,
    /// Rule lists that are present and empty, such as `egress: []`. The Kubernetes kinds have none:
    /// there a list that is empty and one that is absent are the same.
    pub empty_lists: Vec<EmptyList>,
    /// `enableDefaultDeny`.
    pub default_deny: DefaultDeny,
    /// `policyTypes` of a NetworkPolicy; `None` if it is absent or empty.
    pub policy_types: Option<PolicyTypes>,
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

/// Whom a subject selector speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Guards {
    /// Workloads (`endpointSelector`, `podSelector`, `subject`).
    Endpoints,
    /// The local host (`nodeSelector`).
    Nodes,
}

/// The tiers that rules are written for, strongest first.
///
/// The numbers stand for the tiers of the policy API of Cilium 1.20 (Admin 100, Normal 200, Baseline
/// 250) and of the Kubernetes network policy API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Tier {
    /// Before everything else: AdminNetworkPolicy, ClusterNetworkPolicy of tier Admin.
    Admin,
    /// CiliumNetworkPolicy, CiliumClusterwideNetworkPolicy, NetworkPolicy.
    Normal,
    /// Where the tiers before say nothing: BaselineAdminNetworkPolicy, ClusterNetworkPolicy of tier
    /// Baseline.
    Baseline,
}

/// `policyTypes` of a NetworkPolicy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PolicyTypes {
    /// Whether `Ingress` is listed.
    pub ingress: bool,
    /// Whether `Egress` is listed.
    pub egress: bool,
}

impl PolicyTypes {
    /// Whether a direction is listed.
    pub fn get(self, direction: Direction) -> bool {
        match direction {
            Direction::Ingress => self.ingress,
            Direction::Egress => self.egress,
        }
    }
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
    /// An element of `ingress` or `egress`; `Allow` or `Accept` of the cluster-scoped kinds.
    Allow,
    /// An element of `ingressDeny` or `egressDeny`; `Deny` of the cluster-scoped kinds.
    Deny,
    /// The rest of the tier is skipped; `Pass` of the cluster-scoped kinds.
    Pass,
}

/// The field of a spec that holds the rules of `direction` and `action`, for the kinds that have a
/// list for each.
pub fn list_field(direction: Direction, action: Action) -> &'static str {
    match (direction, action) {
        (Direction::Ingress, Action::Deny) => "ingressDeny",
        (Direction::Egress, Action::Deny) => "egressDeny",
        (Direction::Ingress, Action::Allow | Action::Pass) => "ingress",
        (Direction::Egress, Action::Allow | Action::Pass) => "egress",
    }
}

/// What a connection has to prove besides being allowed (`authentication`), weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AuthMode {
    /// `disabled`: nothing, even where a broader rule asks for more.
    Disabled,
    /// `required`: both sides are mutually authenticated, or the packet is dropped.
    Required,
    /// `test-always-fail`: never passes.
    AlwaysFail,
}

impl AuthMode {
    /// The name in policy documents.
    pub fn name(self) -> &'static str {
        match self {
            Self::Disabled => "disabled",
            Self::Required => "required",
            Self::AlwaysFail => "test-always-fail",
        }
    }
}

impl fmt::Display for AuthMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// One element of a rule list.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Which way the flows go, seen from the guarded workload.
    pub direction: Direction,
    /// What it does.
    pub action: Action,
    /// The place in its list, from zero.
    pub index: usize,
    /// `name` of a rule of a cluster-scoped kind.
    pub name: Option<Box<str>>,
    /// The other side.
    pub peers: Peers,
    /// `toPorts` and `icmps`, `ports`, `protocols`; `None` when there is none, which means every port
    /// and protocol.
    pub ports: Option<Vec<PortRule>>,
    /// `authentication.mode`.
    pub auth: Option<AuthMode>,
    /// Where the rule begins.
    pub location: Location,
}
