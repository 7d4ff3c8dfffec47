//! The contributions of a lane while they are collected: by who they concern, and what rules that
//! speak of the same peers and the same written port ask together.

use std::collections::HashMap;
use std::sync::Arc;

use crate::chain::PortKey;
use crate::compile::{Compiled, CompiledRule, Lane};
use crate::contribution::{Contribution, Does, rank};
use crate::level::Level;
use crate::part::{Clash, Part, listener_name};
use crate::peer::{PeerSelector, entity_selectors};
use crate::peer_set::PeerSet;
use crate::peers::Entity;
use crate::port_rule::{ConfigKind, Port};
use crate::ports::{GroupId, PortGroup, named_keys};
use crate::rule::{Action, AuthMode};
use crate::selector_cache::{PortName, SelectorCache, SelectorId};
use crate::{Conflict, Direction, PortNames, Precedence, Semantics};

/// A lane with the policy it stands in.
pub(crate) type Matched<'a> = (&'a Arc<Compiled>, &'a Lane);

/// Who a contribution concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Who {
    Anybody,
    Picked(SelectorId),
}

/// Peers that share contributions: those a selector picks, those who have given a port number to a
/// name, or who both is true of.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Peerage {
    pub(crate) selector: Option<SelectorId>,
    pub(crate) named: Option<(PortName, u16)>,
}

/// What does not depend on a rule.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) direction: Direction,
    pub(crate) semantics: Semantics,
    /// The namespace of the subject.
    pub(crate) namespace: Option<&'a str>,
    /// The subject's own port names.
    pub(crate) own_names: &'a PortNames,
    /// Whether nothing is denied by default.
    pub(crate) eased: bool,
    /// Whom the wildcard picks where peers are listed; `None` is everybody.
    pub(crate) wildcard: Option<SelectorId>,
}

/// Contributions by who they concern, and the parts that have content.
#[derive(Debug, Default)]
pub(crate) struct Drafted {
    pub(crate) any: Vec<Contribution>,
    pub(crate) parts: Vec<Part>,
    /// The listeners and the parsers that policies name.
    names: Vec<ProxyName>,
    selectors: HashMap<Peerage, Picked>,
}

/// A listener, or a parser that the policy names.
type ProxyName = (Option<Box<str>>, Option<Box<str>>);

/// The contributions for some peers, and which came first.
#[derive(Debug)]
struct Picked {
    place: usize,
    list: Vec<Contribution>,
}

/// Collects what is asked.
pub(crate) struct Draft<'a, 'r> {
    cache: &'a mut SelectorCache,
    place: Place<'a>,
    groups: HashMap<(u32, &'r GroupId), u32>,
    written: Vec<&'r PortGroup>,
    asked: HashMap<(Who, u32), usize>,
    parts: Vec<((Who, u32), Vec<Part>)>,
}

impl<'a, 'r> Draft<'a, 'r> {
    pub(crate) fn new(cache: &'a mut SelectorCache, place: Place<'a>) -> Self {
        Self {
            cache,
            place,
            groups: HashMap::new(),
            written: Vec::new(),
            asked: HashMap::new(),
            parts: Vec::new(),
        }
    }

    /// Adds what a rule asks; `order` is its place among all that select the subject.
    pub(crate) fn add(&mut self, rule: &'r CompiledRule, order: u32) {
        let whos = self.who(&rule.peers);
        for group in &rule.ports {
            let tier = Level::tier_of(rule.level.strength());
            let number = *self.groups.entry((tier, &group.id)).or_insert_with(|| {
                self.written.push(group);
                u32::try_from(self.written.len() - 1).unwrap_or(u32::MAX)
            });
            for who in &whos {
                let part = Part {
                    level: rule.level,
                    action: rule.action,
                    content: group
                        .content
                        .clone()
                        .filter(|_| rule.action == Action::Allow),
                    auth: rule.auth.filter(|_| rule.action == Action::Allow),
                    cookie: rule.cookie,
                    order,
                };
                let next = self.parts.len();
                let at = *self.asked.entry((*who, number)).or_insert(next);
                match self.parts.get_mut(at) {
                    Some((_, parts)) => parts.push(part),
                    None => self.parts.push(((*who, number), vec![part])),
                }
            }
        }
    }

