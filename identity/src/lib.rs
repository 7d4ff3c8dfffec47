//! Who is who: labels, selectors, identities, and the prefixes that lead to them.
//!
//! A packet is judged by who sent it. *Who* is a set of [`Labels`]; a [`Selector`] says which
//! sets a rule speaks of; [`Identities`] gives each set a number ([`IdentityId`]) that fits a
//! kernel table and a tunnel header; the [`PrefixTable`] leads from an address to a number.
//!
//! ```
//! use porin_identity::{Identities, Labels, Selector};
//!
//! let mut identities = Identities::default();
//! let labels: Labels = "k8s:app=api,k8s:io.kubernetes.pod.namespace=backend".parse()?;
//! let api = identities.intern(labels)?.id;
//!
//! let selector: Selector = "app=api".parse()?;
//! let chosen: Vec<_> = identities.iter().filter(|(_, labels)| selector.matches(labels)).collect();
//! assert_eq!(chosen.len(), 1);
//! assert_eq!(chosen[0].0, api);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The crate does no input or output, reads no clock and holds no global: time is a parameter.

mod cidr;
mod error;
mod family;
mod filter;
mod fingerprint;
mod id;
mod label;
mod label_hash;
mod labels;
mod prefix;
mod prefix_table;
mod registry;
mod selector;
mod selector_key;
mod selector_text;
mod shared_labels;
mod snapshot;
mod workload;

pub use cidr::{cidr_label, cidr_minus, parse_cidr_key};
pub use error::{
    AllocateError, ParseFilterError, ParseIdentityError, ParseLabelError, ParseSelectorError,
    PrefixError,
};
pub use family::{Families, Family};
pub use filter::{FilterPreview, LabelFilter, SelectorChange};
pub use fingerprint::Fingerprint;
pub use id::{IdentityId, Scope};
pub use label::{Label, key, source};
pub use label_hash::LabelHash;
pub use labels::Labels;
pub use prefix::{Binding, Generation, OwnerId, PrefixChange, PrefixEntry, Source};
pub use prefix_table::{ADDRESS_QUARANTINE, PrefixTable};
pub use registry::{Identities, Interned, QUARANTINE, Released};
pub use selector::{Operator, Requirement, Selector};
pub use selector_key::{SelectorKey, check_label_key, check_label_value};
pub use snapshot::{IdentityDelta, Snapshot};
pub use workload::Workload;
