use std::collections::{BTreeSet, HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use porin_identity::{IdentityDelta, IdentityId, Labels, Snapshot};

use crate::compile::{Compiled, CompiledSpec};
use crate::endpoint::EndpointPolicy;
use crate::explain::{Asked, Candidate, Explanation, NearMiss};
use crate::lane::{LanePolicy, Matched, Subject};
use crate::map_state::MapState;
use crate::selector_cache::SelectorCache;
use crate::set::{PolicySet, Revision};
use crate::{Direction, MapChange, Options, Query, Reason, ResolveError};

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
        };
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
    /// [`ResolveError::Conflict`] if rules ask for what cannot be had together. Whoever asks keeps
    /// the policy that was in force.
    pub fn resolve(&mut self, subject: IdentityId) -> Result<EndpointPolicy, ResolveError> {
        let Some(labels) = self.cache.labels(subject).cloned() else {
            return Err(ResolveError::UnknownIdentity { identity: subject });
        };
        let matched = matching(&self.namespaces, subject, &labels);
        let rules = matched
            .iter()
            .flat_map(|(policy, _)| policy.rules.iter().cloned())
            .collect();
        let who = Subject::new(subject, &labels, &self.options);
        let mut resolve = |direction| {
            let lanes = matched
                .iter()
                .map(|(policy, spec)| (*policy, spec.lane(direction)));
            let lanes: Vec<Matched<'_>> = lanes.filter(|(_, lane)| lane.enables).collect();
            LanePolicy::resolve(who, direction, &lanes, &mut self.cache, &self.options)
        };
        let (ingress, ingress_side) = resolve(Direction::Ingress)?;
        let (egress, egress_side) = resolve(Direction::Egress)?;
        let state = MapState::new([ingress_side, egress_side]);
        Ok(EndpointPolicy::new(
            subject,
            self.revision,
            [ingress, egress],
            state,
            rules,
        ))
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
        let candidates = policy.candidates(query).into_iter().skip(1);
        let weaker = candidates.map(|candidate| Candidate {
            verdict: candidate.does.verdict(),
            origin: policy.reason(query.direction, candidate.cookie),
        });
        let peer = self.cache.labels(query.peer);
        let asked = Asked {
            query,
            peer,
            addresses,
            options: &self.options,
        };
        let near_misses = match decision.reason() {
            Reason::DefaultDeny { .. } => self.near_misses(policy, &asked),
            _ => Vec::new(),
        };
        Explanation {
            weaker: weaker.collect(),
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
            let other = spec.lane(direction.other()).rules.iter();
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
        let subject = policy.subject();
        let touched = || delta.removed.iter().chain(&delta.added).map(|(id, _)| *id);
        if policy.revision() != self.revision || touched().any(|id| id == subject) {
            let new = self.resolve(subject)?;
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

/// The specs that select a subject, in the order of policy names: those of its namespace, then the
/// clusterwide ones. Rules for endpoints never select the local host.
fn matching<'a>(
    namespaces: &'a HashMap<Option<Arc<str>>, Vec<Arc<Compiled>>>,
    subject: IdentityId,
    labels: &Labels,
) -> Vec<(&'a Arc<Compiled>, &'a CompiledSpec)> {
    if subject == IdentityId::HOST {
        return Vec::new();
    }
    let own = labels
        .namespace()
        .map(Arc::from)
        .and_then(|name| namespaces.get(&Some(name)));
    let policies = own.into_iter().chain(namespaces.get(&None)).flatten();
    let specs = policies.flat_map(|policy| policy.specs.iter().map(move |spec| (policy, spec)));
    specs
        .filter(|(_, spec)| spec.subject.matches(labels))
        .collect()
}