    fn who(&mut self, peers: &PeerSet) -> Vec<Who> {
        match peers {
            PeerSet::Nobody => Vec::new(),
            PeerSet::Anybody => vec![Who::Anybody],
            PeerSet::Picked(picked) => {
                let mut whos = Vec::with_capacity(picked.len());
                for peer in picked {
                    match peer {
                        peer if peer.passes_for_wildcard(self.place.semantics) => {
                            whos.push(Who::Anybody);
                        }
                        PeerSelector::Entity(entity) => self.add_entity(*entity, &mut whos),
                        peer => whos.push(Who::Picked(self.cache.intern(peer))),
                    }
                }
                whos
            }
        }
    }

    /// An entity is the selectors that it stands for: whoever writes one of them speaks of the same
    /// peers.
    fn add_entity(&mut self, entity: Entity, whos: &mut Vec<Who>) {
        for selector in entity_selectors(entity, self.cache.options()) {
            whos.push(Who::Picked(
                self.cache.intern(&PeerSelector::Labels(selector)),
            ));
        }
    }

    /// Merges what is asked into contributions.
    pub(crate) fn finish(self) -> Result<Drafted, Clash> {
        let mut drafted = Drafted::default();
        for ((who, number), asked) in &self.parts {
            let Some(group) = self.written.get(*number as usize) else {
                continue;
            };
            for part in asked {
                self.check_listener(part)?;
            }
            let merged = match asked.as_slice() {
                [only] => Some(only.clone()),
                several => Part::merged(several, self.place.namespace, self.place.semantics)?,
            };
            if let Some(part) = merged {
                self.place(&mut drafted, *who, *number, group, part);
            }
        }
        drafted.order_names();
        if let Some(wildcard) = self.place.wildcard {
            drafted.leave_out_what_it_says(wildcard);
        }
        Ok(drafted)
    }

    /// A listener of a namespace cannot serve a subject that has none.
    fn check_listener(&self, part: &Part) -> Result<(), Clash> {
        let listener = part
            .content
            .as_ref()
            .and_then(|content| content.listener.as_ref());
        let namespaced = listener.is_some_and(|one| one.config == ConfigKind::Namespaced);
        if namespaced && self.place.namespace.is_none() {
            return Err((Conflict::ListenerNamespace, [part.cookie; 2]));
        }
        Ok(())
    }

    fn place(&self, drafted: &mut Drafted, who: Who, number: u32, group: &PortGroup, part: Part) {
        let name = drafted.name(&part, self.place.namespace);
        let does = Does::of(&part, self.place.eased, name);
        let rank = rank(part.action, part.content.as_deref());
        let contribution = Contribution {
            key: PortKey::ANY,
            precedence: Precedence::compose(part.level.strength(), rank),
            does,
            auth: part.auth,
            any_peer: false,
            part: u32::MAX,
            group: number,
            told: !group.id.is_unseen_by_proxies(),
            order: part.order,
            cookie: part.cookie,
        };
        let contribution = match part.content {
            Some(_) => {
                drafted.parts.push(part);
                let part = u32::try_from(drafted.parts.len() - 1).unwrap_or(u32::MAX);
                Contribution {
                    part,
                    ..contribution
                }
            }
            None => contribution,
        };
        let at = |key: &PortKey| Contribution {
            key: *key,
            ..contribution
        };
        match (&group.id.port, self.place.direction) {
            (Port::Number(_), _) => drafted.add(who, None, group.keys.iter().map(at)),
            (Port::Name(name), Direction::Ingress) => {
                if let Some(port) = self.place.own_names.get(name, group.id.protocol) {
                    let keys = named_keys(port, group.id.end, group.id.protocol);
                    drafted.add(who, None, keys.iter().map(at));
                }
            }
            (Port::Name(name), Direction::Egress) => {
                let name: PortName = (Arc::clone(name), group.id.protocol);
                for port in self.cache.numbers(&name) {
                    let key = named_keys(port, 0, group.id.protocol);
                    let who = match (who, self.place.wildcard) {
                        (Who::Anybody, Some(id)) => Who::Picked(id),
                        (who, _) => who,
                    };
                    drafted.add(who, Some((name.clone(), port)), key.iter().map(at));
                }
            }
        }
    }
}

impl Drafted {
    /// The number of a proxy with a name; 0 if it has none.
    fn name(&mut self, part: &Part, namespace: Option<&str>) -> u32 {
        let Some(content) = &part.content else {
            return 0;
        };
        let listener = content.listener.as_ref();
        let name = (
            listener.map(|one| listener_name(one, namespace)),
            content.parser_name.clone(),
        );
        if name == (None, None) {
            return 0;
        }
        let known = self.names.iter().position(|known| *known == name);
        let place = known.unwrap_or_else(|| {
            self.names.push(name);
            self.names.len() - 1
        });
        u32::try_from(place + 1).unwrap_or(u32::MAX)
    }

