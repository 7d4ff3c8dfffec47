//! Rules, taken apart as far as they can be compared.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use porin_identity::Selector;

use super::cover::{covers_ports, covers_selector, excludes};
use super::finding::Related;
use super::replaced::Replaced;
use super::side::{Side, covers_side, pod_subject};
use crate::direction::Direction;
use crate::l7::L7Rules;
use crate::options::Options;
use crate::port_rule::{PortRule, PortSpec, TlsRules};
use crate::rule::{Action, Document, Guards, Location, Rule, Spec, Tier};
use crate::scope::scope_subject;

/// One element of the ports of one rule, or the whole rule if it names no ports.
pub(super) struct Clause<'a> {
    /// The place among all clauses.
    pub(super) place: usize,
    /// Which document it stands in.
    pub(super) document: usize,
    pub(super) of: &'a Document,
    pub(super) spec: &'a Spec,
    pub(super) rule: &'a Rule,
    /// The element and its place.
    pub(super) element: Option<(usize, &'a PortRule)>,
    /// The place of its subject among all of them.
    pub(super) subject: usize,
    /// The place of its ports among all lists of ports.
    listed: usize,
    selector: Arc<Selector>,
    pub(super) side: Arc<Side>,
    /// Whether it is only tried, so that it takes nothing away from others.
    pub(super) staged: bool,
}

/// Whether a document is only tried as a whole, or which of its rules are.
pub(super) fn is_staged(document: &Document, rule: &Rule, options: &Options) -> bool {
    let namespace = document.name.namespace.as_deref();
    namespace.is_some_and(|name| options.staged_namespaces.contains(name))
        || document.staging.holds(document.name.kind, rule)
}

/// The scoped subject of a spec, in words that compare across kinds.
pub(super) fn subject(document: &Document, spec: &Spec) -> Selector {
    let scoped = scope_subject(&spec.subject, &document.name);
    match document.name.kind.is_kubernetes() {
        true => pod_subject(&scoped),
        false => scoped,
    }
}

/// The clauses of one rule. A port element without ports allows no port, and is none.
pub(super) fn clauses_of<'a>(
    (document, of): (usize, &'a Document),
    spec: &'a Spec,
    rule: &'a Rule,
    (subject, selector): (usize, &Arc<Selector>),
    options: &Options,
) -> Vec<Clause<'a>> {
    let side = Arc::new(Side::of(of, spec, rule, options));
    if *side == Side::Nobody {
        return Vec::new();
    }
    let clause = |element| Clause {
        place: 0,
        listed: 0,
        document,
        of,
        spec,
        rule,
        element,
        subject,
        selector: Arc::clone(selector),
        side: Arc::clone(&side),
        staged: is_staged(of, rule, options),
    };
    match &rule.ports {
        None => vec![clause(None)],
        Some(elements) => elements
            .iter()
            .enumerate()
            .filter(|(_, element)| !element.ports.is_empty())
            .map(|element| clause(Some(element)))
            .collect(),
    }
}

