//! Which identities each peer selector picks, kept up to date by deltas.
//!
//! Identities live in slots; a cached selector is a set of slots. Two indexes keep both kinds of
//! change cheap: a new selector looks only at the identities that carry one of its labels, and a new
//! identity only at the selectors that ask for one of its labels.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, RandomState};

use ipnet::IpNet;
use porin_identity::{IdentityId, Labels, Operator, Requirement, key, source};

use crate::Options;
use crate::bits::Bits;
use crate::map_state::IdentityHash;
use crate::peer::{PeerSelector, entity_labels};
use crate::rule::Entity;

/// A cached selector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct SelectorId(u32);

#[derive(Debug)]
pub(crate) struct SelectorCache {
    options: Options,
    identities: Identities,
    selectors: Vec<Option<Cached>>,
    by_selector: HashMap<PeerSelector, SelectorId>,
    asking: Asking,
}

#[derive(Debug)]
struct Cached {
    selector: PeerSelector,
    picked: Bits,
}

/// The identities by slot and by label.
#[derive(Debug, Default)]
struct Identities {
    slots: Vec<Option<(IdentityId, Labels)>>,
    free: Vec<u32>,
    by_id: HashMap<IdentityId, u32, IdentityHash>,
    by_label: HashMap<u64, Vec<u32>, IdentityHash>,
    by_block: BTreeMap<IpNet, Vec<u32>>,
    random: RandomState,
}

/// The selectors by a label that whoever they pick must carry.
#[derive(Debug, Default)]
struct Asking {
    by_label: HashMap<u64, Vec<SelectorId>, IdentityHash>,
    by_block: HashMap<IpNet, Vec<SelectorId>>,
    anything: Vec<SelectorId>,
}

/// What an index finds a selector or an identity by.
enum Anchor {
    /// Hashes of labels, one of which must be there.
    Labels(Vec<u64>),
    /// A block that an own block must lie in.
    Block(IpNet),
    /// Nothing in particular.
    Anything,
}

impl Identities {
    fn hash_key(&self, key: &str) -> u64 {
        self.random.hash_one(key)
    }

    fn hash_pair(&self, key: &str, value: &str) -> u64 {
        self.random.hash_one((key, value))
    }

    /// The hashes an identity is found by: each key, and each key with its value. Sources are left
    /// out, for most selectors do not name one; whoever is found is asked again.
    fn hashes(&self, labels: &Labels) -> Vec<u64> {
        let mut hashes = Vec::with_capacity(2 * labels.len());
        for label in labels {
            hashes.push(self.hash_key(label.key()));
            hashes.push(self.hash_pair(label.key(), label.value()));
        }
        hashes.sort_unstable();
        hashes.dedup();
        hashes
    }

    fn add(&mut self, id: IdentityId, labels: &Labels) -> u32 {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
        });
        if let Some(place) = self.slots.get_mut(slot as usize) {
            *place = Some((id, labels.clone()));
        }
        self.by_id.insert(id, slot);
        for hash in self.hashes(labels) {
            self.by_label.entry(hash).or_default().push(slot);
        }
        for block in labels.blocks() {
            self.by_block.entry(block).or_default().push(slot);
        }
        slot
    }

    fn remove(&mut self, id: IdentityId) -> Option<u32> {
        let slot = self.by_id.remove(&id)?;
        let (_, labels) = self.slots.get_mut(slot as usize)?.take()?;
        for hash in self.hashes(&labels) {
            if let Some(slots) = self.by_label.get_mut(&hash) {
                slots.retain(|other| *other != slot);
                if slots.is_empty() {
                    self.by_label.remove(&hash);
                }
            }
        }
        for block in labels.blocks() {
            if let Some(slots) = self.by_block.get_mut(&block) {
                slots.retain(|other| *other != slot);
                if slots.is_empty() {
                    self.by_block.remove(&block);
                }
            }
        }
        self.free.push(slot);
        Some(slot)
    }

    fn at(&self, slot: u32) -> Option<(IdentityId, &Labels)> {
        let (id, labels) = self.slots.get(slot as usize)?.as_ref()?;
        Some((*id, labels))
    }

    fn carrying(&self, hash: u64) -> &[u32] {
        self.by_label.get(&hash).map_or(&[], Vec::as_slice)
    }
}

impl SelectorCache {
    pub(crate) fn new(options: Options) -> Self {
        Self {
            options,
            identities: Identities::default(),
            selectors: Vec::new(),
            by_selector: HashMap::new(),
            asking: Asking::default(),
        }
    }

    /// Starts anew with the same identities: options change what a selector picks.
    pub(crate) fn reset(&mut self, options: Options) {
        self.options = options;
        self.selectors.clear();
        self.by_selector.clear();
        self.asking = Asking::default();
    }

    /// How many selectors are cached.
    pub(crate) fn len(&self) -> usize {
        self.by_selector.len()
    }

    pub(crate) fn add_identity(&mut self, id: IdentityId, labels: &Labels) {
        self.remove_identity(id);
        let slot = self.identities.add(id, labels);
        let hashes = self.identities.hashes(labels).into_iter();
        let by_label = hashes
            .filter_map(|hash| self.asking.by_label.get(&hash))
            .flatten();
        let blocks = labels.blocks().flat_map(enclosing);
        let by_block = blocks
            .filter_map(|block| self.asking.by_block.get(&block))
            .flatten();
        for id in by_label
            .copied()
            .chain(by_block.copied())
            .chain(self.asking.anything.iter().copied())
        {
            if let Some(Some(cached)) = self.selectors.get_mut(id.0 as usize)
                && cached.selector.picks(labels, &self.options)
            {
                cached.picked.set(slot, true);
            }
        }
    }

