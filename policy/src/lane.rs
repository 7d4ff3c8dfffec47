//! The policy of one endpoint in one direction: its contributions by peer selector.

use std::borrow::Cow;
use std::sync::Arc;

use porin_identity::{IdentityId, Labels};

use crate::bits::Bits;
use crate::chain::PortKey;
use crate::classes::Classes;
use crate::compile::Trial;
use crate::contribution::{Contribution, Does, merged};
use crate::draft::{Draft, Drafted, Matched, Peerage, Place};
use crate::level::Level;
use crate::map_state::Side;
use crate::part::{Clash, Part};
use crate::peer::PeerSelector;
use crate::peers::Entity;
use crate::rule::PolicyName;
use crate::selector_cache::{SelectorCache, SelectorId};
use crate::table::{any_chain, own_chain};
use crate::weigh::Scale;
use crate::{
    AllowLocalhost, Direction, Enforcement, MapEntry, Options, PortNames, Query, ResolveError,
    RuleCookie, Semantics,
};

/// Everything about one direction that decides.
#[derive(Debug, Clone)]
pub(crate) struct LanePolicy {
    pub(crate) enforced: bool,
    /// The policies that switched default deny on.
    pub(crate) default_deny: Arc<[PolicyName]>,
    pub(crate) scale: Scale,
    /// Whether nothing is denied by default.
    pub(crate) eased: bool,
    any: Arc<[Contribution]>,
    selectors: Vec<(Peerage, Vec<Contribution>)>,
    /// What proxies are told, for the contributions that have content.
    pub(crate) parts: Vec<Part>,
    classes: Classes,
    /// By class: the contributions for its members. As many as there are chains in the side.
    own: Vec<Arc<[Contribution]>>,
}

/// Whose policy is resolved.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subject<'a> {
    pub(crate) id: IdentityId,
    /// Nothing is enforced on it.
    exempt: bool,
    /// It starts in default deny, whether a policy selects it or not.
    guarded: bool,
    namespace: Option<&'a str>,
    own_names: &'a PortNames,
}

impl<'a> Subject<'a> {
    /// Upstream looks for the keys `host` and `init` in every source, so that a workload can
    /// label itself out of enforcement; only the reserved source is meant.
    pub(crate) fn new(
        id: IdentityId,
        labels: &'a Labels,
        own_names: &'a PortNames,
        options: &Options,
    ) -> Self {
        let is = |name: &str| match options.semantics {
            Semantics::Strict => labels.reserved(name),
            Semantics::Cilium => labels.iter().any(|label| label.key() == name),
        };
        let never = options.enforcement == Enforcement::Never;
        Self {
            id,
            exempt: never || (is("host") && !options.host_firewall),
            guarded: options.enforcement == Enforcement::Always || is("init"),
            namespace: labels.namespace(),
            own_names,
        }
    }
}

