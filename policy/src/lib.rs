//! Network policies that name identities: read, check, decide, explain, compile.
//!
//! Documents (CiliumNetworkPolicy, CiliumClusterwideNetworkPolicy, NetworkPolicy, AdminNetworkPolicy,
//! BaselineAdminNetworkPolicy, ClusterNetworkPolicy) become a [`PolicySet`]; with a
//! [`Snapshot`](porin_identity::Snapshot) of the identities it resolves to the [`EndpointPolicy`] of
//! a subject, which answers a [`Query`] with a [`Decision`] and holds the same answers as table
//! entries for the kernel, a [`MapState`].
//!
//! ```
//! use porin_identity::{Families, Identities};
//! use porin_policy::{Options, PolicySet, Query, Verdict};
//!
//! let mut identities = Identities::new(Families::Dual);
//! let mut pod = |labels: &str| {
//!     let place = "k8s:io.kubernetes.pod.namespace=shop,k8s:io.cilium.k8s.policy.cluster=default";
//!     Ok::<_, Box<dyn std::error::Error>>(identities.intern(format!("{labels},{place}").parse()?)?.id)
//! };
//! let (web, db) = (pod("k8s:app=web")?, pod("k8s:app=db")?);
//!
//! let mut set = PolicySet::new(Options::new());
//! set.load([("db.yaml", r#"
//! apiVersion: cilium.io/v2
//! kind: CiliumNetworkPolicy
//! metadata: {name: db, namespace: shop}
//! spec:
//!   endpointSelector: {matchLabels: {app: db}}
//!   ingress:
//!   - fromEndpoints: [{matchLabels: {app: web}}]
//!     toPorts: [{ports: [{port: "5432", protocol: TCP}]}]
//! "#)])?;
//! let policy = set.resolve(db, &identities.snapshot())?;
//! let decision = policy.check(&Query::ingress(web).tcp(5432));
//! assert_eq!(decision.verdict(), Verdict::Allow);
//! assert_eq!(decision.rule().map(|rule| rule.to_string()).as_deref(),
//!     Some("cnp/shop/db ingress[0] (db.yaml:8)"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Who wins
//!
//! This list holds for the fast evaluator, the reference evaluator, [`MapState::lookup`] and the
//! kernel program alike; they are tested against each other.
//!
//! 1. **Tiers** go before each other: Admin, Normal, Baseline, and last what is computed. Every rule
//!    that speaks of the peer, protocol and port of a flow contributes in its tier.
//! 2. **Priority** goes next: inside Admin and Baseline the lower `priority` of the policy, then the
//!    earlier rule of its list. In Normal everything is equal.
//! 3. **What is asked** goes last: of equals a denial before a redirect (the lower listener priority
//!    first: a listener's own 1 to 100, HTTP 101, Kafka 106, a named parser 111, TLS 116, DNS 121, a
//!    listener without a priority 126) before a plain allowance before a pass. How narrow a peer or a
//!    port is never matters.
//! 4. **The strongest contribution decides.** A pass skips the rest of its tier, and the strongest of
//!    what is left decides.
//! 5. **Default deny.** If a policy of tier Normal switches it on for the direction, tier Normal ends
//!    with it: first the local host is allowed (ingress, [`AllowLocalhost::Always`]), then everybody
//!    denied. So Baseline speaks only of whom no such policy isolates.
//! 6. **In the end** who is not isolated may do everything; whom the enforcement mode or the label
//!    `reserved:init` isolates, nothing.
//!
//! What rules ask of the *same* peers on the *same* written port in one tier is merged before: the
//! strongest priority alone counts, a denial there goes before allowances, and allowances are joined;
//! if they cannot be, that is a [`Conflict`].
//!
//! ```
//! # use porin_identity::{Families, Identities};
//! # use porin_policy::{Options, PolicySet, Query, Verdict};
//! # let mut identities = Identities::new(Families::Dual);
//! # let mut pod = |labels: &str| {
//! #     let place = "k8s:io.kubernetes.pod.namespace=shop,k8s:io.cilium.k8s.policy.cluster=default,\
//! #         k8s:io.cilium.k8s.namespace.labels.kubernetes.io/metadata.name=shop";
//! #     Ok::<_, Box<dyn std::error::Error>>(identities.intern(format!("{labels},{place}").parse()?)?.id)
//! # };
//! # let (web, db) = (pod("k8s:app=web")?, pod("k8s:app=db")?);
//! let mut set = PolicySet::new(Options::new());
//! set.load([("policies.yaml", r#"
//! apiVersion: policy.networking.k8s.io/v1alpha2
//! kind: ClusterNetworkPolicy
//! metadata: {name: before}
//! spec:
//!   tier: Admin
//!   priority: 10
//!   subject: {namespaces: {}}
//!   ingress:
//!   - {action: Pass, from: [{namespaces: {}}], protocols: [{tcp: {destinationPort: {number: 80}}}]}
//!   - {action: Deny, from: [{namespaces: {}}]}
//! ---
//! apiVersion: networking.k8s.io/v1
//! kind: NetworkPolicy
//! metadata: {name: between, namespace: shop}
//! spec:
//!   podSelector: {}
//!   ingress: [{ports: [{port: 80}]}]
//! ---
//! apiVersion: policy.networking.k8s.io/v1alpha2
//! kind: ClusterNetworkPolicy
//! metadata: {name: behind}
//! spec:
//!   tier: Baseline
//!   priority: 0
//!   subject: {namespaces: {}}
//!   egress: [{action: Deny, to: [{namespaces: {}}]}]
//! "#)])?;
//! let snapshot = identities.snapshot();
//! let policy = set.resolve(db, &snapshot)?;
//! let ask = |query| policy.check(&query).verdict();
//! assert_eq!(ask(Query::ingress(web).tcp(80)), Verdict::Allow); // passed on, then allowed
//! assert_eq!(ask(Query::ingress(web).tcp(22)), Verdict::Deny); // denied by tier Admin
//! assert_eq!(ask(Query::egress(web).tcp(22)), Verdict::Deny); // isolated by nobody: Baseline is asked
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! **Lookup in a policy table.**
//! 1. The longest prefix among the entries of the peer's identity and direction that cover the
//!    protocol and port. Candidates are the protocol with 16 down to 0 bits of the port, then any
//!    protocol.
//! 2. The same among the entries of identity 0, which stands for any peer.
//! 3. The higher [`Precedence`] wins; if equal, the longer prefix (0 for any protocol, 8 for a
//!    protocol, 8 + n for n bits of port); if equal, the identity's entry.
//! 4. Nothing found, or a [`EntryAction::Deny`] entry that no rule stands behind: dropped by default
//!    deny (drop reason 133). Another deny entry: dropped by a rule (drop reason 181). An entry that
//!    asks for authentication: dropped until somebody has proved it (drop reason 189).
//!
//! A direction in which nothing is enforced has one entry: any peer, any protocol, allow, with
//! [`RuleCookie::NOT_ENFORCED`]. The precedence of an entry is that of the strongest contribution to
//! it, even where that is a pass.
//!
//! # What Strict changes
//!
//! [`Semantics::Cilium`] answers as Cilium 1.20.1 does. [`Semantics::Strict`] differs where that is
//! wider than what the author wrote. The page `docs/semantics.md` has an example of each, which is a
//! test.
//!
//! | | Cilium | Strict |
//! |---|---|---|
//! | S1 | `egress: []` alone is refused, beside rules it is ignored | default deny for that direction |
//! | S2 | a plain allowance lifts HTTP and DNS rules and server names | the request must fit a rule where there is one |
//! | S3 | `headers: ["Name: .*"]` asks for the literal value `.*` | asks for presence |
//! | X1 | `cidrGroupSelector: {}` is everybody, negative terms take blocks in no group | blocks of some group |
//! | X2 | empty `toFQDNs`, `toServices`, `toGroups`, or services that lead nowhere, with ports: everybody | nobody |
//! | X3 | port 0 with `endPort` is every port | the ports up to `endPort` |
//! | X4 | ICMP type 0 is every type | type 0 |
//! | X5 | DNS rules of one written port alone hold | all DNS rules that cover the flow |
//! | X9 | server names beside content without TLS termination: accepted in one order of documents | a [`Conflict`] |
//! | X10, X11, X18 | authentication is lost beside a stronger redirect | the strictest mode of all allowances |
//! | X15 | `endPort` is cut to 16 bits | refused |
//! | X21 | a label with key `host` or `init` of any source changes enforcement | only of source `reserved` |
//!
//! ```
//! # use porin_identity::{Families, Identities};
//! # use porin_policy::{Options, PolicySet, Query, Semantics, Verdict};
//! # let mut identities = Identities::new(Families::Dual);
//! # let mut pod = |labels: &str| {
//! #     let place = "k8s:io.kubernetes.pod.namespace=shop,k8s:io.cilium.k8s.policy.cluster=default";
//! #     Ok::<_, Box<dyn std::error::Error>>(identities.intern(format!("{labels},{place}").parse()?)?.id)
//! # };
//! # let (web, db) = (pod("k8s:app=web")?, pod("k8s:app=db")?);
//! let empty_names = r#"
//! apiVersion: cilium.io/v2
//! kind: CiliumNetworkPolicy
//! metadata: {name: web, namespace: shop}
//! spec:
//!   endpointSelector: {matchLabels: {app: web}}
//!   egress: [{toFQDNs: [], toPorts: [{ports: [{port: "443"}]}]}]
//! "#;
//! for (semantics, verdict) in [(Semantics::Cilium, Verdict::Allow), (Semantics::Strict, Verdict::Deny)] {
//!     let mut set = PolicySet::new(Options::new().semantics(semantics));
//!     set.load([("web.yaml", empty_names)])?;
//!     let policy = set.resolve(web, &identities.snapshot())?;
//!     assert_eq!(policy.check(&Query::egress(db).tcp(443)).verdict(), verdict);
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod ask;

