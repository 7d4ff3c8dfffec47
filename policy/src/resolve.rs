use std::collections::{BTreeSet, HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use porin_identity::{IdentityDelta, IdentityId, Labels, Snapshot};

use crate::compile::{Compiled, CompiledSpec, Trial};
use crate::draft::Matched;
use crate::endpoint::{EndpointPolicy, Resolved};
use crate::explain::{Asked, Explanation, NearMiss, weaker};
use crate::lane::{LanePolicy, Subject};
use crate::map_state::MapState;
use crate::peer::PeerSelector;
use crate::rule::Guards;
use crate::selector_cache::SelectorCache;
use crate::set::{PolicySet, Revision};
use crate::{Direction, MapChange, Options, PortNames, Query, Reason, ResolveError, wildcard};

/// Resolves the policies of endpoints, and remembers which identities each selector picks.
///
/// It follows a [`PolicySet`] and a registry of identities by [`Resolver::update`] and
/// [`Resolver::apply`]. However it got to where it is, it gives the answers of a new one.
#[derive(Debug)]
pub struct Resolver {
    options: Options,
    revision: Revision,
    namespaces: HashMap<Option<Arc<str>>, Vec<Arc<Compiled>>>,
    cache: SelectorCache,
    /// How often the names of ports have changed.
    names: u64,
}

impl Resolver {
    /// Starts from a policy set and the identities known at one moment.
    #[must_use]
    pub fn new(set: &PolicySet, identities: &Snapshot) -> Self {
        let mut resolver = Self {
            options: set.options().clone(),
            revision: set.revision(),
            namespaces: by_namespace(set),
            cache: SelectorCache::new(set.options().clone()),
            names: 0,
        };
        resolver.cache.reserve(identities.len());
        for (id, labels) in identities.iter() {
            resolver.cache.add_identity(id, labels);
        }
        resolver
    }

    /// Follows the registry of identities.
    pub fn apply(&mut self, delta: &IdentityDelta) {
        for (id, _) in &delta.removed {
            self.cache.remove_identity(*id);
        }
        for (id, labels) in &delta.added {
            self.cache.add_identity(*id, labels);
        }
    }

    /// Gives the ports of an identity's workloads their names. Egress rules that name a port mean
    /// the number that it has with each peer; ingress rules the number that it has with the subject.
    ///
    /// Policies resolved before do not know of it until [`Resolver::refresh`].
    pub fn set_named_ports(&mut self, identity: IdentityId, names: PortNames) {
        if self.cache.set_names(identity, names) {
            self.names += 1;
        }
    }

    /// Follows the policy set. Policies resolved before speak of their own revision still.
    pub fn update(&mut self, set: &PolicySet) {
        if self.options != *set.options() {
            self.options = set.options().clone();
            self.cache.reset(set.options().clone());
        }
        self.revision = set.revision();
        self.namespaces = by_namespace(set);
        let in_force = || {
            self.namespaces
                .values()
                .flatten()
                .flat_map(|policy| policy.peer_selectors())
        };
        if self.cache.len() > 64 + 2 * in_force().count() {
            let keep: HashSet<_> = in_force().collect();
            self.cache.retain(&keep);
        }
    }

    /// The policy of one identity.
    ///
    /// # Errors
    /// [`ResolveError::UnknownIdentity`] if the identity is not registered;
    /// [`ResolveError::Conflict`] if rules about the same peers on one port exclude each other.
    /// Whoever asks keeps the policy that was in force.
    pub fn resolve(&mut self, subject: IdentityId) -> Result<EndpointPolicy, ResolveError> {
        let own = self.cache.names(subject).cloned().unwrap_or_default();
        self.resolve_endpoint(subject, &own)
    }

    /// The policy of one endpoint, whose own port names are not those of its identity.
    ///
    /// # Errors
    /// As [`Resolver::resolve`].
    pub fn resolve_endpoint(
        &mut self,
        subject: IdentityId,
        own_names: &PortNames,
    ) -> Result<EndpointPolicy, ResolveError> {
        let Some(labels) = self.cache.labels(subject).cloned() else {
            return Err(ResolveError::UnknownIdentity { identity: subject });
        };
        let matched = matching(&self.namespaces, subject, &labels);
        let rules = matched
            .iter()
            .flat_map(|(policy, _)| policy.rules.iter().cloned())
            .collect();
        let who = Subject::new(subject, &labels, own_names, &self.options);
        let (cache, options) = (&mut self.cache, &self.options);
        let namespace = labels.namespace();
        let resolved = both(who, Trial::Enforced, &matched, cache, options)?;
        let policy = EndpointPolicy::new(
            subject,
            namespace,
            Version {
                revision: self.revision,
                names: self.names,
            },
            resolved,
            rules,
        );
        if !matched.iter().any(|(_, spec)| spec.is_staged()) {
            return Ok(policy);
        }
        Ok(policy.with_trial(both(who, Trial::Tried, &matched, cache, options)))
    }

    /// Why a policy answers a question as it does. It should be current: near misses come from the
    /// policies and identities that the resolver knows now.
    #[must_use]
    pub fn explain(&self, policy: &EndpointPolicy, query: &Query) -> Explanation {
        self.explain_at(policy, query, &[])
    }

    /// The same about a peer with these addresses.
    pub(crate) fn explain_at(
        &self,
        policy: &EndpointPolicy,
        query: &Query,
        addresses: &[IpAddr],
    ) -> Explanation {
        let decision = policy.check(query);
        let peer = self.cache.labels(query.peer);
        let accepts = match query.direction {
            Direction::Ingress => policy.subject(),
            Direction::Egress => query.peer,
        };
        let asked = Asked {
            query,
            peer,
            addresses,
            names: self.cache.names(accepts),
            options: &self.options,
        };
        let (weaker, mut near_misses) = weaker(policy, &decision);
        if matches!(decision.reason(), Reason::DefaultDeny { .. }) {
            near_misses.extend(self.near_misses(policy, &asked));
        }
        Explanation {
            weaker,
            peer: peer.cloned(),
            near_misses,
            decision,
        }
    }

    fn near_misses(&self, policy: &EndpointPolicy, asked: &Asked<'_>) -> Vec<NearMiss> {
        let subject = policy.subject();
        let Some(labels) = self.cache.labels(subject) else {
            return Vec::new();
        };
        let direction = asked.query.direction;
        let specs = matching(&self.namespaces, subject, labels);
        let found = specs.iter().flat_map(|(_, spec)| {
            let own = spec.lane(direction).rules.iter();
            let own = own.filter_map(|rule| Some((rule.cookie, asked.obstacle(rule)?)));
            let other = spec.lane(direction.other()).rules_in(Trial::Enforced);
            own.chain(other.filter_map(|rule| Some((rule.cookie, asked.misplaced(rule)?))))
        });
        found
            .filter_map(|(cookie, obstacle)| Some(NearMiss::new(policy.rule(cookie)?, obstacle)))
            .collect()
    }

    /// Brings a policy up to date after [`Resolver::apply`] (with the same delta) or
    /// [`Resolver::update`], and returns the writes that bring its table there, in the order of
    /// [`MapState::diff`].
    ///
    /// # Errors
    /// As [`Resolver::resolve`]; the policy has not changed then.
    pub fn refresh(
        &mut self,
        policy: &mut EndpointPolicy,
        delta: &IdentityDelta,
    ) -> Result<Vec<MapChange>, ResolveError> {
        let own = self.cache.names(policy.subject()).cloned();
        self.refresh_endpoint(policy, &own.unwrap_or_default(), delta)
    }

    /// The same for a policy of [`Resolver::resolve_endpoint`], with the same names.
    ///
    /// # Errors
    /// As [`Resolver::refresh`].
    pub fn refresh_endpoint(
        &mut self,
        policy: &mut EndpointPolicy,
        own_names: &PortNames,
        delta: &IdentityDelta,
    ) -> Result<Vec<MapChange>, ResolveError> {
        let subject = policy.subject();
        let touched = || delta.removed.iter().chain(&delta.added).map(|(id, _)| *id);
        let current = Version {
            revision: self.revision,
            names: self.names,
        };
        if policy.version() != current || touched().any(|id| id == subject) {
            let new = self.resolve_endpoint(subject, own_names)?;
            let changes = new.map_state().diff(policy.map_state());
            *policy = new;
            return Ok(changes);
        }
        let peers: BTreeSet<_> = touched().collect();
        let changes = peers
            .into_iter()
            .flat_map(|id| policy.place(&self.cache, id));
        Ok(changes.collect())
    }
}

fn by_namespace(set: &PolicySet) -> HashMap<Option<Arc<str>>, Vec<Arc<Compiled>>> {
    let mut namespaces: HashMap<_, Vec<_>> = HashMap::new();
    for policy in set.compiled() {
        namespaces
            .entry(policy.name.namespace.clone())
            .or_default()
            .push(Arc::clone(policy));
    }
    namespaces
}

/// The state of what a policy was resolved from, besides the identities.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Version {
    pub(crate) revision: Revision,
    /// How often the names of ports had changed.
    pub(crate) names: u64,
}

