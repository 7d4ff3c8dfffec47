//! What an endpoint is.

use std::net::IpAddr;

use crate::identity::Labels;
use crate::policy::NamedPort;

/// An endpoint as its orchestrator knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct EndpointSpec {
    pub(super) name: String,
    pub(super) labels: Labels,
    pub(super) ifindex: u32,
    pub(super) addresses: Vec<IpAddr>,
    pub(super) ports: Vec<NamedPort>,
    pub(super) held: bool,
}

impl EndpointSpec {
    /// An endpoint behind a device of this node.
    ///
    /// `labels` are complete, namespace included ([`Workload`](crate::identity::Workload) puts
    /// them together). `ifindex` is the index of the device on the node's side, in the network
    /// namespace of the calling thread.
    pub fn new(name: &str, labels: Labels, ifindex: u32) -> Self {
        Self {
            name: name.to_owned(),
            labels,
            ifindex,
            addresses: Vec::new(),
            ports: Vec::new(),
            held: false,
        }
    }

    /// An address that is its own: only it may send from there.
    pub fn address(mut self, address: IpAddr) -> Self {
        self.addresses.push(address.to_canonical());
        self
    }

    /// Several addresses.
    pub fn addresses(self, addresses: impl IntoIterator<Item = IpAddr>) -> Self {
        addresses.into_iter().fold(self, Self::address)
    }

    /// The names of its ports, which policies can use in place of numbers. Where workloads with equal
    /// labels call different ports by one name, an egress rule by that name tells them apart (under
    /// [`Semantics::Cilium`](crate::policy::Semantics::Cilium) a rule of a Cilium kind reaches
    /// neither).
    pub fn ports(mut self, ports: impl IntoIterator<Item = NamedPort>) -> Self {
        self.ports.extend(ports);
        self
    }

    /// Everything is prepared, and no packet passes until
    /// [`Enforcer::release`](super::Enforcer::release).
    pub fn held(mut self) -> Self {
        self.held = true;
        self
    }

    /// Its name, without the namespace.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its labels.
    #[must_use]
    pub fn labels(&self) -> &Labels {
        &self.labels
    }
}