impl LanePolicy {
    pub(crate) fn resolve(
        subject: Subject<'_>,
        direction: Direction,
        trial: Trial,
        matched: &[Matched<'_>],
        wildcard: Option<SelectorId>,
        cache: &mut SelectorCache,
        options: &Options,
    ) -> Result<(Self, Side), ResolveError> {
        let enforced = !subject.exempt && (subject.guarded || !matched.is_empty());
        let mut default_deny: Vec<PolicyName> = Vec::new();
        if enforced {
            let deniers = matched
                .iter()
                .filter(|(_, lane)| lane.standing(trial).default_deny);
            default_deny.extend(deniers.map(|(policy, _)| PolicyName::clone(&policy.name)));
            default_deny.dedup();
        }
        let eased = !subject.guarded && default_deny.is_empty();
        let place = Place {
            direction,
            semantics: options.semantics,
            namespace: subject.namespace,
            own_names: subject.own_names,
            eased,
            wildcard,
        };
        let drafted = if enforced {
            let drafted = draft(matched, trial, cache, place)
                .map_err(|clash| conflict(subject.id, direction, matched, clash))?;
            let isolated = !default_deny.is_empty();
            with_computed(
                drafted,
                matched.is_empty(),
                isolated,
                subject,
                place,
                cache,
                options,
            )
        } else {
            let mut open = Drafted::default();
            let cookie = RuleCookie::NOT_ENFORCED;
            open.add_computed(
                None,
                Contribution::computed(Does::Allow, Level::DEFAULT, cookie),
            );
            open
        };
        Ok(Self::placed(
            drafted,
            enforced,
            eased,
            default_deny,
            cache,
            options,
        ))
    }

    fn placed(
        mut drafted: Drafted,
        enforced: bool,
        eased: bool,
        default_deny: Vec<PolicyName>,
        cache: &SelectorCache,
        options: &Options,
    ) -> (Self, Side) {
        drafted.any.sort_unstable_by_key(Contribution::rank);
        let scale = Scale {
            semantics: options.semantics,
            asks: drafted.asks(),
            passes: drafted.passes(),
        };
        let mut side = Side::new(Arc::new(any_chain(&drafted.any, scale)));
        let mut lane = Self {
            enforced,
            default_deny: default_deny.into(),
            scale,
            eased,
            selectors: drafted.take_selectors(),
            any: drafted.any.into(),
            parts: drafted.parts,
            classes: Classes::default(),
            own: Vec::new(),
        };
        lane.place_all(&mut side, cache);
        (lane, side)
    }

    /// Whether what is computed at the end speaks of everybody; `selected`: whether some policy
    /// selects the subject.
    pub(crate) fn ends_with_everybody(&self, selected: bool) -> bool {
        self.enforced && selected && (self.eased || self.scale.passes)
    }

    /// Gives every identity that some selector picks the chain of its class.
    fn place_all(&mut self, side: &mut Side, cache: &SelectorCache) {
        let sets: Vec<Cow<'_, Bits>> = self
            .selectors
            .iter()
            .map(|(peerage, _)| cache.members(peerage))
            .collect();
        let sets: Vec<&Bits> = sets.iter().map(|set| &**set).collect();
        let mut found: Vec<(u32, u32)> = Vec::new();
        self.classes
            .of_all(&sets, |slot, class| found.push((slot, class)));
        self.add_chains(side);
        side.reserve(found.len());
        for (slot, class) in found {
            if let Some(peer) = cache.identity_at(slot) {
                side.set_peer(peer, class);
            }
        }
    }

    /// Whether some rule speaks of one identity.
    pub(crate) fn picks(&self, cache: &SelectorCache, slot: u32) -> bool {
        let mut selectors = self.selectors.iter();
        selectors.any(|(peerage, _)| cache.is_member(peerage, slot))
    }

    /// Gives one identity the chain of its class; `slot` is `None` when it is gone.
    pub(crate) fn place(
        &mut self,
        side: &mut Side,
        cache: &SelectorCache,
        peer: IdentityId,
        slot: Option<u32>,
    ) {
        let class = slot.map_or(Classes::ROOT, |slot| {
            let picks = self
                .selectors
                .iter()
                .map(|(peerage, _)| cache.is_member(peerage, slot));
            self.classes.of_slot(picks)
        });
        self.add_chains(side);
        if class == Classes::ROOT {
            side.remove_peer(peer);
        } else {
            side.set_peer(peer, class);
        }
    }

    /// Builds the chains of the classes that are new; class and chain have the same number.
    fn add_chains(&mut self, side: &mut Side) {
        for class in self.own.len()..self.classes.len() {
            let class = u32::try_from(class).unwrap_or(u32::MAX);
            let members = self.classes.members(class);
            let lists = members.filter_map(|member| self.selectors.get(member as usize));
            let mut own: Vec<Contribution> =
                lists.flat_map(|(_, list)| list.iter().copied()).collect();
            own.sort_unstable_by_key(Contribution::rank);
            side.add_chain(Arc::new(own_chain(&own, &self.any, side.any(), self.scale)));
            self.own.push(own.into());
        }
    }

    /// The table anew; `placed` says which identity has which class.
    pub(crate) fn distil(&self, placed: &Side) -> Side {
        let mut side = placed.without_chains(Arc::new(any_chain(&self.any, self.scale)));
        for own in &self.own {
            side.add_chain(Arc::new(own_chain(own, &self.any, side.any(), self.scale)));
        }
        side
    }

    fn own_of(&self, side: &Side, peer: IdentityId) -> &[Contribution] {
        let own = side
            .class(peer)
            .and_then(|class| self.own.get(class as usize));
        own.map_or(&[], |own| own)
    }

    /// The first contribution in order of precedence decides.
    pub(crate) fn decide(&self, side: &Side, query: &Query) -> Option<MapEntry> {
        let covers = |c: &&Contribution| c.key.covers(query.protocol, query.port);
        let own = self.own_of(side, query.peer);
        if self.scale.passes || self.scale.asks {
            return self.scale.weigh(merged(&self.any, own).filter(covers));
        }
        let first_any = self.any.iter().find(covers);
        let first_own = own.iter().find(covers);
        let first = match (first_any, first_own) {
            (Some(any), Some(own)) if own.precedence > any.precedence => own,
            (Some(any), _) => any,
            (None, own) => own?,
        };
        match first.does {
            Does::Inspect(_) => self.scale.weigh(merged(&self.any, own).filter(covers)),
            Does::Allow | Does::Deny | Does::Pass => self.scale.weigh(std::iter::once(first)),
        }
    }

    /// Every block of ports about which something is said to a peer; of peer 0 what is said to
    /// everybody.
    pub(crate) fn keys(&self, side: &Side, peer: IdentityId) -> impl Iterator<Item = PortKey> {
        let own = self.own_of(side, peer).iter();
        self.any
            .iter()
            .chain(own)
            .map(|contribution| contribution.key)
    }

    /// Every contribution that covers a question, strongest first.
    pub(crate) fn candidates(&self, side: &Side, query: &Query) -> Vec<Contribution> {
        merged(&self.any, self.own_of(side, query.peer))
            .filter(|c| c.key.covers(query.protocol, query.port))
            .copied()
            .collect()
    }
}

fn draft(
    matched: &[Matched<'_>],
    trial: Trial,
    cache: &mut SelectorCache,
    place: Place<'_>,
) -> Result<Drafted, Clash> {
    let mut draft = Draft::new(cache, place);
    let rules = matched.iter().flat_map(|(_, lane)| lane.rules_in(trial));
    for (order, rule) in (0..).zip(rules) {
        draft.add(rule, order);
    }
    draft.finish()
}

/// The entries that nobody wrote. Where no policy denies by default, everything is allowed in the
/// end; else the local host is, which checks the health of its endpoints, and the rest denied.
///
/// A pod that a policy of tier Normal isolates is out of reach of tier Baseline (Kubernetes network
/// policy API), so that the end comes before it.
fn with_computed(
    mut drafted: Drafted,
    unselected: bool,
    isolated: bool,
    subject: Subject<'_>,
    place: Place<'_>,
    cache: &mut SelectorCache,
    options: &Options,
) -> Drafted {
    if unselected {
        return drafted;
    }
    if place.eased {
        let cookie = RuleCookie::DEFAULT_ALLOW;
        drafted.add_computed(
            None,
            Contribution::computed(Does::Allow, Level::DEFAULT, cookie),
        );
        return drafted;
    }
    let (localhost_level, end_level) = if isolated {
        (Level::NORMAL_LOCALHOST, Level::NORMAL_END)
    } else {
        (Level::DEFAULT, Level::END)
    };
    let must_end = drafted.passes() || drafted.has_baseline();
    let localhost = place.direction == Direction::Ingress
        && options.allow_localhost == AllowLocalhost::Always
        && subject.id != IdentityId::HOST;
    if localhost {
        let host = cache.intern(&PeerSelector::Entity(Entity::Host));
        let cookie = RuleCookie::LOCALHOST;
        let open = Contribution::computed(Does::Allow, localhost_level, cookie);
        drafted.add_computed(Some(host), open);
    }
    if must_end {
        let end = Contribution::computed(Does::Deny, end_level, RuleCookie::NONE);
        drafted.add_computed(None, end);
    }
    drafted
}

fn conflict(
    subject: IdentityId,
    direction: Direction,
    matched: &[Matched<'_>],
    (what, cookies): Clash,
) -> ResolveError {
    let rules = matched.iter().flat_map(|(policy, _)| policy.rules.iter());
    let named = rules.filter(|(cookie, _)| cookies.contains(cookie));
    let mut rules: Vec<_> = named.map(|(_, rule)| Arc::clone(rule)).collect();
    rules.sort();
    rules.dedup();
    ResolveError::Conflict {
        subject,
        direction,
        rules,
        what,
    }
}