mod auth;
mod bits;
mod chain;
mod classes;
mod compile;
mod content;
mod contribution;
mod cookie;
mod decision;
mod diff;
mod digest;
mod direction;
mod draft;
mod endpoint;
mod error;
mod explain;
mod group;
mod identity_index;
mod inspect;
mod l7;
mod l7_policy;
mod label_map;
mod lane;
mod level;
mod lint;
mod map_key;
mod map_state;
mod named_port;
mod options;
mod parse;
mod part;
mod peer;
mod peer_set;
mod peers;
mod port;
mod port_index;
mod port_rule;
mod ports;
mod precedence;
mod print;
mod protocol;
mod query;
mod reference;
mod resolve;
mod rule;
mod rule_ref;
mod scope;
mod selector_cache;
mod service;
mod set;
mod split;
mod staged;
mod table;
mod verdict;
mod weigh;
mod wildcard;
mod world;
mod yaml;

pub use cookie::RuleCookie;
pub use decision::{Decision, Reason};
pub use diff::Difference;
pub use direction::Direction;
pub use endpoint::EndpointPolicy;
pub use error::{Conflict, LoadError, ParseNameError, ResolveError};
pub use explain::{Candidate, Explanation, NearMiss, Obstacle, Weaker};
pub use group::{AwsGroup, GroupPeer};
pub use l7::{
    Correction, DnsMatcher, DnsQuery, DnsRule, FqdnMatcher, HeaderCorrection, HeaderMatch,
    HeaderRule, HeaderTest, HeaderValue, HttpConditions, HttpMatcher, HttpRequest, HttpRule,
    Judgement, KafkaMatcher, KafkaRequest, KafkaRole, KafkaRule, L7Error, L7Matcher, L7Rules,
    Mismatch, NamePattern, NoSecrets, Request, SecretRef, Secrets, ServerNames, TlsHello,
};
pub use l7_policy::L7Policy;
pub use lint::{Code, Edit, Finding, Level, Related, Suggestion, lint};
pub use map_key::{EntryAction, MapEntry, MapKey};
pub use map_state::{ContentHash, MapChange, MapState};
pub use named_port::{NamedPort, NamedPorts, PortNames};
pub use options::{
    AllowLocalhost, CidrMatch, Enforcement, IpBlocks, NetworkPolicyReading, Options,
    RefusedDocuments, Semantics,
};
pub use parse::{ParseError, ParseErrorKind, Parsed, Refused, parse_documents};
pub use peers::{
    CidrPeer, CidrSource, Entity, FqdnPeer, Peer, Peers, PodPeer, ServicePeer, ServiceSource,
};
pub use port::PortPrefix;
pub use port_rule::{
    ConfigKind, ListenerRef, Port, PortProtocol, PortRule, PortSpec, TlsRules, TlsSide,
};
pub use precedence::Precedence;
pub use protocol::Protocol;
pub use query::Query;
pub use reference::{Answer, Reference};
pub use resolve::Resolver;
pub use rule::{
    Action, AuthMode, DefaultDeny, Document, DocumentName, EmptyList, Guards, Location, PolicyKind,
    PolicyName, PolicyTypes, Rule, Spec, Tier, list_field,
};
pub use rule_ref::RuleRef;
pub use service::{Backends, CidrGroup, Service};
pub use set::{LoadReport, PolicySet, RefusedDocument, RefusedOutcome, Revision, SetHash};
pub use split::{Criteria, Member};
pub use staged::{StagedRule, Staging};
pub use verdict::{Parser, Redirect, Verdict};
pub use world::{NodeEntry, Outside, Workload, WorkloadPort, World};
