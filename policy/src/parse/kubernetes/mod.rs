//! The Kubernetes kinds: NetworkPolicy, AdminNetworkPolicy and BaselineAdminNetworkPolicy,
//! ClusterNetworkPolicy.
//!
//! What is refused is what an API server refuses: for NetworkPolicy the validation of Kubernetes
//! 1.34, for the cluster-scoped kinds the schemas of the network policy API (v0.1.7 of v1alpha1,
//! v0.2.0 of v1alpha2, experimental channel). Beyond that, whatever could only be a mistake that
//! opens something is refused too: port names that no container port can have, ranges that end
//! before they begin, blocks that mix the address families.

mod admin;
mod block;
mod cluster;
mod name;
mod network_policy;
mod peer;
mod port;
mod selector;
mod spec;

use porin_identity::Selector;

use super::at::{At, Reader};
use super::error::ParseError;
use crate::rule::{PolicyKind, Spec};

const ROOT: &[&str] = &["apiVersion", "kind", "metadata", "spec", "status"];

/// Everything that a document of that kind says.
pub(super) fn specs(
    reader: &mut Reader<'_>,
    root: &At<'_>,
    kind: PolicyKind,
) -> Result<Vec<Spec>, ParseError> {
    reader.fields(root, ROOT)?;
    name::check(reader, root, kind)?;
    let at = spec::of(reader, root)?;
    let spec = match kind {
        PolicyKind::AdminNetworkPolicy => spec::spec(reader, &at, &admin::ADMIN),
        PolicyKind::BaselineAdminNetworkPolicy => spec::spec(reader, &at, &admin::BASELINE),
        PolicyKind::ClusterNetworkPolicy => spec::spec(reader, &at, &cluster::CLUSTER),
        PolicyKind::NetworkPolicy
        | PolicyKind::CiliumNetworkPolicy
        | PolicyKind::CiliumClusterwideNetworkPolicy => network_policy::spec(reader, &at),
    };
    spec.map(|spec| vec![spec])
}

/// The subject of a document that was refused, or nothing if it cannot be read.
pub(super) fn subjects(
    reader: &mut Reader<'_>,
    root: &At<'_>,
    kind: PolicyKind,
) -> Result<Vec<Selector>, ParseError> {
    let at = spec::of(reader, root)?;
    let subject = match kind {
        PolicyKind::ClusterNetworkPolicy => peer::subject(reader, &at, &cluster::CLUSTER),
        PolicyKind::AdminNetworkPolicy | PolicyKind::BaselineAdminNetworkPolicy => {
            peer::subject(reader, &at, &admin::ADMIN)
        }
        PolicyKind::NetworkPolicy
        | PolicyKind::CiliumNetworkPolicy
        | PolicyKind::CiliumClusterwideNetworkPolicy => network_policy::subject(reader, &at),
    };
    subject.map(|subject| vec![subject])
}
