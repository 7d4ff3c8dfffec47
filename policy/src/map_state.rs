use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use porin_identity::IdentityId;
use sha2::{Digest, Sha256};

use crate::chain::{Chain, PortKey};
use crate::{Direction, MapEntry, MapKey, Query, Verdict};

/// The policy of one endpoint as kernel table entries.
///
/// Per direction there is one chain of entries for any peer, and one chain per peer identity; peers
/// that the same rules name share theirs. Inside a chain the longest prefix is also the strongest,
/// so that two longest-prefix lookups decide (see the [crate's front page](crate)).
///
/// ```
/// use porin_identity::IdentityId;
/// use porin_policy::*;
/// let key = MapKey {
///     direction: Direction::Ingress,
///     identity: IdentityId::UNKNOWN,
///     protocol: Protocol::TCP,
///     port: PortPrefix::exact(443),
/// };
/// let entry = MapEntry {
///     action: EntryAction::Allow,
///     auth: AuthMode::Disabled,
///     precedence: Precedence::compose(1, 1),
///     cookie: RuleCookie::new(16),
/// };
/// let state: MapState = [(key, entry)].into_iter().collect();
/// assert_eq!(state.lookup(&Query::ingress(IdentityId::WORLD).tcp(443)), Some((key, entry)));
/// assert_eq!(state.lookup(&Query::ingress(IdentityId::WORLD).tcp(80)), None);
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct MapState {
    ingress: Side,
    egress: Side,
}

/// One direction of a [`MapState`].
#[derive(Clone, Default)]
pub(crate) struct Side {
    any: Arc<Chain>,
    chains: Vec<Arc<Chain>>,
    peers: HashMap<IdentityId, u32, IdentityHash>,
}

/// A digest over all entries of a [`MapState`]: equal content, equal hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ContentHash([u8; 32]);

/// One write that leads from one [`MapState`] to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MapChange {
    /// Insert or overwrite.
    Set(MapKey, MapEntry),
    /// Take away.
    Remove(MapKey),
}

impl Side {
    pub(crate) fn new(any: Arc<Chain>) -> Self {
        Self {
            any,
            ..Self::default()
        }
    }

    /// The same peers with the same numbers of chains, and no chain yet.
    pub(crate) fn without_chains(&self, any: Arc<Chain>) -> Self {
        Self {
            any,
            chains: Vec::with_capacity(self.chains.len()),
            peers: self.peers.clone(),
        }
    }

    pub(crate) fn reserve(&mut self, peers: usize) {
        self.peers.reserve(peers);
    }

    /// Makes a chain known; the number it returns is for [`Side::set_peer`].
    pub(crate) fn add_chain(&mut self, chain: Arc<Chain>) -> u32 {
        self.chains.push(chain);
        u32::try_from(self.chains.len() - 1).unwrap_or(u32::MAX)
    }

    pub(crate) fn set_peer(&mut self, peer: IdentityId, chain: u32) {
        self.peers.insert(peer, chain);
    }

    pub(crate) fn remove_peer(&mut self, peer: IdentityId) {
        self.peers.remove(&peer);
    }

    pub(crate) fn any(&self) -> &Chain {
        &self.any
    }

    /// The number of a peer's chain.
    pub(crate) fn class(&self, peer: IdentityId) -> Option<u32> {
        self.peers.get(&peer).copied()
    }

    fn chain(&self, peer: IdentityId) -> Option<&Arc<Chain>> {
        if peer == IdentityId::UNKNOWN {
            return Some(&self.any);
        }
        let index = self.peers.get(&peer)?;
        self.chains.get(usize::try_from(*index).ok()?)
    }

    fn len(&self) -> usize {
        let own = self.peers.keys().filter_map(|peer| self.chain(*peer));
        own.map(|chain| chain.len()).sum::<usize>() + self.any.len()
    }

    fn sorted(&self) -> Vec<(IdentityId, &Arc<Chain>)> {
        let chain = |(peer, index): (&IdentityId, &u32)| {
            Some((*peer, self.chains.get(usize::try_from(*index).ok()?)?))
        };
        let mut peers: Vec<_> = self.peers.iter().filter_map(chain).collect();
        peers.push((IdentityId::UNKNOWN, &self.any));
        peers.retain(|(_, chain)| !chain.is_empty());
        peers.sort_unstable_by_key(|(peer, _)| *peer);
        peers
    }
}

impl PartialEq for Side {
    fn eq(&self, other: &Self) -> bool {
        let (ours, theirs) = (self.sorted(), other.sorted());
        ours.len() == theirs.len()
            && ours
                .iter()
                .zip(&theirs)
                .all(|((peer, chain), (other_peer, other))| {
                    peer == other_peer && (Arc::ptr_eq(chain, other) || chain == other)
                })
    }
}

