//! Which identities each peer selector picks, kept up to date by deltas.
//!
//! Two indexes keep both kinds of change cheap: a new selector is answered from the labels that
//! identities carry, and a new identity is shown only to the selectors that ask for one of its
//! labels.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use ipnet::IpNet;
use porin_identity::{IdentityId, Labels, Operator, Requirement, Selector, key, source};

use crate::bits::Bits;
use crate::draft::Peerage;
use crate::identity_index::{IdentityIndex, asks_for_a_label};
use crate::label_map::{LabelMap, Wanted};
use crate::peer::{CidrSelector, GROUP_NAME_PREFIX, PeerSelector, entity_labels};
use crate::peers::{CidrSource, Entity};
use crate::port_index::PortIndex;
use crate::{Options, PortNames, Protocol};

/// The name of a port and its protocol.
pub(crate) type PortName = (Arc<str>, Protocol);

/// A cached selector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct SelectorId(u32);

#[derive(Debug)]
pub(crate) struct SelectorCache {
    options: Options,
    identities: IdentityIndex,
    selectors: Vec<Option<Cached>>,
    by_selector: HashMap<PeerSelector, SelectorId>,
    asking: Asking,
    ports: PortIndex,
}

#[derive(Debug)]
struct Cached {
    selector: PeerSelector,
    picked: Bits,
}

/// The selectors by a label that whoever they pick must carry.
#[derive(Debug, Default)]
struct Asking {
    by_label: LabelMap<Box<str>, Vec<SelectorId>>,
    by_block: HashMap<IpNet, Vec<SelectorId>>,
    anything: Vec<SelectorId>,
}

impl SelectorCache {
    pub(crate) fn new(options: Options) -> Self {
        Self {
            options,
            identities: IdentityIndex::default(),
            selectors: Vec::new(),
            by_selector: HashMap::new(),
            asking: Asking::default(),
            ports: PortIndex::default(),
        }
    }

    /// Starts anew with the same identities: options change what a selector picks.
    pub(crate) fn reset(&mut self, options: Options) {
        self.options = options;
        self.selectors.clear();
        self.by_selector.clear();
        self.asking = Asking::default();
    }

    pub(crate) fn options(&self) -> &Options {
        &self.options
    }

    /// How many selectors are cached.
    pub(crate) fn len(&self) -> usize {
        self.by_selector.len()
    }

    /// Makes room for that many more identities.
    pub(crate) fn reserve(&mut self, identities: usize) {
        self.identities.reserve(identities);
    }

    pub(crate) fn add_identity(&mut self, id: IdentityId, labels: &Labels) {
        self.remove_identity(id);
        let slot = self.identities.add(id, labels);
        self.ports.add(id, slot);
        for id in self.asked_by(labels) {
            if let Some(Some(cached)) = self.selectors.get_mut(id.0 as usize)
                && cached.selector.picks(labels, &self.options)
            {
                cached.picked.insert(slot);
            }
        }
    }

    pub(crate) fn remove_identity(&mut self, id: IdentityId) {
        let labels = self.labels(id).cloned();
        if let (Some(slot), Some(labels)) = (self.identities.remove(id), labels) {
            self.ports.remove(id, slot);
            for id in self.asked_by(&labels) {
                if let Some(Some(cached)) = self.selectors.get_mut(id.0 as usize) {
                    cached.picked.remove(slot);
                }
            }
        }
    }

    /// The selectors that might pick a set of labels.
    fn asked_by(&self, labels: &Labels) -> Vec<SelectorId> {
        if self.by_selector.is_empty() {
            return Vec::new();
        }
        let mut asked = self.asking.anything.clone();
        for label in labels {
            asked.extend(self.asking.by_label.asked_by(label).flatten());
        }
        for block in labels.blocks().flat_map(enclosing) {
            asked.extend(self.asking.by_block.get(&block).into_iter().flatten());
        }
        asked
    }

    pub(crate) fn labels(&self, id: IdentityId) -> Option<&Labels> {
        self.identities.at(self.slot(id)?).map(|(_, labels)| labels)
    }

    pub(crate) fn slot(&self, id: IdentityId) -> Option<u32> {
        self.identities.slot(id)
    }