impl Clause<'_> {
    pub(super) fn direction(&self) -> Direction {
        self.rule.direction
    }

    pub(super) fn allows(&self) -> bool {
        self.rule.action == Action::Allow
    }

    /// Whether it stands where allowances add up and denials win, in whatever order.
    pub(super) fn is_unordered(&self) -> bool {
        self.spec.tier == Tier::Normal
    }

    pub(super) fn l7(&self) -> &L7Rules {
        self.element
            .map_or(&L7Rules::None, |(_, element)| &element.l7)
    }

    /// Whether it asks nothing of the content and sends nothing to a proxy.
    pub(super) fn is_plain(&self) -> bool {
        self.element.is_none_or(|(_, element)| {
            element.l7.is_none()
                && element.server_names.is_empty()
                && element.tls == TlsRules::default()
                && element.listener.is_none()
        })
    }

    /// Whether both ask the same of the content and of the peer.
    pub(super) fn asks_the_same(&self, other: &Self) -> bool {
        let content = match (self.element, other.element) {
            (Some((_, a)), Some((_, b))) => {
                a.l7 == b.l7
                    && a.server_names == b.server_names
                    && a.tls == b.tls
                    && a.listener == b.listener
            }
            _ => self.is_plain() && other.is_plain(),
        };
        content && self.rule.auth == other.rule.auth
    }

    /// Whether its rule has no other element.
    pub(super) fn is_whole_rule(&self) -> bool {
        self.rule
            .ports
            .as_ref()
            .is_none_or(|elements| elements.len() == 1)
    }

    /// Whether both stand in one rule and element.
    pub(super) fn is(&self, other: &Self) -> bool {
        std::ptr::eq(self.rule, other.rule)
            && self.element.map(|(at, _)| at) == other.element.map(|(at, _)| at)
    }

    /// Whether this guards everybody whom `other` guards.
    pub(super) fn covers_subject(&self, other: &Self) -> bool {
        self.subject == other.subject
            || self.spec.guards == other.spec.guards
                && covers_selector(&self.selector, &other.selector)
    }

    /// Whether nobody can be guarded by both.
    pub(super) fn excludes_subject(&self, other: &Self) -> bool {
        self.spec.guards != other.spec.guards || excludes(&self.selector, &other.selector)
    }

    /// Whether this speaks of every peer that `other` speaks of.
    pub(super) fn covers_peers(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.side, &other.side) || covers_side(&self.side, &other.side)
    }

    /// Whether this speaks of every port that `other` speaks of.
    pub(super) fn covers_ports(&self, other: &Self) -> bool {
        covers_ports(self.ports(), other.ports())
    }

    /// Whether every flow that `other` covers is covered by this; subjects apart.
    pub(super) fn covers_flows(&self, other: &Self) -> bool {
        self.covers_ports(other) && self.covers_peers(other)
    }

    pub(super) fn ports(&self) -> Option<&PortRule> {
        self.element.map(|(_, element)| element)
    }

    /// Whether this decides before `other` is asked, whatever their actions. Rules of one tier and
    /// priority have an order only inside one document.
    pub(super) fn is_before(&self, other: &Self) -> bool {
        let (own, others) = (self.rank(), other.rank());
        match own.0.cmp(&others.0) {
            std::cmp::Ordering::Less => true,
            std::cmp::Ordering::Greater => false,
            std::cmp::Ordering::Equal if self.is_unordered() => false,
            std::cmp::Ordering::Equal => {
                own.1 < others.1
                    || own.1 == others.1
                        && self.document == other.document
                        && self.rule.index < other.rule.index
            }
        }
    }

    fn rank(&self) -> (Tier, u16) {
        (self.spec.tier, self.spec.priority)
    }

    /// Where it stands: its element, else its rule.
    pub(super) fn location(&self) -> &Location {
        self.element
            .map_or(&self.rule.location, |(_, element)| &element.location)
    }

    pub(super) fn related(&self) -> Related {
        Related {
            location: self.rule.location.clone(),
            policy: self.of.name.clone(),
        }
    }
}

/// Every clause of the documents that no later one replaces, in order, and who may stand beside
/// whom.
pub(super) struct Clauses<'a> {
    all: Vec<Clause<'a>>,
    /// For each subject and direction the clauses that guard all whom it guards.
    beside: Vec<[Beside; 2]>,
    /// For each list of ports a clause that has it.
    listed: Vec<usize>,
}

/// Clauses of one direction by their places: what a namespace says itself, then the clusterwide.
#[derive(Default)]
struct Beside {
    places: Vec<usize>,
    /// The same by their lists of ports, as positions in `places`.
    by_ports: BTreeMap<usize, Vec<usize>>,
}

