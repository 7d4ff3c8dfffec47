//! The enforcer and how it keeps the tables in step.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use crate::datapath::{self, ApplyError, Datapath, Events};
use crate::flow::{EndpointId, FlowBuilder};
use crate::identity::{Identities, IdentityId, LabelFilter, OwnerId};
use crate::policy::{
    Criteria, EndpointPolicy, NamedPort, PolicySet, PortNames, ResolveError, Resolver,
};

use super::attribution::Known;
use super::blocks::Blocks;
use super::builder::Builder;
use super::error::{CloseError, EndpointError};
use super::spec::EndpointSpec;

/// Identities, policies, datapath and flows of one node, kept in step.
///
/// ```no_run
/// use std::time::Duration;
/// use porin::Labels;
/// use porin::enforcer::{EndpointSpec, Enforcer};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let now = Duration::ZERO;
/// let mut enforcer = Enforcer::builder().node("node-a").open()?;
/// enforcer.load_policies([("api.yaml", std::fs::read_to_string("api.yaml")?)], now)?;
/// let labels = Labels::workload("backend", None, "default", [("app", "api")])?;
/// let api = EndpointSpec::new("api-0", labels, 7).address("10.0.1.5".parse()?);
/// enforcer.add_endpoint(api, now)?;
/// loop {
///     enforcer.wait(Duration::from_millis(20), |flow| println!("{flow}"))?;
/// }
/// # }
/// ```
#[derive(Debug)]
pub struct Enforcer {
    pub(super) filter: LabelFilter,
    pub(super) identities: Identities,
    pub(super) policies: PolicySet,
    /// What the policies in force tell apart by address.
    pub(super) criteria: Criteria,
    /// The addresses of the node itself.
    pub(super) addresses: Vec<IpAddr>,
    pub(super) resolver: Resolver,
    pub(super) blocks: Blocks,
    pub(super) endpoints: BTreeMap<EndpointId, Attached>,
    /// The identities whose ports the resolver knows by name.
    pub(super) named: BTreeSet<IdentityId>,
    /// The number that was given last.
    pub(super) last_id: u32,
    /// What a process before this one left, by the index of its device, until it is claimed.
    pub(super) adopted: BTreeMap<u32, datapath::EndpointSpec>,
    pub(super) known: Known,
    pub(super) flows: FlowBuilder,
    pub(super) datapath: Datapath,
    pub(super) events: Option<Events>,
}

/// An endpoint and what is in force for it.
#[derive(Debug)]
pub(super) struct Attached {
    pub(super) spec: EndpointSpec,
    /// The identity of its labels.
    pub(super) shared: IdentityId,
    /// The identity that it has: that of its labels, or one of its own.
    pub(super) identity: IdentityId,
    /// Whether it holds `identity` besides `shared`.
    pub(super) is_own: bool,
    /// The identity that it is about to get.
    pub(super) next: Option<IdentityId>,
    pub(super) owner: OwnerId,
    pub(super) policy: Option<EndpointPolicy>,
    /// What it was taken over from, until it is brought up.
    pub(super) left: Option<datapath::EndpointSpec>,
}

impl Attached {
    /// The identities that others meet it under: the one that it has, unless it passes nothing yet,
    /// and the one that it is about to get.
    fn identities(&self) -> impl Iterator<Item = IdentityId> {
        let before = match &self.left {
            Some(left) => Some(left.identity),
            None => self.policy.as_ref().map(|_| self.identity),
        };
        before
            .into_iter()
            .chain([self.next.unwrap_or(self.identity)])
    }

    /// What its policy depends on: endpoints with the same share one.
    fn resolved_by(&self) -> (IdentityId, Vec<NamedPort>) {
        (self.identity, self.spec.ports.clone())
    }
}

impl Enforcer {
    /// Begins to set an enforcer up.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The policies in force.
    #[must_use]
    pub fn policies(&self) -> &PolicySet {
        &self.policies
    }

    /// The identities of this node.
    #[must_use]
    pub fn identities(&self) -> &Identities {
        &self.identities
    }

