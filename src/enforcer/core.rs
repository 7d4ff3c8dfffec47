//! The enforcer and how it keeps the tables in step.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use crate::datapath::{self, ApplyError, Datapath, Events};
use crate::flow::{EndpointId, FlowBuilder, Observation};
use crate::identity::{Identities, IdentityDelta, IdentityId, LabelFilter, OwnerId};
use crate::policy::{
    Criteria, EndpointPolicy, MapChange, NamedPort, PolicySet, PortNames, ResolveError, Resolver,
};

use super::attribution::Known;
use super::blocks::Blocks;
use super::builder::Builder;
use super::error::{CloseError, EndpointError};
use super::host::Host;
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
    pub(super) host: Option<Host>,
    /// The identities whose ports the resolver knows by name.
    pub(super) named: BTreeSet<IdentityId>,
    /// Whether the policies in force know of every identity: a change that stops halfway leaves some
    /// that do not.
    pub(super) in_step: bool,
    /// The number that was given last.
    pub(super) last_id: u32,
    /// What a process before this one left, by the index of its device, until it is claimed.
    pub(super) adopted: BTreeMap<u32, datapath::EndpointSpec>,
    pub(super) known: Known,
    pub(super) flows: FlowBuilder,
    pub(super) datapath: Datapath,
    pub(super) events: Option<Events>,
    /// Ends of flows that no packet told of, until they are drained.
    pub(super) lapsed: Vec<Observation>,
    /// When to look for more of them.
    pub(super) next_sweep: Duration,
}

/// Between two looks for flows that have ended by silence.
const SWEEP: Duration = Duration::from_secs(5);

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
    /// What the policy in force was resolved by.
    pub(super) resolved_by: Option<Basis>,
    /// What it was taken over from, until it is brought up.
    pub(super) left: Option<datapath::EndpointSpec>,
}

/// What a policy depends on besides policies and identities: whose it is, and its names of ports.
type Basis = (IdentityId, Vec<NamedPort>);

/// A policy as it is now.
#[derive(Debug)]
struct Renewed {
    policy: EndpointPolicy,
    /// What leads there from the policy in force, if only identities have come and gone.
    changes: Option<Vec<MapChange>>,
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
    fn basis(&self) -> Basis {
        (self.identity, self.spec.ports.clone())
    }

    /// Whether the policy in force depends on what a new one would.
    fn is_settled(&self) -> bool {
        let same =
            |(identity, ports): &Basis| *identity == self.identity && *ports == self.spec.ports;
        self.resolved_by.as_ref().is_some_and(same)
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

    /// Ends the rest of freed numbers and addresses whose time has come, and looks every five seconds
    /// for flows that have ended by silence, for [`Enforcer::drain`] to tell. To be called now and then.
    ///
    /// # Errors
    ///
    /// When the kernel's tables cannot be written.
    pub fn tick(&mut self, now: Duration) -> Result<(), EndpointError> {
        self.identities.expire(now);
        self.blocks.expire(now);
        self.blocks.write(&mut self.datapath)?;
        if now >= self.next_sweep {
            self.next_sweep = now + SWEEP;
            let lapsed = &mut self.lapsed;
            let swept = self.datapath.sweep(|seen| lapsed.push(seen));
            swept.map_err(ApplyError::from)?;
        }
        if self.notice_host() {
            self.forget_idle_blocks(now)?;
        }
        Ok(())
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

    /// What the endpoints of each identity call their ports.
    pub(super) fn port_names(&self) -> BTreeMap<IdentityId, PortNames> {
        let mut names: BTreeMap<IdentityId, PortNames> = BTreeMap::new();
        for attached in self.endpoints.values() {
            for identity in attached.identities() {
                names.entry(identity).or_default().add(&attached.spec.ports);
            }
        }
        names
    }

    /// Tells the resolver what the endpoints of each identity call their ports.
    fn name_ports(&mut self) {
        let names = self.port_names();
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

    /// Brings the policy of every endpoint up to date. Where only identities have come and gone, its
    /// table is edited in place. The others are written anew, all in one batch: replacing a table
    /// costs a grace period of the kernel, replacing many costs one.
    pub(super) fn settle<E>(&mut self) -> Result<(), E>
    where
        E: From<ResolveError> + From<ApplyError>,
    {
        let delta = self.identities.take_delta();
        if !delta.is_empty() {
            self.resolver.apply(&delta);
        }
        self.name_ports();
        let in_step = std::mem::replace(&mut self.in_step, false);
        let renewed = self.renew(&delta, in_step)?;
        self.write(&renewed, in_step)?;
        self.renew_host::<E>(!delta.is_empty() || !in_step)?;
        for (id, attached) in &mut self.endpoints {
            let basis = attached.basis();
            if let Some(Renewed { policy, .. }) = renewed.get(&basis) {
                attached.policy = Some(policy.clone());
                attached.resolved_by = Some(basis);
                self.known.policy(*id, policy.clone());
            }
        }
        self.in_step = true;
        Ok(())
    }

    /// The policies as they are now; endpoints of one basis share one.
    fn renew(
        &mut self,
        delta: &IdentityDelta,
        in_step: bool,
    ) -> Result<BTreeMap<Basis, Renewed>, ResolveError> {
        let mut renewed: BTreeMap<Basis, Renewed> = BTreeMap::new();
        // First those whose policy is in force on the same basis: it may be enough to refresh it.
        let (settled, others): (Vec<_>, Vec<_>) = self
            .endpoints
            .values()
            .partition(|attached| in_step && attached.is_settled());
        for attached in settled.into_iter().chain(others) {
            let Entry::Vacant(unknown) = renewed.entry(attached.basis()) else {
                continue;
            };
            let mut own = PortNames::default();
            own.add(&attached.spec.ports);
            let settled = in_step && attached.is_settled();
            let before = attached.policy.as_ref().filter(|_| settled);
            unknown.insert(match before {
                Some(before) => {
                    let mut policy = before.clone();
                    let changes = self.resolver.refresh_endpoint(&mut policy, &own, delta)?;
                    let same_rules = policy.revision() == before.revision();
                    Renewed {
                        policy,
                        changes: same_rules.then_some(changes),
                    }
                }
                None => Renewed {
                    policy: self.resolver.resolve_endpoint(attached.identity, &own)?,
                    changes: None,
                },
            });
        }
        Ok(renewed)
    }

    /// Edits the tables that can be, and writes the others anew: all of them if nobody knows what
    /// they hold.
    fn write(
        &mut self,
        renewed: &BTreeMap<Basis, Renewed>,
        in_step: bool,
    ) -> Result<(), ApplyError> {
        let (mut edits, mut anew) = (Vec::new(), BTreeSet::new());
        for (id, attached) in &self.endpoints {
            let Some(Renewed { policy, changes }) = renewed.get(&attached.basis()) else {
                continue;
            };
            let before = attached.policy.as_ref().map(EndpointPolicy::map_state);
            match changes {
                Some(changes) if attached.is_settled() => {
                    if !changes.is_empty() {
                        edits.push((*id, changes.as_slice()));
                    }
                }
                _ if in_step && before == Some(policy.map_state()) => {}
                _ => drop(anew.insert(*id)),
            }
        }
        if !edits.is_empty() {
            anew.extend(self.datapath.amend(&edits)?.left);
        }
        let state = |id: &EndpointId| {
            let basis = self.endpoints.get(id)?.basis();
            Some((*id, renewed.get(&basis)?.policy.map_state()))
        };
        let anew: Vec<_> = anew.iter().filter_map(state).collect();
        if !anew.is_empty() {
            self.datapath.install(&anew)?;
        }
        Ok(())
    }
}
