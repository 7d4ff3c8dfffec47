use std::fmt;
use std::sync::Arc;

use porin_identity::IdentityId;

use crate::contribution::Contribution;
use crate::decision::{Decision, Reason};
use crate::lane::LanePolicy;
use crate::map_state::MapState;
use crate::resolve::Version;
use crate::rule::PolicyName;
use crate::selector_cache::SelectorCache;
use crate::set::Revision;
use crate::{
    Direction, L7Policy, MapChange, MapEntry, PortPrefix, Protocol, Query, ResolveError,
    RuleCookie, RuleRef,
};

/// The policy of one identity: answers questions, and is what a kernel table is filled from.
///
/// Cheap to clone and free to move between threads. It speaks of one revision of the set and of
/// the identities that were known when it was resolved; [`Resolver::refresh`] keeps it current.
///
/// [`Resolver::refresh`]: crate::Resolver::refresh
#[derive(Clone)]
pub struct EndpointPolicy(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    subject: IdentityId,
    version: Version,
    ingress: LanePolicy,
    egress: LanePolicy,
    state: MapState,
    rules: Arc<[(RuleCookie, Arc<RuleRef>)]>,
    /// The subject's namespace.
    namespace: Option<Arc<str>>,
    /// What would be with the staged rules in force, if there are any.
    tried: Option<Result<EndpointPolicy, ResolveError>>,
}

/// Both directions of a policy.
pub(crate) struct Resolved {
    pub(crate) lanes: [LanePolicy; 2],
    pub(crate) state: MapState,
}

impl Inner {
    fn lane(&self, direction: Direction) -> &LanePolicy {
        match direction {
            Direction::Ingress => &self.ingress,
            Direction::Egress => &self.egress,
        }
    }
}

impl EndpointPolicy {
    pub(crate) fn new(
        subject: IdentityId,
        namespace: Option<&str>,
        version: Version,
        resolved: Resolved,
        mut rules: Vec<(RuleCookie, Arc<RuleRef>)>,
    ) -> Self {
        rules.sort_by_key(|(cookie, _)| *cookie);
        rules.dedup_by_key(|(cookie, _)| *cookie);
        let [ingress, egress] = resolved.lanes;
        Self(Arc::new(Inner {
            subject,
            version,
            ingress,
            egress,
            state: resolved.state,
            rules: rules.into(),
            namespace: namespace.map(Arc::from),
            tried: None,
        }))
    }

    /// The same with what would be if the staged rules were in force.
    pub(crate) fn with_trial(self, resolved: Result<Resolved, ResolveError>) -> Self {
        let tried = resolved.map(|Resolved { lanes, state }| {
            let [ingress, egress] = lanes;
            Self(Arc::new(Inner {
                ingress,
                egress,
                state,
                ..Inner::clone(&self.0)
            }))
        });
        Self(Arc::new(Inner {
            tried: Some(tried),
            ..Inner::clone(&self.0)
        }))
    }

    /// Whose policy it is.
    #[must_use]
    pub fn subject(&self) -> IdentityId {
        self.0.subject
    }

    /// Which revision of the policy set it was resolved from.
    #[must_use]
    pub fn revision(&self) -> Revision {
        self.0.version.revision
    }

    pub(crate) fn version(&self) -> Version {
        self.0.version
    }

    /// Answers a question: the first contribution in order of precedence decides.
    #[must_use]
    pub fn check(&self, query: &Query) -> Decision {
        let lane = self.0.lane(query.direction);
        let entry = lane.decide(self.0.state.side(query.direction), query);
        Decision::new(self.clone(), *query, entry)
    }

    /// The policy that would hold if the staged rules were in force; `None` if none selects the
    /// subject, or if they could not be enforced ([`EndpointPolicy::staged_conflict`]).
    #[must_use]
    pub fn staged(&self) -> Option<&Self> {
        self.0.tried.as_ref()?.as_ref().ok()
    }

    /// Why the staged rules could not be enforced beside the others. What is enforced stands.
    #[must_use]
    pub fn staged_conflict(&self) -> Option<&ResolveError> {
        self.0.tried.as_ref()?.as_ref().err()
    }

    /// Every block of ports about which something is said to a peer, enforced or tried.
    pub(crate) fn keys(
        &self,
        direction: Direction,
        peer: IdentityId,
    ) -> impl Iterator<Item = (Protocol, PortPrefix)> {
        let all = [Some(self), self.staged()].into_iter().flatten();
        let keys = all.flat_map(move |policy| {
            let lane = policy.0.lane(direction);
            lane.keys(policy.0.state.side(direction), peer)
        });
        keys.map(|key| (key.protocol, key.port))
    }

