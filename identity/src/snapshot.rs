//! What is known at one moment, and what changed between two.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::id::IdentityId;
use crate::labels::Labels;

type Shard = BTreeMap<IdentityId, Labels>;

/// Every identity and its labels at one moment. Cheap to clone, never changes.
///
/// The numbers are kept in shards of neighbours. A registry that goes on working copies the one
/// shard it touches, so neither a snapshot nor a change costs in proportion to all identities.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    shards: Arc<BTreeMap<u32, Arc<Shard>>>,
    len: usize,
}

/// Derived numbers are spread evenly, so 256 shards of 65,536 numbers; the local ones likewise.
const SHARD_BITS: u32 = 16;

impl Snapshot {
    /// The labels of an identity.
    #[must_use]
    pub fn labels(&self, id: IdentityId) -> Option<&Labels> {
        self.shards.get(&(id.get() >> SHARD_BITS))?.get(&id)
    }

    /// All identities by number.
    pub fn iter(&self) -> impl Iterator<Item = (IdentityId, &Labels)> + '_ {
        self.shards
            .values()
            .flat_map(|shard| shard.iter().map(|(id, labels)| (*id, labels)))
    }

    /// How many identities.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// No identity at all; a registry is never empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(crate) fn insert(&mut self, id: IdentityId, labels: Labels) -> Option<Labels> {
        let shards = Arc::make_mut(&mut self.shards);
        let shard = Arc::make_mut(shards.entry(id.get() >> SHARD_BITS).or_default());
        let old = shard.insert(id, labels);
        self.len += usize::from(old.is_none());
        old
    }

    pub(crate) fn remove(&mut self, id: IdentityId) -> Option<Labels> {
        let shards = Arc::make_mut(&mut self.shards);
        let old = Arc::make_mut(shards.get_mut(&(id.get() >> SHARD_BITS))?).remove(&id);
        self.len -= usize::from(old.is_some());
        old
    }
}

/// The difference between two moments: apply what was removed before what was added.
///
/// An identity that came and went in between is in neither list; one whose labels changed
/// (a reserved one) is in both.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IdentityDelta {
    /// New identities, by number.
    pub added: Vec<(IdentityId, Labels)>,
    /// Identities that are gone, with the labels they had, by number.
    pub removed: Vec<(IdentityId, Labels)>,
}

impl IdentityDelta {
    /// Nothing changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty()
    }
}

/// Collects changes and lets opposite ones cancel.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pending {
    added: BTreeMap<IdentityId, Labels>,
    removed: BTreeMap<IdentityId, Labels>,
}

impl Pending {
    pub(crate) fn add(&mut self, id: IdentityId, labels: Labels) {
        if self.removed.get(&id) == Some(&labels) {
            self.removed.remove(&id);
        } else {
            self.added.insert(id, labels);
        }
    }

    pub(crate) fn remove(&mut self, id: IdentityId, labels: Labels) {
        if self.added.remove(&id).is_none() {
            self.removed.insert(id, labels);
        }
    }

    pub(crate) fn take(&mut self) -> IdentityDelta {
        let Self { added, removed } = std::mem::take(self);
        IdentityDelta {
            added: added.into_iter().collect(),
            removed: removed.into_iter().collect(),
        }
    }
}