    /// Numbers the proxies in the order of their names.
    fn order_names(&mut self) {
        if self.names.is_sorted() {
            return;
        }
        let place = |name| self.names.iter().filter(|other| *other <= name).count();
        let places: Vec<_> = self.names.iter().map(place).collect();
        let of_peers = self.selectors.values_mut();
        let lists = of_peers.map(|picked| &mut picked.list);
        for contribution in lists.chain([&mut self.any]).flatten() {
            if let Does::Inspect(inspection) = &mut contribution.does
                && let Some(place) = (inspection.name as usize)
                    .checked_sub(1)
                    .and_then(|at| places.get(at))
            {
                inspection.name = u32::try_from(*place).unwrap_or(u32::MAX);
            }
        }
    }

    fn add(
        &mut self,
        who: Who,
        named: Option<(PortName, u16)>,
        contributions: impl Iterator<Item = Contribution>,
    ) {
        let selector = match (who, &named) {
            (Who::Anybody, None) => {
                self.any.extend(contributions.map(|c| Contribution {
                    any_peer: true,
                    ..c
                }));
                return;
            }
            (Who::Anybody, Some(_)) => None,
            (Who::Picked(id), _) => Some(id),
        };
        self.of(Peerage { selector, named }).extend(contributions);
    }

    /// Drops what says no more about a named port than the wildcard does. Upstream does so whomever
    /// the wildcard picks.
    fn leave_out_what_it_says(&mut self, wildcard: SelectorId) {
        let says = |c: &Contribution| {
            let reader = c.does.inspection().map(|read| (read.parser, read.name));
            let content = self.parts.get(c.part as usize).map(|part| &part.content);
            let listener = content.and_then(|content| content.as_ref()?.listener.clone());
            (c.group, c.precedence, reader, listener, c.auth)
        };
        let own = |(peerage, _): &(&Peerage, &mut Picked)| peerage.selector == Some(wildcard);
        let of_names = self.selectors.iter_mut();
        let of_names = of_names.filter(|(peerage, _)| peerage.named.is_some());
        let (wild, others): (Vec<_>, Vec<_>) = of_names.partition(own);
        let said: Vec<_> = wild
            .iter()
            .flat_map(|(_, wild)| &wild.list)
            .map(says)
            .collect();
        for (_, other) in others {
            other.list.retain(|c| !said.contains(&says(c)));
        }
    }

    /// Adds a contribution that no rule asks for.
    pub(crate) fn add_computed(&mut self, selector: Option<SelectorId>, computed: Contribution) {
        match selector {
            None => self.any.push(Contribution {
                any_peer: true,
                ..computed
            }),
            selector => {
                let peerage = Peerage {
                    selector,
                    named: None,
                };
                self.of(peerage).push(computed);
            }
        }
    }

    fn of(&mut self, peerage: Peerage) -> &mut Vec<Contribution> {
        let place = self.selectors.len();
        let picked = self.selectors.entry(peerage).or_insert_with(|| Picked {
            place,
            list: Vec::new(),
        });
        &mut picked.list
    }

    /// The contributions for single peers in the order of their coming, each list strongest first.
    pub(crate) fn take_selectors(&mut self) -> Vec<(Peerage, Vec<Contribution>)> {
        let mut taken: Vec<_> = std::mem::take(&mut self.selectors).into_iter().collect();
        taken.sort_unstable_by_key(|(_, picked)| picked.place);
        let sorted = |(peerage, mut picked): (Peerage, Picked)| {
            picked.list.sort_unstable_by_key(Contribution::rank);
            (peerage, picked.list)
        };
        taken.into_iter().map(sorted).collect()
    }

    fn all(&self) -> impl Iterator<Item = &Contribution> {
        let picked = self.selectors.values().flat_map(|picked| &picked.list);
        self.any.iter().chain(picked)
    }

    /// Whether some rule passes.
    pub(crate) fn passes(&self) -> bool {
        self.all().any(|c| c.does == Does::Pass)
    }

    /// Whether some rule asks for authentication, or for none.
    pub(crate) fn asks(&self) -> bool {
        self.all()
            .any(|c| c.auth.is_some_and(|mode| mode >= AuthMode::Disabled))
    }

    /// Whether some rule is weaker than the end of tier Normal.
    pub(crate) fn has_baseline(&self) -> bool {
        let normal = Level::tier_of(Level::NORMAL.strength());
        self.all().any(|c| c.tier() < normal)
    }
}