    /// What a proxy is told about a redirected flow.
    pub(crate) fn content(&self, query: &Query, entry: MapEntry) -> Option<L7Policy> {
        let lane = self.0.lane(query.direction);
        let covering = lane.candidates(self.0.state.side(query.direction), query);
        lane.content(&covering, entry, self.0.namespace.as_deref())
    }

    /// The same policy as kernel table entries.
    #[must_use]
    pub fn map_state(&self) -> &MapState {
        &self.0.state
    }

    /// Makes the table entries anew from the resolved rules; they are those of
    /// [`EndpointPolicy::map_state`].
    #[must_use]
    pub fn distil(&self) -> MapState {
        MapState::new(
            Direction::ALL
                .map(|direction| self.0.lane(direction).distil(self.0.state.side(direction))),
        )
    }

    /// Whether policy is enforced in a direction.
    #[must_use]
    pub fn enforced(&self, direction: Direction) -> bool {
        self.0.lane(direction).enforced
    }

    /// The policies that switched default deny on, in the order of their names.
    #[must_use]
    pub fn default_deny(&self, direction: Direction) -> &[PolicyName] {
        &self.0.lane(direction).default_deny
    }

    /// What a number that a decision, a table entry or an event carries stands for.
    #[must_use]
    pub fn reason(&self, direction: Direction, cookie: RuleCookie) -> Reason {
        match (cookie, self.rule(cookie)) {
            (_, Some(rule)) => Reason::Rule(Arc::clone(rule)),
            (RuleCookie::NOT_ENFORCED, _) => Reason::NotEnforced,
            (RuleCookie::DEFAULT_ALLOW, _) => Reason::DefaultAllow,
            (RuleCookie::LOCALHOST, _) => Reason::Localhost,
            _ => {
                let policies = Arc::clone(&self.0.lane(direction).default_deny);
                Reason::DefaultDeny { policies }
            }
        }
    }

    /// The rule with a number, if it selects the subject.
    #[must_use]
    pub fn rule(&self, cookie: RuleCookie) -> Option<&Arc<RuleRef>> {
        let at = self
            .0
            .rules
            .binary_search_by_key(&cookie, |(cookie, _)| *cookie)
            .ok()?;
        self.0.rules.get(at).map(|(_, rule)| rule)
    }

    pub(crate) fn candidates(&self, query: &Query) -> Vec<Contribution> {
        let lane = self.0.lane(query.direction);
        lane.candidates(self.0.state.side(query.direction), query)
    }

    /// Whether a peer that nothing speaks of had no entries before either: most of those who come
    /// and go, for whom whoever shares this policy need not be told apart.
    fn is_unmoved_by(&self, cache: &SelectorCache, peer: IdentityId, slot: Option<u32>) -> bool {
        let lanes = [Direction::Ingress, Direction::Egress];
        let unmoved = lanes.into_iter().all(|direction| {
            let picks = slot.is_some_and(|slot| self.0.lane(direction).picks(cache, slot));
            !picks && self.0.state.side(direction).class(peer).is_none()
        });
        let tried = self.0.tried.as_ref().and_then(|tried| tried.as_ref().ok());
        unmoved && tried.is_none_or(|tried| tried.is_unmoved_by(cache, peer, slot))
    }

    /// Brings the entries of one peer up to date, and says what changed.
    pub(crate) fn place(&mut self, cache: &SelectorCache, peer: IdentityId) -> Vec<MapChange> {
        let slot = cache.slot(peer);
        if self.is_unmoved_by(cache, peer, slot) {
            return Vec::new();
        }
        let inner = Arc::make_mut(&mut self.0);
        let mut changes = Vec::new();
        for direction in Direction::ALL {
            let lane = match direction {
                Direction::Ingress => &mut inner.ingress,
                Direction::Egress => &mut inner.egress,
            };
            changes.extend(inner.state.replace_peer(direction, peer, |side| {
                lane.place(side, cache, peer, slot);
            }));
        }
        if let Some(Ok(tried)) = &mut inner.tried {
            tried.place(cache, peer);
        }
        changes
    }
}

impl fmt::Debug for EndpointPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EndpointPolicy")
            .field("subject", &self.0.subject)
            .field("revision", &self.0.version.revision)
            .field("entries", &self.0.state.len())
            .finish_non_exhaustive()
    }
}