impl Eq for Side {}

impl MapState {
    pub(crate) fn new([ingress, egress]: [Side; 2]) -> Self {
        Self { ingress, egress }
    }

    pub(crate) fn side(&self, direction: Direction) -> &Side {
        match direction {
            Direction::Ingress => &self.ingress,
            Direction::Egress => &self.egress,
        }
    }

    fn side_mut(&mut self, direction: Direction) -> &mut Side {
        match direction {
            Direction::Ingress => &mut self.ingress,
            Direction::Egress => &mut self.egress,
        }
    }

    /// All entries in key order.
    pub fn iter(&self) -> impl Iterator<Item = (MapKey, MapEntry)> {
        Direction::ALL.into_iter().flat_map(|direction| {
            let peers = self.side(direction).sorted().into_iter();
            peers.flat_map(move |(identity, chain)| {
                chain
                    .iter()
                    .map(move |(key, entry)| (key.with(direction, identity), entry))
            })
        })
    }

    /// The entries of one peer in one direction, in key order; [`IdentityId::UNKNOWN`] asks for
    /// those of any peer.
    pub fn entries_of(
        &self,
        direction: Direction,
        peer: IdentityId,
    ) -> impl Iterator<Item = (MapKey, MapEntry)> {
        let chain = self.side(direction).chain(peer).into_iter();
        chain.flat_map(move |chain| {
            chain
                .iter()
                .map(move |(key, entry)| (key.with(direction, peer), entry))
        })
    }

    /// The peers that have entries of their own in a direction, in no order.
    pub(crate) fn peers(&self, direction: Direction) -> impl Iterator<Item = IdentityId> {
        self.side(direction).peers.keys().copied()
    }

    /// The entry that decides about the whole of a key, but for narrower keys inside.
    pub(crate) fn around(
        &self,
        direction: Direction,
        peer: IdentityId,
        key: PortKey,
    ) -> Option<MapEntry> {
        let side = self.side(direction);
        let own = side.chain(peer).and_then(|chain| chain.around(key));
        match (own, side.any.around(key)) {
            (Some(own), Some(any)) if prevails(any, own) => Some(any.1),
            (own, any) => own.or(any).map(|(_, entry)| entry),
        }
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ingress.len() + self.egress.len()
    }

    /// Whether there is no entry at all: everything is dropped.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The entry with exactly this key.
    #[must_use]
    pub fn get(&self, key: &MapKey) -> Option<MapEntry> {
        self.side(key.direction)
            .chain(key.identity)?
            .get(PortKey::new(key.protocol, key.port))
    }

    /// The entry that decides a question, as the kernel finds it: the longest prefix among the
    /// peer's entries and the longest among those of any peer; of the two the higher precedence,
    /// then the longer prefix, then the peer's own. `None`: nothing covers the packet, it is dropped.
    #[must_use]
    pub fn lookup(&self, query: &Query) -> Option<(MapKey, MapEntry)> {
        let side = self.side(query.direction);
        let find = |chain: &Chain| chain.lookup(query.protocol, query.port);
        let any = find(&side.any);
        let own = side.chain(query.peer).and_then(|chain| find(chain));
        let (identity, (key, entry)) = match (own, any) {
            (Some(own), Some(any)) if prevails(any, own) => (IdentityId::UNKNOWN, any),
            (Some(own), _) => (query.peer, own),
            (None, any) => (IdentityId::UNKNOWN, any?),
        };
        Some((key.with(query.direction, identity), entry))
    }

    /// The digest over all entries.
    #[must_use]
    pub fn content(&self) -> ContentHash {
        let mut hash = Sha256::new();
        for direction in Direction::ALL {
            let peers = self.side(direction).sorted();
            hash.update((peers.len() as u64).to_be_bytes());
            for (peer, chain) in peers {
                hash.update(peer.get().to_be_bytes());
                hash.update(chain.digest());
            }
        }
        ContentHash(hash.finalize().into())
    }

    /// The writes that lead from `old` to this state.
    ///
    /// As long as only entries of single peers differ, as they do when identities come and go, every
    /// flow goes from its old answer to its new one at one of the writes, and has no third in
    /// between. Where the entries of any peer differ too, fill a new table and swap it.
    #[must_use]
    pub fn diff(&self, old: &Self) -> Vec<MapChange> {
        let mut changes = Changes::default();
        for direction in Direction::ALL {
            let (new, old) = (self.side(direction), old.side(direction));
            let known = new.sorted().into_iter().chain(old.sorted());
            let mut peers: Vec<_> = known.map(|(peer, _)| peer).collect();
            peers.sort_unstable();
            peers.dedup();
            for peer in peers {
                changes.compare(direction, peer, old.chain(peer), new.chain(peer));
            }
        }
        changes.ordered()
    }

