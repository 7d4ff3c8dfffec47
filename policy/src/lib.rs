//! Network policies that name identities: read, check, decide, explain, compile.
//!
//! Documents (CiliumNetworkPolicy, CiliumClusterwideNetworkPolicy) become a [`PolicySet`]; with a
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
//! **Verdict of a flow.** Every rule entry that covers the flow contributes. The strongest
//! contribution decides: by tier, then by priority, then by what it asks for: a denial before a
//! redirect (of the lower listener priority first) before a plain allowance. How narrow a peer or
//! a port is never matters. Nothing covers the flow: dropped.
//!
//! **Lookup in a policy table.**
//! 1. The longest prefix among the entries of the peer's identity and direction that cover the
//!    protocol and port. Candidates are the protocol with 16 down to 0 bits of the port, then any
//!    protocol.
//! 2. The same among the entries of identity 0, which stands for any peer.
//! 3. The higher [`Precedence`] wins; if equal, the longer prefix (0 for any protocol, 8 for a
//!    protocol, 8 + n for n bits of port); if equal, the identity's entry.
//! 4. Nothing found: dropped by default deny (drop reason 133). A [`EntryAction::Deny`] entry:
//!    dropped by a rule (drop reason 181).
//!
//! A direction in which nothing is enforced has one entry: any peer, any protocol, allow, with
//! [`RuleCookie::NOT_ENFORCED`].

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
mod staged;
mod table;
mod verdict;
mod weigh;
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
pub use staged::{StagedRule, Staging};
pub use verdict::{Parser, Redirect, Verdict};
pub use world::{NodeEntry, Outside, Workload, WorkloadPort, World};