    pub(crate) fn remove_identity(&mut self, id: IdentityId) {
        if let Some(slot) = self.identities.remove(id) {
            for cached in self.selectors.iter_mut().flatten() {
                cached.picked.set(slot, false);
            }
        }
    }

    pub(crate) fn labels(&self, id: IdentityId) -> Option<&Labels> {
        let slot = self.identities.by_id.get(&id)?;
        self.identities.at(*slot).map(|(_, labels)| labels)
    }

    pub(crate) fn slot(&self, id: IdentityId) -> Option<u32> {
        self.identities.by_id.get(&id).copied()
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

    /// The cached selector, matched against all identities when it is new.
    pub(crate) fn intern(&mut self, selector: &PeerSelector) -> SelectorId {
        if let Some(id) = self.by_selector.get(selector) {
            return *id;
        }
        let id = SelectorId(u32::try_from(self.selectors.len()).unwrap_or(u32::MAX));
        let mut picked = Bits::default();
        let mut test = |slot: u32| {
            let found = self.identities.at(slot);
            if found.is_some_and(|(_, labels)| selector.picks(labels, &self.options)) {
                picked.set(slot, true);
            }
        };
        match self.anchor(selector) {
            Anchor::Labels(hashes) => {
                for hash in hashes {
                    self.identities
                        .carrying(hash)
                        .iter()
                        .copied()
                        .for_each(&mut test);
                    self.asking.by_label.entry(hash).or_default().push(id);
                }
            }
            Anchor::Block(block) => {
                let last = IpNet::from(block.broadcast());
                let inside = self.identities.by_block.range(block..=last);
                inside
                    .flat_map(|(_, slots)| slots)
                    .copied()
                    .for_each(&mut test);
                self.asking.by_block.entry(block).or_default().push(id);
            }
            Anchor::Anything => {
                let slots = u32::try_from(self.identities.slots.len()).unwrap_or(u32::MAX);
                (0..slots).for_each(&mut test);
                self.asking.anything.push(id);
            }
        }
        self.selectors.push(Some(Cached {
            selector: selector.clone(),
            picked,
        }));
        self.by_selector.insert(selector.clone(), id);
        id
    }

    /// Forgets the selectors that are not to be kept.
    pub(crate) fn retain(&mut self, keep: impl Fn(&PeerSelector) -> bool) {
        self.by_selector.retain(|selector, id| {
            let kept = keep(selector);
            if !kept && let Some(place) = self.selectors.get_mut(id.0 as usize) {
                *place = None;
            }
            kept
        });
        let alive = |id: &SelectorId| matches!(self.selectors.get(id.0 as usize), Some(Some(_)));
        self.asking.by_label.retain(|_, ids| {
            ids.retain(alive);
            !ids.is_empty()
        });
        self.asking.by_block.retain(|_, ids| {
            ids.retain(alive);
            !ids.is_empty()
        });
        self.asking.anything.retain(alive);
    }

    fn anchor(&self, selector: &PeerSelector) -> Anchor {
        match selector {
            PeerSelector::Labels(labels) => {
                let anchors = labels
                    .requirements()
                    .iter()
                    .filter_map(|term| self.term_anchor(term));
                let rarest = anchors.min_by_key(|hashes| self.population(hashes));
                rarest.map_or(Anchor::Anything, Anchor::Labels)
            }
            PeerSelector::Cidr(cidr) if cidr.block.prefix_len() > 0 => {
                Anchor::Block(cidr.block.trunc())
            }
            PeerSelector::Cidr(_) => Anchor::Labels(self.names(entity_labels(Entity::World))),
            PeerSelector::Entity(Entity::None) => Anchor::Labels(Vec::new()),
            PeerSelector::Entity(entity) => {
                let mut hashes = self.names(entity_labels(*entity));
                if matches!(entity, Entity::Cluster | Entity::ClusterMesh) {
                    hashes.extend(self.names(&["aggregate-cluster", "aggregate-cluster-mesh"]));
                    hashes.push(match entity {
                        Entity::Cluster => self
                            .identities
                            .hash_pair(key::CLUSTER, &self.options.cluster_name),
                        _ => self.identities.hash_key(key::CLUSTER),
                    });
                }
                Anchor::Labels(hashes)
            }
        }
    }

    fn names(&self, names: &[&str]) -> Vec<u64> {
        names
            .iter()
            .map(|name| self.identities.hash_key(name))
            .collect()
    }

    fn population(&self, hashes: &[u64]) -> usize {
        hashes
            .iter()
            .map(|hash| self.identities.carrying(*hash).len())
            .sum()
    }

    /// What a label must have for a term to hold; nothing if the term can hold without a label.
    fn term_anchor(&self, term: &Requirement) -> Option<Vec<u64>> {
        if term.key.source() == source::CIDR {
            return None;
        }
        let key = term.key.key();
        match &term.operator {
            Operator::Equals(value) => Some(vec![self.identities.hash_pair(key, value)]),
            Operator::In(values) => Some(
                values
                    .iter()
                    .map(|value| self.identities.hash_pair(key, value))
                    .collect(),
            ),
            Operator::Exists => Some(vec![self.identities.hash_key(key)]),
            Operator::NotIn(_) | Operator::DoesNotExist => None,
        }
    }
}

/// A block and every block around it.
fn enclosing(block: IpNet) -> impl Iterator<Item = IpNet> {
    std::iter::successors(Some(block), IpNet::supernet)
}