    pub(crate) fn identity_at(&self, slot: u32) -> Option<IdentityId> {
        self.identities.at(slot).map(|(id, _)| id)
    }

    pub(crate) fn picked(&self, id: SelectorId) -> Option<&Bits> {
        self.selectors
            .get(id.0 as usize)?
            .as_ref()
            .map(|cached| &cached.picked)
    }

    /// Gives an identity the names of its ports; whether that changes anything.
    pub(crate) fn set_names(&mut self, id: IdentityId, names: PortNames) -> bool {
        let slot = self.slot(id);
        self.ports.set(id, slot, names)
    }

    /// The names of an identity's ports.
    pub(crate) fn names(&self, id: IdentityId) -> Option<&PortNames> {
        self.ports.names(id)
    }

    /// The numbers that a name stands for, in order.
    pub(crate) fn numbers(&self, name: &PortName) -> Vec<u16> {
        self.ports.numbers(name)
    }

    /// Who shares contributions.
    pub(crate) fn members(&self, peerage: &Peerage) -> Cow<'_, Bits> {
        let picked = |id| self.picked(id).map_or_else(Cow::default, Cow::Borrowed);
        let Some((name, port)) = &peerage.named else {
            return peerage.selector.map_or_else(Cow::default, picked);
        };
        let Some(named) = self.ports.who(name, *port) else {
            return Cow::default();
        };
        match peerage.selector {
            None => Cow::Borrowed(named),
            Some(id) => {
                let mut both = named.clone();
                both.keep(&picked(id), true);
                Cow::Owned(both)
            }
        }
    }

    /// Whether an identity is among them.
    pub(crate) fn is_member(&self, peerage: &Peerage, slot: u32) -> bool {
        let picked = |id| self.picked(id).is_some_and(|set| set.has(slot));
        let named = |(name, port): &(PortName, u16)| {
            self.ports.who(name, *port).is_some_and(|set| set.has(slot))
        };
        peerage.selector.is_none_or(picked) && peerage.named.as_ref().is_none_or(named)
    }

    /// The cached selector, matched against all identities when it is new.
    pub(crate) fn intern(&mut self, selector: &PeerSelector) -> SelectorId {
        if let Some(id) = self.by_selector.get(selector) {
            return *id;
        }
        let id = SelectorId(u32::try_from(self.selectors.len()).unwrap_or(u32::MAX));
        let picked = match selector {
            PeerSelector::Labels(labels) => self.intern_labels(labels, id),
            PeerSelector::Entity(entity) => self.intern_entity(*entity, id),
            PeerSelector::Cidr(cidr) => {
                let candidates = self.intern_cidr(cidr, id);
                self.tested(selector, &candidates)
            }
            PeerSelector::Fqdn(name) => {
                let wanted = Wanted::key(source::FQDN, name.text());
                self.asking.by_label.entry(wanted).push(id);
                self.identities.with_key(source::FQDN, name.text())
            }
        };
        self.selectors.push(Some(Cached {
            selector: selector.clone(),
            picked,
        }));
        self.by_selector.insert(selector.clone(), id);
        id
    }

    /// Registers a label selector under its rarest term, so that few identities have to ask it.
    fn intern_labels(&mut self, labels: &Selector, id: SelectorId) -> Bits {
        let positive = labels
            .requirements()
            .iter()
            .filter(|term| asks_for_a_label(term));
        let usable = positive.filter(|term| term.key.source() != source::CIDR);
        match usable.min_by_key(|term| commonness(term)) {
            None => self.asking.anything.push(id),
            Some(term) => {
                for wanted in anchors(term) {
                    self.asking.by_label.entry(wanted).push(id);
                }
            }
        }
        if labels.mentions_source(source::CIDR) {
            let all = self.identities.picked(&Selector::everything());
            return self.tested(&PeerSelector::Labels(labels.clone()), &all);
        }
        self.identities.picked(labels)
    }

    fn intern_entity(&mut self, entity: Entity, id: SelectorId) -> Bits {
        let mut picked = Bits::default();
        let mut ask = |wanted| self.asking.by_label.entry(wanted).push(id);
        for name in entity_labels(entity) {
            picked.add(&self.identities.with_key(source::RESERVED, name));
            ask(Wanted::key(source::RESERVED, name));
        }
        match entity {
            Entity::Cluster => {
                let own = &self.options.cluster_name;
                picked.add(&self.identities.with_pair(source::K8S, key::CLUSTER, own));
                ask(Wanted::pair(source::K8S, key::CLUSTER, own));
            }
            Entity::ClusterMesh => {
                picked.add(&self.identities.with_key(source::ANY, key::CLUSTER));
                ask(Wanted::key(source::ANY, key::CLUSTER));
            }
            _ => {}
        }
        picked
    }

    /// Registers a selector of addresses; who might be picked by it.
    fn intern_cidr(&mut self, cidr: &CidrSelector, id: SelectorId) -> Bits {
        let mut candidates = Bits::default();
        match &cidr.source {
            CidrSource::Address(address) => {
                let block = IpNet::from(*address);
                candidates.add(&self.identities.inside(block));
                self.asking.by_block.entry(block).or_default().push(id);
            }
            CidrSource::Block(block) => {
                let block = block.trunc();
                if block.prefix_len() == 0 {
                    candidates.add(&self.intern_entity(Entity::World, id));
                }
                if block.prefix_len() > 0 || cidr.zero_holds_all {
                    candidates.add(&self.identities.inside(block));
                    self.asking.by_block.entry(block).or_default().push(id);
                }
            }
            CidrSource::Group(name) => {
                let key = format!("{GROUP_NAME_PREFIX}{name}");
                candidates.add(&self.identities.with_key(source::CIDRGROUP, &key));
                let wanted = Wanted::key(source::CIDRGROUP, &key);
                self.asking.by_label.entry(wanted).push(id);
            }
            CidrSource::Groups(_) => {
                candidates = self.identities.picked(&Selector::everything());
                self.asking.anything.push(id);
            }
        }
        candidates
    }

    fn tested(&self, selector: &PeerSelector, candidates: &Bits) -> Bits {
        let mut picked = Bits::default();
        for slot in candidates.iter() {
            let found = self.identities.at(slot);
            if found.is_some_and(|(_, labels)| selector.picks(labels, &self.options)) {
                picked.insert(slot);
            }
        }
        picked
    }

    /// Forgets the selectors that are not to be kept.
    pub(crate) fn retain(&mut self, keep: &HashSet<&PeerSelector>) {
        self.by_selector.retain(|selector, id| {
            let kept = keep.contains(selector);
            if !kept && let Some(place) = self.selectors.get_mut(id.0 as usize) {
                *place = None;
            }
            kept
        });
        let alive = |id: &SelectorId| matches!(self.selectors.get(id.0 as usize), Some(Some(_)));
        self.asking.by_label.retain(|ids| {
            ids.retain(alive);
            !ids.is_empty()
        });
        self.asking.by_block.retain(|_, ids| {
            ids.retain(alive);
            !ids.is_empty()
        });
        self.asking.anything.retain(alive);
    }
}

/// The labels of which one must be there for a term to hold.
fn anchors(term: &Requirement) -> Vec<Wanted> {
    let (source, key) = (term.key.source(), term.key.key());
    match &term.operator {
        Operator::Equals(value) => vec![Wanted::pair(source, key, value)],
        Operator::In(values) => values
            .iter()
            .map(|value| Wanted::pair(source, key, value))
            .collect(),
        Operator::Exists | Operator::NotIn(_) | Operator::DoesNotExist => {
            vec![Wanted::key(source, key)]
        }
    }
}

/// How many identities a term is likely to leave: labels of workloads are rarer than their place.
fn commonness(term: &Requirement) -> u8 {
    let place = match term.key.key() {
        key::CLUSTER => 2,
        key::NAMESPACE => 1,
        _ => 0,
    };
    let operator = match term.operator {
        Operator::Equals(_) => 0,
        Operator::In(_) => 1,
        _ => 4,
    };
    2 * place + operator
}

/// A block and every block around it.
fn enclosing(block: IpNet) -> impl Iterator<Item = IpNet> {
    std::iter::successors(Some(block), IpNet::supernet)
}
