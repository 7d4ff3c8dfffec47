//! Setting an enforcer up.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::datapath::{self, Aggregation, Datapath, Limits, Loader, Pins};
use crate::flow::FlowBuilder;
use crate::identity::{Families, Identities, IdentityId, LabelFilter};
use crate::policy::{Options, PolicySet, Resolver};

use super::attribution::Known;
use super::blocks::Blocks;
use super::core::Enforcer;
use super::error::OpenError;
use super::host::{HOST, Host, HostSpec};

/// How an [`Enforcer`] is set up. Without further words: nothing is pinned, policies are
/// understood strictly, both address families are spoken.
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct Builder {
    node: String,
    options: Options,
    filter: LabelFilter,
    addresses: Vec<IpAddr>,
    host: Option<HostSpec>,
    datapath: datapath::Config,
}

impl Builder {
    /// The node's name in flows.
    pub fn node(mut self, name: &str) -> Self {
        name.clone_into(&mut self.node);
        self
    }

    /// How policies are understood.
    pub fn options(mut self, options: Options) -> Self {
        self.options = options;
        self
    }

    /// The address families of the node. They count for policies and for the kernel alike.
    pub fn families(mut self, families: Families) -> Self {
        self.datapath.families = families;
        self
    }

    /// Which labels make an identity.
    pub fn filter(mut self, filter: LabelFilter) -> Self {
        self.filter = filter;
        self
    }

    /// Addresses of the node itself: who sends from there is the host.
    pub fn addresses(mut self, addresses: impl IntoIterator<Item = IpAddr>) -> Self {
        self.addresses.extend(addresses);
        self
    }

    /// Puts the node itself under the rules that select nodes. Without this nothing of what the
    /// node sends or receives is judged.
    pub fn host(mut self, host: HostSpec) -> Self {
        self.host = Some(host);
        self
    }

    /// Pins everything in this directory of a BPF file system, and adopts what is pinned there.
    pub fn pins(mut self, directory: impl AsRef<Path>) -> Self {
        self.datapath.pins = Pins::Dir(PathBuf::from(directory.as_ref()));
        self
    }

    /// Sizes of the kernel's tables.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.datapath.limits = limits;
        self
    }

    /// How much is told of flows that go on.
    pub fn aggregation(mut self, aggregation: Aggregation) -> Self {
        self.datapath.aggregation = aggregation;
        self
    }

    /// Which library loads the programs.
    pub fn loader(mut self, loader: Loader) -> Self {
        self.datapath.loader = loader;
        self
    }

    /// Loads the programs, or takes over what is pinned.
    ///
    /// What is taken over stays in force until [`Enforcer::load_policies`] and then
    /// [`Enforcer::add_endpoints`] have computed what comes after it; call them in this order.
    ///
    /// # Errors
    ///
    /// [`OpenError`]; what is pinned stays in force.
    pub fn open(self) -> Result<Enforcer, OpenError> {
        let families = self.datapath.families;
        let mut identities = Identities::new(families);
        let options = self.options.families(families);
        let policies = PolicySet::new(match self.host {
            Some(_) => options.host_firewall(true),
            None => options,
        });
        if let (Some(host), Some(labels)) = (&self.host, identities.labels(IdentityId::HOST)) {
            let labels = host.labelled(labels);
            // A reserved number takes any labels.
            let _ = identities.insert_fixed(IdentityId::HOST, labels);
        }
        // The resolver begins with the snapshot; only what comes after it is a delta.
        let resolver = Resolver::new(&policies, &identities.snapshot());
        identities.take_delta();
        let mut blocks = Blocks::new();
        blocks.claim_node(&self.addresses)?;
        let mut datapath = Datapath::open(&self.datapath)?;
        blocks.write(&mut datapath)?;
        let left = datapath.endpoints().into_iter();
        let adopted: BTreeMap<_, _> = left.map(|left| (left.spec.ifindex, left.spec)).collect();
        let last_id = adopted.values().map(|left| left.id.get()).max();
        let events = datapath.events();
        let mut enforcer = Enforcer {
            filter: self.filter,
            identities,
            criteria: policies.criteria(),
            policies,
            addresses: self.addresses,
            resolver,
            blocks,
            endpoints: BTreeMap::new(),
            host: self.host.map(Host::new),
            named: BTreeSet::new(),
            in_step: true,
            last_id: last_id.unwrap_or(0),
            adopted,
            known: Known::default(),
            flows: FlowBuilder::new(&self.node),
            lapsed: Vec::new(),
            next_sweep: Duration::ZERO,
            datapath,
            events,
        };
        let host = enforcer.described(HOST, IdentityId::HOST, "host");
        enforcer.known.put(host, &[]);
        Ok(enforcer)
    }
}
