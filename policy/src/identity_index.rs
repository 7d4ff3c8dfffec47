//! The identities by slot, and by each label they carry.

use std::collections::{BTreeMap, HashMap};

use ipnet::IpNet;
use porin_identity::{IdentityId, Label, Labels, Operator, Requirement, Selector, source};

use crate::bits::Bits;
use crate::label_map::{ByText, LabelMap, Wanted};
use crate::map_state::IdentityHash;

/// Identities in slots: small numbers that are used again.
#[derive(Debug, Default)]
pub(crate) struct IdentityIndex {
    slots: Vec<Option<(IdentityId, Labels)>>,
    free: Vec<u32>,
    by_id: HashMap<IdentityId, u32, IdentityHash>,
    all: Bits,
    carrying: LabelMap<ByText, Bits>,
    blocks: BTreeMap<IpNet, Bits>,
    /// The sources that labels have had so far.
    sources: Vec<Box<str>>,
    /// Who carries one key in several sources: there it counts which label comes first.
    ambiguous: Bits,
}

impl IdentityIndex {
    /// Makes room for that many more identities.
    pub(crate) fn reserve(&mut self, identities: usize) {
        self.slots.reserve_exact(identities);
        self.by_id.reserve(identities);
    }

    pub(crate) fn add(&mut self, id: IdentityId, labels: &Labels) -> u32 {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
        });
        if let Some(place) = self.slots.get_mut(slot as usize) {
            *place = Some((id, labels.clone()));
        }
        self.by_id.insert(id, slot);
        self.all.insert(slot);
        for label in labels {
            if !self
                .sources
                .iter()
                .any(|source| **source == *label.source())
            {
                self.sources.push(label.source().into());
            }
            self.carrying.change(label, |slots| slots.insert(slot));
        }
        for block in labels.blocks() {
            self.blocks.entry(block).or_default().insert(slot);
        }
        if is_ambiguous(labels) {
            self.ambiguous.insert(slot);
        }
        slot
    }

    pub(crate) fn remove(&mut self, id: IdentityId) -> Option<u32> {
        let slot = self.by_id.remove(&id)?;
        let (_, labels) = self.slots.get_mut(slot as usize)?.take()?;
        for label in &labels {
            self.carrying.change(label, |slots| slots.remove(slot));
            self.carrying.tidy(label, Bits::is_empty);
        }
        for block in labels.blocks() {
            if let Some(slots) = self.blocks.get_mut(&block) {
                slots.remove(slot);
                if slots.is_empty() {
                    self.blocks.remove(&block);
                }
            }
        }
        self.all.remove(slot);
        self.ambiguous.remove(slot);
        self.free.push(slot);
        Some(slot)
    }

    pub(crate) fn at(&self, slot: u32) -> Option<(IdentityId, &Labels)> {
        let (id, labels) = self.slots.get(slot as usize)?.as_ref()?;
        Some((*id, labels))
    }

    pub(crate) fn slot(&self, id: IdentityId) -> Option<u32> {
        self.by_id.get(&id).copied()
    }

    /// Who carries a key.
    pub(crate) fn with_key(&self, source: &str, key: &str) -> Bits {
        self.union(source, |source| Wanted::key(source, key))
    }

    /// Who carries a key with a value.
    pub(crate) fn with_pair(&self, source: &str, key: &str, value: &str) -> Bits {
        self.union(source, |source| Wanted::pair(source, key, value))
    }

    fn union(&self, source: &str, wanted: impl Fn(&str) -> Wanted) -> Bits {
        let mut union = Bits::default();
        let mut add = |source: &str| {
            if let Some(slots) = self.carrying.get(&wanted(source)) {
                union.add(slots);
            }
        };
        match source {
            source::ANY => self.sources.iter().for_each(|source| add(source)),
            one => add(one),
        }
        union
    }

    /// Whose block lies in another block.
    pub(crate) fn inside(&self, block: IpNet) -> Bits {
        let mut inside = Bits::default();
        let last = IpNet::from(block.broadcast());
        for (_, slots) in self.blocks.range(block.trunc()..=last) {
            inside.add(slots);
        }
        inside
    }

    /// Whom a label selector picks.
    pub(crate) fn picked(&self, selector: &Selector) -> Bits {
        let mut picked: Option<Bits> = None;
        let (wanted, unwanted): (Vec<_>, Vec<_>) = selector
            .requirements()
            .iter()
            .partition(|term| asks_for_a_label(term));
        for (term, wants) in wanted
            .iter()
            .map(|t| (t, true))
            .chain(unwanted.iter().map(|t| (t, false)))
        {
            let carrying = self.meeting(term);
            match &mut picked {
                Some(picked) => picked.keep(&carrying, wants),
                None if wants => picked = Some(carrying),
                None => picked.insert(self.all.clone()).keep(&carrying, false),
            }
        }
        let mut picked = picked.unwrap_or_else(|| self.all.clone());
        for slot in self.ambiguous.iter() {
            match self.at(slot) {
                Some((_, labels)) if selector.matches(labels) => picked.insert(slot),
                _ => picked.remove(slot),
            }
        }
        picked
    }

    /// Who carries a label that a term asks for, or asks to be absent.
    fn meeting(&self, term: &Requirement) -> Bits {
        let (source, key) = (term.key.source(), term.key.key());
        let mut meeting = Bits::default();
        match &term.operator {
            Operator::Equals(value) => meeting.add(&self.with_pair(source, key, value)),
            Operator::In(values) | Operator::NotIn(values) => {
                for value in values.iter() {
                    meeting.add(&self.with_pair(source, key, value));
                }
            }
            Operator::Exists | Operator::DoesNotExist => meeting.add(&self.with_key(source, key)),
        }
        meeting
    }
}

/// Whether a term can only hold for who carries a label.
pub(crate) fn asks_for_a_label(term: &Requirement) -> bool {
    match term.operator {
        Operator::Equals(_) | Operator::In(_) | Operator::Exists => true,
        Operator::NotIn(_) | Operator::DoesNotExist => false,
    }
}

fn is_ambiguous(labels: &Labels) -> bool {
    let mut ordered = labels.iter();
    let (first, last) = (ordered.next(), ordered.next_back());
    // Labels stand in the order of their sources.
    if first.map(Label::source) == last.or(first).map(Label::source) {
        return false;
    }
    let mut keys: Vec<&str> = labels.iter().map(Label::key).collect();
    keys.sort_unstable();
    keys.windows(2).any(|pair| pair.first() == pair.last())
}
