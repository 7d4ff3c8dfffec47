//! The node itself, under the rules that select nodes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ipnet::IpNet;

use crate::datapath::{self, ApplyError};
use crate::flow::EndpointId;
use crate::identity::{IdentityId, Label, Labels};
use crate::policy::{EndpointPolicy, PolicySet, ResolveError, Resolver};

use super::core::Enforcer;
use super::error::{EndpointError, PolicyError};

/// The host's number in flows; endpoints have lower ones.
pub(super) const HOST: EndpointId = EndpointId::new(65_535);

/// The node itself as something that policies select (`nodeSelector`).
///
/// ```
/// use std::time::Duration;
/// use porin::enforcer::HostSpec;
///
/// let host = HostSpec::new([2]).label("role", "gateway")?.confirm(Duration::from_secs(60));
/// # Ok::<(), porin::identity::ParseLabelError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct HostSpec {
    devices: BTreeSet<u32>,
    labels: Vec<Label>,
    confirm: Option<Duration>,
}

impl HostSpec {
    /// Judged at these devices, which lead out of the node: indices in the network namespace of the
    /// calling thread. What the node tells itself is not judged.
    pub fn new(devices: impl IntoIterator<Item = u32>) -> Self {
        Self {
            devices: devices.into_iter().collect(),
            labels: Vec::new(),
            confirm: None,
        }
    }

    /// A label of the node.
    ///
    /// # Errors
    ///
    /// When key or value cannot be a label's.
    pub fn label(
        mut self,
        key: &str,
        value: &str,
    ) -> Result<Self, crate::identity::ParseLabelError> {
        let label = Label::new(crate::identity::source::K8S, key, value)?;
        self.labels.push(label);
        Ok(self)
    }

    /// Every change of the host's policy has to be [confirmed](Enforcer::confirm_host) in this time;
    /// else the one before it is in force again by itself, also when this process is dead.
    pub fn confirm(mut self, within: Duration) -> Self {
        self.confirm = Some(within);
        self
    }

    /// The labels of the host's identity, over those that it has.
    pub(super) fn labelled(&self, labels: &Labels) -> Labels {
        labels.with(self.labels.iter().cloned())
    }

    fn placed(&self) -> datapath::HostSpec {
        datapath::HostSpec {
            id: HOST,
            devices: self.devices.clone(),
        }
    }
}

/// The host, and the policies that count for it.
#[derive(Debug)]
pub(super) struct Host {
    spec: HostSpec,
    /// `None` before the first policy, and while what an earlier process left is in force.
    in_force: Option<InForce>,
    /// Whether `in_force` has to be confirmed.
    on_trial: bool,
    /// What comes after a trial that nobody confirms; `None` as for `in_force`.
    before: Option<InForce>,
}

/// A policy, and the set that it comes from: after a trial that was not confirmed, the host alone is
/// still under the set before.
#[derive(Debug)]
struct InForce {
    set: PolicySet,
    policy: EndpointPolicy,
}

impl Host {
    pub(super) fn new(spec: HostSpec) -> Self {
        Self {
            spec,
            in_force: None,
            on_trial: false,
            before: None,
        }
    }

    fn sets(&self) -> impl Iterator<Item = &PolicySet> {
        let both = [&self.before, &self.in_force].into_iter().flatten();
        both.map(|one| &one.set)
    }
}

impl Enforcer {
    /// The trial of the host's policy that goes on.
    #[must_use]
    pub fn host_trial(&self) -> Option<datapath::Trial> {
        self.datapath.host()?.trial
    }

    /// The policy in force for the host.
    #[must_use]
    pub fn host_policy(&self) -> Option<&EndpointPolicy> {
        let host = self.host.as_ref()?;
        let reverted = host.on_trial && self.host_trial().is_none();
        let in_force = match reverted {
            true => &host.before,
            false => &host.in_force,
        };
        in_force.as_ref().map(|one| &one.policy)
    }

    /// The host's policy on trial is in force for good.
    ///
    /// # Errors
    ///
    /// [`ApplyError::NoTrial`] if it comes too late: what was before is in force again; or nothing was on trial.
    pub fn confirm_host(&mut self, now: Duration) -> Result<(), EndpointError> {
        self.notice_host();
        self.datapath.confirm_host()?;
        if let Some(host) = &mut self.host {
            host.on_trial = false;
            host.before = None;
        }
        self.forget_idle_blocks(now)?;
        self.forget_left_prefixes()
    }

    /// The host's policy before the one on trial is in force again, at once.
    ///
    /// # Errors
    ///
    /// As [`Enforcer::confirm_host`].
    pub fn revert_host(&mut self, now: Duration) -> Result<(), EndpointError> {
        self.notice_host();
        self.datapath.revert_host()?;
        self.notice_host();
        self.forget_idle_blocks(now)
    }