impl Beside {
    fn of(places: Vec<usize>, all: &[Clause<'_>]) -> Self {
        let mut by_ports: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (position, place) in places.iter().enumerate() {
            if let Some(clause) = all.get(*place) {
                by_ports.entry(clause.listed).or_default().push(position);
            }
        }
        Self { places, by_ports }
    }
}

/// Distinct subjects, numbered as they come.
#[derive(Default)]
struct Subjects<'a> {
    known: HashMap<(Option<&'a str>, Guards, Selector), usize>,
    all: Vec<(Option<&'a str>, Guards, Arc<Selector>)>,
}

impl<'a> Subjects<'a> {
    fn number(&mut self, document: &'a Document, spec: &Spec) -> (usize, Arc<Selector>) {
        let selector = subject(document, spec);
        let namespace = document.name.namespace.as_deref();
        let next = self.all.len();
        let number = *self
            .known
            .entry((namespace, spec.guards, selector.clone()))
            .or_insert(next);
        if number == next {
            self.all.push((namespace, spec.guards, Arc::new(selector)));
        }
        let selector = self
            .all
            .get(number)
            .map(|(.., selector)| Arc::clone(selector));
        (number, selector.unwrap_or_default())
    }

    /// Those that guard all whom this one guards: of its own namespace, then the clusterwide ones.
    fn covering(
        &self,
        number: usize,
        by_namespace: &HashMap<Option<&str>, Vec<usize>>,
    ) -> [Vec<usize>; 2] {
        let Some((namespace, guards, narrow)) = self.all.get(number) else {
            return [Vec::new(), Vec::new()];
        };
        let covers = |wide: &usize| {
            self.all
                .get(*wide)
                .is_some_and(|(_, of, wide)| of == guards && covers_selector(wide, narrow))
        };
        let listed = |namespace: Option<&str>| -> Vec<usize> {
            let known = by_namespace.get(&namespace);
            known
                .into_iter()
                .flatten()
                .copied()
                .filter(|wide| covers(wide))
                .collect()
        };
        let clusterwide = namespace.map_or_else(Vec::new, |_| listed(None));
        [listed(*namespace), clusterwide]
    }
}

impl<'a> Clauses<'a> {
    pub(super) fn of(documents: &'a [Document], replaced: &Replaced, options: &Options) -> Self {
        let mut subjects = Subjects::default();
        let mut all = Vec::new();
        let in_force = |(place, _): &(usize, &Document)| replaced.by(*place).is_none();
        for document in documents.iter().enumerate().filter(in_force) {
            for spec in &document.1.specs {
                let (number, selector) = subjects.number(document.1, spec);
                for rule in &spec.rules {
                    all.extend(clauses_of(
                        document,
                        spec,
                        rule,
                        (number, &selector),
                        options,
                    ));
                }
            }
        }
        let listed = number(&mut all);
        let beside = beside(&all, &subjects);
        Self {
            all,
            beside,
            listed,
        }
    }

    pub(super) fn iter(&self) -> std::slice::Iter<'_, Clause<'a>> {
        self.all.iter()
    }

    pub(super) fn at(&self, place: usize) -> Option<&Clause<'a>> {
        self.all.get(place)
    }

    /// Allowances where allowances add up.
    pub(super) fn allows(&self) -> impl Iterator<Item = &Clause<'a>> {
        self.all
            .iter()
            .filter(|clause| clause.allows() && clause.is_unordered())
    }

