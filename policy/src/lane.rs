//! The policy of one endpoint in one direction: its contributions by peer selector.

use std::collections::HashMap;
use std::sync::Arc;

use porin_identity::{IdentityId, Labels};

use crate::classes::Classes;
use crate::compile::{Compiled, Lane};
use crate::contribution::{Contribution, Does, merged, weigh};
use crate::map_state::Side;
use crate::peer::{PeerSelector, PeerSet};
use crate::peers::Entity;
use crate::ports::{Content, GroupId};
use crate::rule::{Action, PolicyName};
use crate::selector_cache::{SelectorCache, SelectorId};
use crate::table::{any_chain, own_chain};
use crate::{
    AllowLocalhost, Conflict, Direction, Enforcement, MapEntry, Options, Query, ResolveError,
    RuleCookie, Semantics,
};

/// Everything about one direction that decides.
#[derive(Debug, Clone)]
pub(crate) struct LanePolicy {
    pub(crate) enforced: bool,
    /// The policies that switched default deny on.
    pub(crate) default_deny: Arc<[PolicyName]>,
    semantics: Semantics,
    any: Arc<[Contribution]>,
    selectors: Vec<(SelectorId, Vec<Contribution>)>,
    classes: Classes,
    /// By class: the contributions for its members. As many as there are chains in the side.
    own: Vec<Arc<[Contribution]>>,
}

/// A lane with the policy it stands in.
pub(crate) type Matched<'a> = (&'a Arc<Compiled>, &'a Lane);

/// What a subject's own labels mean for enforcement.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subject {
    pub(crate) id: IdentityId,
    /// Nothing is enforced on it.
    exempt: bool,
    /// It starts in default deny, whether a policy selects it or not.
    guarded: bool,
}

impl Subject {
    /// Upstream looks for the keys `host` and `init` in every source, so that a workload can
    /// label itself out of enforcement; only the reserved source is meant.
    pub(crate) fn new(id: IdentityId, labels: &Labels, options: &Options) -> Self {
        let is = |name: &str| match options.semantics {
            Semantics::Strict => labels.reserved(name),
            Semantics::Cilium => labels.iter().any(|label| label.key() == name),
        };
        let never = options.enforcement == Enforcement::Never;
        Self {
            id,
            exempt: never || (is("host") && !options.host_firewall),
            guarded: options.enforcement == Enforcement::Always || is("init"),
        }
    }
}

/// Who a contribution concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Who {
    Anybody,
    Picked(SelectorId),
}

/// The content that a rule asks for; `None` for a denial.
type Asked = (Option<Content>, RuleCookie);

/// Collects contributions by who they concern.
struct Draft<'a> {
    cache: &'a mut SelectorCache,
    any: Vec<Contribution>,
    selectors: Vec<(SelectorId, Vec<Contribution>)>,
    places: HashMap<SelectorId, usize>,
    /// Parsers and denials by selector and port as written.
    contents: HashMap<(Who, GroupId), Vec<Asked>>,
}

impl Draft<'_> {
    fn who(&mut self, peers: &PeerSet) -> Vec<Who> {
        match peers {
            PeerSet::Nobody => Vec::new(),
            PeerSet::Anybody => vec![Who::Anybody],
            PeerSet::Picked(picked) => picked
                .iter()
                .map(|peer| Who::Picked(self.cache.intern(peer)))
                .collect(),
        }
    }

    fn add(&mut self, who: Who, contributions: impl Iterator<Item = Contribution>) {
        match who {
            Who::Anybody => self.any.extend(contributions.map(|c| Contribution {
                any_peer: true,
                ..c
            })),
            Who::Picked(id) => {
                let place = *self.places.entry(id).or_insert_with(|| {
                    self.selectors.push((id, Vec::new()));
                    self.selectors.len() - 1
                });
                if let Some((_, list)) = self.selectors.get_mut(place) {
                    list.extend(contributions);
                }
            }
        }
    }

    /// Two allowances of one selector on one written port cannot ask for two parsers; a denial
    /// there takes both away.
    fn conflict(&self) -> Option<[RuleCookie; 2]> {
        let mut conflicts: Vec<_> = self
            .contents
            .values()
            .filter_map(|list| parsers_differ(list))
            .collect();
        conflicts.sort_unstable();
        conflicts.first().copied()
    }
}

fn parsers_differ(list: &[Asked]) -> Option<[RuleCookie; 2]> {
    let name = |content: &Option<Content>| match content {
        Some(Content::Rules { parser, name, .. }) => Some((*parser, name.clone())),
        Some(Content::Plain) | None => None,
    };
    if list.iter().any(|(content, _)| content.is_none()) {
        return None;
    }
    let mut asked = list
        .iter()
        .filter_map(|(content, cookie)| Some((name(content)?, *cookie)));
    let first = asked.next()?;
    let other = asked.find(|other| other.0 != first.0)?;
    Some([first.1, other.1])
}