/// Both directions of a subject's policy.
fn both(
    subject: Subject<'_>,
    trial: Trial,
    matched: &[(&Arc<Compiled>, &CompiledSpec)],
    cache: &mut SelectorCache,
    options: &Options,
) -> Result<Resolved, ResolveError> {
    let lanes @ [inward, outward] = &Direction::ALL.map(|direction| {
        let lanes = matched
            .iter()
            .map(|(policy, spec)| (*policy, spec.lane(direction)));
        let enabled = lanes.filter(|(_, lane)| lane.standing(trial).enables);
        enabled.collect::<Vec<Matched<'_>>>()
    });
    let mut resolve = |direction, lanes: &[Matched<'_>], wildcard: Option<&PeerSelector>| {
        let wildcard = wildcard.map(|selector| cache.intern(selector));
        LanePolicy::resolve(subject, direction, trial, lanes, wildcard, cache, options)
    };
    let (ingress, ingress_side) = resolve(Direction::Ingress, inward, None)?;
    let wildcard = wildcard::taken_by(&ingress, lanes, trial, options.semantics);
    let (egress, egress_side) = resolve(Direction::Egress, outward, wildcard)?;
    Ok(Resolved {
        lanes: [ingress, egress],
        state: MapState::new([ingress_side, egress_side]),
    })
}

/// The specs that select a subject, in the order of policy names. Rules for endpoints never select
/// the local host, and rules for nodes nobody else.
fn matching<'a>(
    namespaces: &'a HashMap<Option<Arc<str>>, Vec<Arc<Compiled>>>,
    subject: IdentityId,
    labels: &Labels,
) -> Vec<(&'a Arc<Compiled>, &'a CompiledSpec)> {
    let guarded = match subject {
        IdentityId::HOST => Guards::Nodes,
        _ => Guards::Endpoints,
    };
    let own = labels
        .namespace()
        .map(Arc::from)
        .and_then(|name| namespaces.get(&Some(name)));
    let policies = own.into_iter().chain(namespaces.get(&None)).flatten();
    let specs = policies.flat_map(|policy| policy.specs.iter().map(move |spec| (policy, spec)));
    let mut matching: Vec<_> = specs
        .filter(|(_, spec)| spec.guards == guarded && spec.subject.matches(labels))
        .collect();
    matching.sort_by(|(a, _), (b, _)| a.name.cmp(&b.name));
    matching
}