    /// The policy in force for an endpoint.
    #[must_use]
    pub fn policy(&self, id: EndpointId) -> Option<&EndpointPolicy> {
        self.endpoints.get(&id)?.policy.as_ref()
    }

    /// The identity of an endpoint.
    #[must_use]
    pub fn identity(&self, id: EndpointId) -> Option<IdentityId> {
        Some(self.endpoints.get(&id)?.identity)
    }

    /// The endpoints, by number.
    pub fn endpoints(&self) -> impl Iterator<Item = (EndpointId, &EndpointSpec)> + '_ {
        self.endpoints
            .iter()
            .map(|(id, attached)| (*id, &attached.spec))
    }

    /// How many endpoints of the process before this one nobody has claimed yet.
    #[must_use]
    pub fn adopted(&self) -> usize {
        self.adopted.len()
    }

    /// The datapath, for its counters and dumps.
    #[must_use]
    pub fn datapath(&self) -> &Datapath {
        &self.datapath
    }

    /// Ends the rest of freed numbers and addresses whose time has come. To be called now and then.
    ///
    /// # Errors
    ///
    /// When the kernel's tables cannot be written.
    pub fn tick(&mut self, now: Duration) -> Result<(), EndpointError> {
        self.identities.expire(now);
        self.blocks.expire(now);
        Ok(self.blocks.write(&mut self.datapath)?)
    }

    /// Takes everything out of the kernel: programs, tables and pins.
    ///
    /// # Errors
    ///
    /// When something cannot be removed; the rest is.
    pub fn close(self) -> Result<(), CloseError> {
        Ok(self.datapath.close()?)
    }

    /// Ends this value and leaves what is pinned in force, for [`Builder::open`] to adopt.
    /// What is not pinned ends.
    pub fn keep(self) {
        self.datapath.keep();
    }

    /// Tells the resolver what the endpoints of each identity call their ports.
    fn name_ports(&mut self) {
        let mut names: BTreeMap<IdentityId, PortNames> = BTreeMap::new();
        for attached in self.endpoints.values() {
            for identity in attached.identities() {
                names.entry(identity).or_default().add(&attached.spec.ports);
            }
        }
        for gone in std::mem::take(&mut self.named) {
            if !names.contains_key(&gone) {
                self.resolver.set_named_ports(gone, PortNames::default());
            }
        }
        for (identity, names) in names {
            self.named.insert(identity);
            self.resolver.set_named_ports(identity, names);
        }
    }

    /// Computes the policy of every endpoint and writes the tables whose content changed, all in
    /// one batch: replacing a table costs a grace period of the kernel, replacing many costs one.
    pub(super) fn settle<E>(&mut self) -> Result<(), E>
    where
        E: From<ResolveError> + From<ApplyError>,
    {
        let delta = self.identities.take_delta();
        if !delta.is_empty() {
            self.resolver.apply(&delta);
        }
        self.name_ports();
        let mut resolved: BTreeMap<(IdentityId, Vec<NamedPort>), EndpointPolicy> = BTreeMap::new();
        for attached in self.endpoints.values() {
            if let Entry::Vacant(unknown) = resolved.entry(attached.resolved_by()) {
                let mut own = PortNames::default();
                own.add(&attached.spec.ports);
                unknown.insert(self.resolver.resolve_endpoint(attached.identity, &own)?);
            }
        }
        let changed = self.endpoints.iter().filter_map(|(id, attached)| {
            let new = resolved.get(&attached.resolved_by())?;
            let same = attached
                .policy
                .as_ref()
                .is_some_and(|old| old.map_state() == new.map_state());
            (!same).then_some((*id, new.map_state()))
        });
        let changed: Vec<_> = changed.collect();
        if !changed.is_empty() {
            self.datapath.install(&changed)?;
        }
        for (id, attached) in &mut self.endpoints {
            let Some(new) = resolved.get(&attached.resolved_by()) else {
                continue;
            };
            attached.policy = Some(new.clone());
            self.known.policy(*id, new.clone());
        }
        Ok(())
    }
}