    /// Everything in force in the same direction that guards all whom `clause` guards, itself
    /// too: first what its own namespace says, then the clusterwide.
    pub(super) fn beside(&self, clause: &Clause<'a>) -> impl Iterator<Item = &Clause<'a>> {
        let places = self.around(clause).map(|beside| &beside.places);
        let places = places.into_iter().flatten();
        places.filter_map(|place| self.all.get(*place))
    }

    fn around(&self, clause: &Clause<'a>) -> Option<&Beside> {
        let [ingress, egress] = self.beside.get(clause.subject)?;
        Some(match clause.direction() {
            Direction::Ingress => ingress,
            Direction::Egress => egress,
        })
    }

    /// Those of [`Clauses::beside`] that cover every flow that `narrow` covers, itself too. Lists of
    /// ports are compared once, however many clauses have them.
    pub(super) fn covering(&self, narrow: &Clause<'a>) -> impl Iterator<Item = &Clause<'a>> {
        let mut positions = Vec::new();
        let around = self.around(narrow);
        for (listed, having) in around.iter().flat_map(|beside| &beside.by_ports) {
            let one = self
                .listed
                .get(*listed)
                .and_then(|place| self.all.get(*place));
            if one.is_some_and(|one| one.covers_ports(narrow)) {
                positions.extend(having);
            }
        }
        positions.sort_unstable();
        let at = move |position: usize| self.all.get(*around?.places.get(position)?);
        let wide = positions.into_iter().filter_map(at);
        wide.filter(|wide| wide.covers_peers(narrow))
    }

    /// Whether `wide` decides about its flows before `narrow` is asked: it is stronger, and if it
    /// stands in another tier, nothing in its own passes any flow on before.
    pub(super) fn decides_before(&self, wide: &Clause<'_>, narrow: &Clause<'_>) -> bool {
        let passes = |clause: &Clause<'_>| {
            clause.rule.action == Action::Pass
                && clause.spec.tier == wide.spec.tier
                && clause.direction() == wide.direction()
                && !wide.is_before(clause)
        };
        wide.is_before(narrow)
            && (wide.spec.tier == narrow.spec.tier || !self.all.iter().any(passes))
    }

    /// Those of [`Clauses::beside`] that allow where allowances add up.
    pub(super) fn allows_beside(&self, clause: &Clause<'a>) -> impl Iterator<Item = &Clause<'a>> {
        self.beside(clause)
            .filter(|clause| clause.allows() && clause.is_unordered())
    }
}

/// Gives every clause its place and the number of its list of ports; for each list a clause that
/// has it.
fn number(all: &mut [Clause<'_>]) -> Vec<usize> {
    let mut known: HashMap<Option<&[PortSpec]>, usize> = HashMap::new();
    let mut listed = Vec::new();
    for (place, clause) in all.iter_mut().enumerate() {
        clause.place = place;
        let ports = clause.element.map(|(_, element)| element.ports.as_slice());
        clause.listed = *known.entry(ports).or_insert(listed.len());
        if clause.listed == listed.len() {
            listed.push(place);
        }
    }
    listed
}

fn beside(all: &[Clause<'_>], subjects: &Subjects<'_>) -> Vec<[Beside; 2]> {
    let mut by_subject: Vec<[Vec<usize>; 2]> = vec![Default::default(); subjects.all.len()];
    for (place, clause) in all.iter().enumerate().filter(|(_, clause)| !clause.staged) {
        let direction = usize::from(clause.direction() == Direction::Egress);
        let of = by_subject.get_mut(clause.subject);
        if let Some(places) = of.and_then(|directions| directions.get_mut(direction)) {
            places.push(place);
        }
    }
    let mut by_namespace: HashMap<Option<&str>, Vec<usize>> = HashMap::new();
    for (number, (namespace, ..)) in subjects.all.iter().enumerate() {
        by_namespace.entry(*namespace).or_default().push(number);
    }
    let gather = |wide: &[usize], direction: usize| -> Vec<usize> {
        let of = wide
            .iter()
            .filter_map(|number| by_subject.get(*number)?.get(direction));
        let mut places: Vec<usize> = of.flatten().copied().collect();
        places.sort_unstable();
        places
    };
    let around = |number: usize| {
        let [own, clusterwide] = subjects.covering(number, &by_namespace);
        [0, 1].map(|direction| {
            let mut places = gather(&own, direction);
            places.extend(gather(&clusterwide, direction));
            Beside::of(places, all)
        })
    };
    (0..subjects.all.len()).map(around).collect()
}