    /// Follows a trial that has ended in the kernel; whether one has.
    pub(super) fn notice_host(&mut self) -> bool {
        let on_trial = self.host_trial().is_some();
        let Some(host) = self.host.as_mut().filter(|host| host.on_trial && !on_trial) else {
            return false;
        };
        host.on_trial = false;
        host.in_force = host.before.take();
        if let Some(one) = &host.in_force {
            self.known.policy(HOST, one.policy.clone());
        }
        true
    }

    /// The last step of a change of policies, when the resolver follows `next` already.
    pub(super) fn put_host_in_force(&mut self, next: &PolicySet) -> Result<(), PolicyError> {
        self.notice_host();
        let Some(host) = &mut self.host else {
            return Ok(());
        };
        let policy = self.resolver.resolve(IdentityId::HOST)?;
        let (state, spec) = (policy.map_state(), host.spec.placed());
        let held = self.datapath.host();
        let at_place = held.as_ref().is_some_and(|held| held.spec == spec);
        let before = host.in_force.as_ref().map(|one| one.policy.map_state());
        if !at_place || before != Some(state) {
            // What an earlier process left is no change if it is the same.
            let left = match before {
                None => self.datapath.host_policy()?,
                Some(_) => None,
            };
            let mut entries: Vec<_> = state.iter().collect();
            entries.sort_unstable();
            let same = left.is_some_and(|left| left == entries) || before == Some(state);
            let trial = match same {
                false => host.spec.confirm,
                // A restart confirms nothing: a trial goes on as long as it was to.
                true => held.and_then(|held| held.trial).map(|trial| {
                    let now = datapath::sys::monotonic();
                    trial.until.saturating_sub(now)
                }),
            };
            self.datapath
                .attach_host(&spec, state, trial)
                .map_err(PolicyError::Host)?;
            if trial.is_none() {
                host.on_trial = false;
                host.before = None;
            } else if !std::mem::replace(&mut host.on_trial, true) {
                host.before = host.in_force.take();
            }
        }
        self.known.policy(HOST, policy.clone());
        let set = next.clone();
        host.in_force = Some(InForce { set, policy });
        Ok(())
    }

    /// Brings the host's tables up to date when identities have come or gone: the one in force, and
    /// the one that an end of the trial brings back.
    pub(super) fn renew_host<E>(&mut self, changed: bool) -> Result<(), E>
    where
        E: From<ResolveError> + From<ApplyError>,
    {
        self.notice_host();
        let Some(host) = &self.host else {
            return Ok(());
        };
        let (Some(in_force), before) = (&host.in_force, &host.before) else {
            return Ok(());
        };
        let mut own = self.resolver.resolve(IdentityId::HOST)?;
        if own.revision() != in_force.set.revision() {
            if !changed {
                return Ok(());
            }
            own = self.resolve_host(&in_force.set)?;
        }
        let then = before
            .as_ref()
            .map(|before| self.resolve_host(&before.set))
            .transpose()?;
        let is_same =
            |old: &InForce, new: &EndpointPolicy| old.policy.map_state() == new.map_state();
        let settled = match (before, &then) {
            (Some(before), Some(then)) => is_same(before, then),
            _ => true,
        };
        if !is_same(in_force, &own) || !settled {
            let then = then.as_ref().map(EndpointPolicy::map_state);
            self.datapath.renew_host(own.map_state(), then)?;
        }
        if let Some(host) = &mut self.host {
            for (held, new) in [(&mut host.in_force, Some(own)), (&mut host.before, then)] {
                if let (Some(held), Some(new)) = (held, new) {
                    held.policy = new;
                }
            }
        }
        Ok(())
    }

    /// The host's policy by another set than the resolver follows.
    fn resolve_host(&self, set: &PolicySet) -> Result<EndpointPolicy, ResolveError> {
        let mut resolver = Resolver::new(set, &self.identities.snapshot());
        for (identity, names) in self.port_names() {
            resolver.set_named_ports(identity, names);
        }
        resolver.resolve(IdentityId::HOST)
    }

    /// The blocks of these policies, and of those that count for the host besides.
    pub(super) fn wanted_blocks(&self, policies: &PolicySet) -> BTreeMap<IpNet, Vec<Label>> {
        let of_host = self.host.iter().flat_map(Host::sets);
        let labelled = |set: &PolicySet| -> Vec<_> {
            let blocks = set.prefixes().into_iter();
            blocks
                .map(|block| (block, set.block_labels(&block)))
                .collect()
        };
        // Where both name a block, the current policies say in which groups it stands.
        of_host.chain([policies]).flat_map(labelled).collect()
    }

    /// Whether what an earlier process left for the host is, or may come, in force: nobody knows
    /// which blocks it names.
    pub(super) fn host_stands_on_left(&self) -> bool {
        let (Some(host), Some(held)) = (&self.host, self.datapath.host()) else {
            return false;
        };
        let after = held.trial.is_some_and(|trial| trial.before.is_some());
        (held.epoch.is_some() && host.in_force.is_none()) || (after && host.before.is_none())
    }
}
