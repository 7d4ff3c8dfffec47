//! What the cluster has besides workloads, as far as policies name it: services and groups of blocks.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use porin_identity::{Label, source};

use crate::peer::GROUP_NAME_PREFIX;
use crate::rule::Location;

/// A Kubernetes service, for `toServices`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Its name.
    pub name: Box<str>,
    /// Its namespace.
    pub namespace: Box<str>,
    /// Its own labels, by key.
    pub labels: BTreeMap<Box<str>, Box<str>>,
    /// Who stands behind it.
    pub backends: Backends,
}

/// Who stands behind a [`Service`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Backends {
    /// The pods of its namespace with these labels.
    Pods(BTreeMap<Box<str>, Box<str>>),
    /// A service without a selector: these addresses.
    Addresses(Vec<IpAddr>),
}

/// A `CiliumCIDRGroup` (`cilium.io/v2`): blocks under a name.
///
/// Every block of a group carries the labels `cidrgroup:io.cilium.policy.cidrgroupname/NAME` and, for
/// each label `k=v` of the group, `cidrgroup:k=v` and `cidrgroup:k+v`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CidrGroup {
    /// Its name.
    pub name: Arc<str>,
    /// Its labels, by key.
    pub labels: BTreeMap<Box<str>, Box<str>>,
    /// `externalCIDRs`, host bits cleared.
    pub blocks: Vec<IpNet>,
    /// Where the document begins.
    pub location: Location,
}

impl CidrGroup {
    /// The labels that each of its blocks carries.
    pub(crate) fn block_labels(&self) -> Vec<Label> {
        let name = (format!("{GROUP_NAME_PREFIX}{}", self.name), "");
        let own = self
            .labels
            .iter()
            .flat_map(|(key, value)| [(key.to_string(), &**value), (format!("{key}+{value}"), "")]);
        let label = |(key, value): (String, &str)| Label::new(source::CIDRGROUP, &key, value).ok();
        std::iter::once(name).chain(own).filter_map(label).collect()
    }
}
