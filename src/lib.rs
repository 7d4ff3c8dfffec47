//! Identity-aware networking: a packet is judged by *who* it is, never by where its address says
//! it comes from.
//!
//! | step | module | what it does |
//! |---|---|---|
//! | name | [`identity`] | labels become numbers that fit a kernel table |
//! | decide | [`policy`] | policies that name labels become decisions and tables |
//! | enforce | `datapath` (feature) | eBPF programs judge every packet of every endpoint |
//! | tell | [`flow`] | every verdict comes back with its rule, file and line |
//!
//! The feature `enforcer` closes these steps as one loop; it needs a loader, `aya` or `libbpf`, to
//! bring the programs into the kernel. Without features nothing here needs Linux, root or a kernel:
//!
//! ```
//! use porin::{Direction, Identities, Labels, Options, PolicySet, Query, Verdict};
//!
//! let mut identities = Identities::default();
//! let api = identities.intern(Labels::workload("backend", None, "default", [("app", "api")])?)?.id;
//! let web = identities.intern(Labels::workload("backend", None, "default", [("app", "web")])?)?.id;
//!
//! let mut policies = PolicySet::new(Options::new());
//! policies.load([("web-to-api.yaml", r#"
//! apiVersion: cilium.io/v2
//! kind: CiliumNetworkPolicy
//! metadata: {name: web-to-api, namespace: backend}
//! spec:
//!   endpointSelector: {matchLabels: {app: api}}
//!   ingress:
//!   - fromEndpoints: [{matchLabels: {app: web}}]
//!     toPorts: [{ports: [{port: "8080", protocol: TCP}]}]
//! "#)])?;
//!
//! let policy = policies.resolve(api, &identities.snapshot())?;
//! let decision = policy.check(&Query::ingress(web).tcp(8080));
//! assert_eq!(decision.verdict(), Verdict::Allow);
//! let rule = decision.rule().ok_or("no rule")?;
//! assert_eq!(rule.to_string(), "cnp/backend/web-to-api ingress[0] (web-to-api.yaml:8)");
//! assert_eq!(policy.check(&Query::ingress(web).tcp(22)).verdict(), Verdict::Deny);
//! assert!(!policy.enforced(Direction::Egress));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub use porin_flow as flow;
pub use porin_identity as identity;
pub use porin_policy as policy;

#[cfg(feature = "datapath")]
pub use porin_datapath as datapath;

#[cfg(feature = "enforcer")]
pub mod enforcer;

pub use porin_flow::Flow;
pub use porin_identity::{Identities, IdentityId, Labels, Selector};
pub use porin_policy::{Decision, Direction, EndpointPolicy, Options, PolicySet, Query, Verdict};

#[cfg(feature = "enforcer")]
pub use enforcer::Enforcer;

/// The README's code is compiled and run with the tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