impl LanePolicy {
    pub(crate) fn resolve(
        subject: Subject,
        direction: Direction,
        matched: &[Matched<'_>],
        cache: &mut SelectorCache,
        options: &Options,
    ) -> Result<(Self, Side), ResolveError> {
        let enforced = !subject.exempt && (subject.guarded || !matched.is_empty());
        let mut draft = Draft {
            cache,
            any: Vec::new(),
            selectors: Vec::new(),
            places: HashMap::new(),
            contents: HashMap::new(),
        };
        let mut default_deny: Vec<PolicyName> = Vec::new();
        if enforced {
            let deniers = matched.iter().filter(|(_, lane)| lane.default_deny);
            default_deny.extend(deniers.map(|(policy, _)| policy.name.clone()));
            default_deny.dedup();
            let denies = subject.guarded || !default_deny.is_empty();
            add_rules(&mut draft, matched, denies);
            if let Some(conflict) = draft.conflict() {
                return Err(conflicting(subject.id, direction, matched, conflict));
            }
            if !matched.is_empty() {
                add_computed(&mut draft, subject, direction, denies, options);
            }
        } else {
            let open = Contribution::computed(RuleCookie::NOT_ENFORCED);
            draft.add(Who::Anybody, std::iter::once(open));
        }
        let Draft {
            cache,
            mut any,
            mut selectors,
            ..
        } = draft;
        any.sort_unstable_by_key(Contribution::rank);
        for (_, list) in &mut selectors {
            list.sort_unstable_by_key(Contribution::rank);
        }
        let semantics = options.semantics;
        let mut side = Side::new(Arc::new(any_chain(&any, semantics)));
        let mut lane = Self {
            enforced,
            default_deny: default_deny.into(),
            semantics,
            any: any.into(),
            selectors,
            classes: Classes::default(),
            own: Vec::new(),
        };
        lane.place_all(&mut side, cache);
        Ok((lane, side))
    }

    /// Gives every identity that some selector picks the chain of its class.
    fn place_all(&mut self, side: &mut Side, cache: &SelectorCache) {
        let sets: Vec<_> = self
            .selectors
            .iter()
            .filter_map(|(id, _)| cache.picked(*id))
            .collect();
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

    /// Gives one identity the chain of its class; `slot` is `None` when it is gone.
    pub(crate) fn place(
        &mut self,
        side: &mut Side,
        cache: &SelectorCache,
        peer: IdentityId,
        slot: Option<u32>,
    ) {
        let class = slot.map_or(Classes::ROOT, |slot| {
            let sets = self
                .selectors
                .iter()
                .filter_map(|(id, _)| cache.picked(*id));
            self.classes.of_slot(sets, slot)
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
            side.add_chain(Arc::new(own_chain(
                &own,
                &self.any,
                side.any(),
                self.semantics,
            )));
            self.own.push(own.into());
        }
    }

    /// The first contribution in order of precedence decides.
    pub(crate) fn decide(&self, side: &Side, query: &Query) -> Option<MapEntry> {
        let covers = |c: &&Contribution| c.key.covers(query.protocol, query.port);
        let own = side
            .class(query.peer)
            .and_then(|class| self.own.get(class as usize));
        let own = own.map_or(&[][..], |own| own);
        let first_any = self.any.iter().find(covers);
        let first_own = own.iter().find(covers);
        let first = match (first_any, first_own) {
            (Some(any), Some(own)) if own.precedence > any.precedence => own,
            (Some(any), _) => any,
            (None, own) => own?,
        };
        match first.does {
            Does::Inspect { .. } => weigh(merged(&self.any, own).filter(covers), self.semantics),
            Does::Allow | Does::Deny => weigh(std::iter::once(first), self.semantics),
        }
    }

    /// Every contribution that covers a question, strongest first.
    pub(crate) fn candidates(&self, side: &Side, query: &Query) -> Vec<Contribution> {
        let own = side
            .class(query.peer)
            .and_then(|class| self.own.get(class as usize));
        let all = merged(&self.any, own.map_or(&[], |own| own));
        all.filter(|c| c.key.covers(query.protocol, query.port))
            .copied()
            .collect()
    }
}

fn add_rules(draft: &mut Draft<'_>, matched: &[Matched<'_>], denies: bool) {
    let rules = matched.iter().flat_map(|(_, lane)| lane.rules.iter());
    for (order, rule) in (0..).zip(rules) {
        for who in draft.who(&rule.peers) {
            for group in &rule.ports {
                let does = match Does::of(rule.action, &group.content) {
                    // Where nothing is denied by default, content rules cannot deny either.
                    Does::Inspect { parser, open } => {
                        let eased = matches!(parser, crate::Parser::Http | crate::Parser::Dns);
                        Does::Inspect {
                            parser,
                            open: open || (eased && !denies),
                        }
                    }
                    does => does,
                };
                draft.add(
                    who,
                    Contribution::of_group(group, rule.level, does, rule.cookie, order),
                );
                let content = (rule.action == Action::Allow).then(|| group.content.clone());
                if content != Some(Content::Plain) {
                    draft
                        .contents
                        .entry((who, group.id))
                        .or_default()
                        .push((content, rule.cookie));
                }
            }
        }
    }
}

/// The entries of the weakest tier: everything, where no policy denies by default; else the local
/// host, which checks the health of its endpoints.
fn add_computed(
    draft: &mut Draft<'_>,
    subject: Subject,
    direction: Direction,
    denies: bool,
    options: &Options,
) {
    let localhost = direction == Direction::Ingress
        && options.allow_localhost == AllowLocalhost::Always
        && subject.id != IdentityId::HOST;
    if !denies {
        let open = Contribution::computed(RuleCookie::DEFAULT_ALLOW);
        draft.add(Who::Anybody, std::iter::once(open));
    } else if localhost {
        let host = draft.cache.intern(&PeerSelector::Entity(Entity::Host));
        let open = Contribution::computed(RuleCookie::LOCALHOST);
        draft.add(Who::Picked(host), std::iter::once(open));
    }
}

fn conflicting(
    subject: IdentityId,
    direction: Direction,
    matched: &[Matched<'_>],
    cookies: [RuleCookie; 2],
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
        what: Conflict::Parsers,
    }
}