    /// Lets `replace` give a peer another chain, and returns the writes that lead there.
    pub(crate) fn replace_peer(
        &mut self,
        direction: Direction,
        peer: IdentityId,
        replace: impl FnOnce(&mut Side),
    ) -> Vec<MapChange> {
        let side = self.side_mut(direction);
        let old = side.chain(peer).map(Arc::clone);
        replace(side);
        let mut changes = Changes::default();
        changes.compare(direction, peer, old.as_ref(), side.chain(peer));
        changes.ordered()
    }
}

/// Whether an entry of any peer beats the peer's own.
pub(crate) fn prevails(any: (PortKey, MapEntry), own: (PortKey, MapEntry)) -> bool {
    (any.1.precedence, any.0.prefix_len()) > (own.1.precedence, own.0.prefix_len())
}

/// Entries to be set, and entries to be taken away with what they say.
#[derive(Default)]
struct Changes {
    sets: Vec<(MapKey, MapEntry)>,
    removes: Vec<(MapKey, MapEntry)>,
}

impl Changes {
    fn compare(
        &mut self,
        direction: Direction,
        peer: IdentityId,
        old: Option<&Arc<Chain>>,
        new: Option<&Arc<Chain>>,
    ) {
        if let (Some(new), Some(old)) = (new, old)
            && Arc::ptr_eq(new, old)
        {
            return;
        }
        for (key, entry) in new.into_iter().flat_map(|chain| chain.iter()) {
            if old.and_then(|old| old.get(key)) != Some(entry) {
                self.sets.push((key.with(direction, peer), entry));
            }
        }
        for (key, entry) in old.into_iter().flat_map(|chain| chain.iter()) {
            if new.is_none_or(|new| new.get(key).is_none()) {
                self.removes.push((key.with(direction, peer), entry));
            }
        }
    }

    /// Narrow before broad, then broad before narrow: a flow's answer goes from the old to the new
    /// at once. Before its new entry is set no broader new one is, and when its old entry is taken
    /// away no broader old one is left. Between equals what restricts comes first.
    fn ordered(mut self) -> Vec<MapChange> {
        let restricts = |entry: &MapEntry| match entry.action.verdict() {
            Verdict::Deny => 0,
            Verdict::Redirect => 1,
            Verdict::Allow => 2,
        };
        self.sets
            .sort_by_key(|(key, entry)| (Reverse(key.prefix_len()), restricts(entry)));
        self.removes
            .sort_by_key(|(key, entry)| (key.prefix_len(), Reverse(restricts(entry))));
        let sets = self
            .sets
            .into_iter()
            .map(|(key, entry)| MapChange::Set(key, entry));
        sets.chain(
            self.removes
                .into_iter()
                .map(|(key, _)| MapChange::Remove(key)),
        )
        .collect()
    }
}

impl PortKey {
    fn with(self, direction: Direction, identity: IdentityId) -> MapKey {
        MapKey {
            direction,
            identity,
            protocol: self.protocol,
            port: self.port,
        }
    }
}

impl FromIterator<(MapKey, MapEntry)> for MapState {
    fn from_iter<T: IntoIterator<Item = (MapKey, MapEntry)>>(entries: T) -> Self {
        let mut peers: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (key, entry) in entries {
            let key_in_chain = PortKey::new(key.protocol, key.port);
            peers
                .entry((key.direction, key.identity))
                .or_default()
                .push((key_in_chain, entry));
        }
        let mut state = Self::default();
        for ((direction, peer), entries) in peers {
            let chain = Arc::new(Chain::new(entries));
            let side = state.side_mut(direction);
            if peer == IdentityId::UNKNOWN {
                side.any = chain;
            } else {
                let index = side.add_chain(chain);
                side.set_peer(peer, index);
            }
        }
        state
    }
}

impl fmt::Debug for MapState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl ContentHash {
    /// The digest's bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Hashes identity numbers, which are spread already, by one multiplication.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct IdentityHasher(u64);

pub(crate) type IdentityHash = BuildHasherDefault<IdentityHasher>;

impl Hasher for IdentityHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u32(u32::from(*byte));
        }
    }

    fn write_u32(&mut self, number: u32) {
        self.0 = (self.0 ^ u64::from(number))
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .rotate_left(26);
    }
}
