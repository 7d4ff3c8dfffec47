use std::sync::OnceLock;

use sha2::{Digest, Sha256};

use crate::{EntryAction, MapEntry, PortPrefix, Protocol};

/// The entries of one peer in one direction, found by longest prefix.
///
/// Keys nest or are disjoint, so the entry before a point in key order or one of the entries
/// around it is the answer; each entry knows the one around it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Chain {
    links: Box<[Link]>,
    /// Made when it is asked for.
    digest: OnceLock<[u8; 32]>,
}

/// Protocol and block of ports: a map key without direction and identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct PortKey {
    pub(crate) protocol: Protocol,
    pub(crate) port: PortPrefix,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Link {
    key: PortKey,
    around: u32,
    entry: MapEntry,
}

const NOTHING_AROUND: u32 = u32::MAX;

impl PortKey {
    pub(crate) const ANY: Self = Self {
        protocol: Protocol::ANY,
        port: PortPrefix::ALL,
    };

    pub(crate) fn new(protocol: Protocol, port: PortPrefix) -> Self {
        if protocol.is_any() {
            Self::ANY
        } else {
            Self { protocol, port }
        }
    }

    pub(crate) fn covers(self, protocol: Protocol, port: u16) -> bool {
        self.contains(Self {
            protocol,
            port: PortPrefix::exact(port),
        })
    }

    pub(crate) fn contains(self, other: Self) -> bool {
        self.protocol.is_any()
            || (self.protocol == other.protocol && self.port.contains(other.port))
    }

    pub(crate) fn prefix_len(self) -> u8 {
        if self.protocol.is_any() {
            0
        } else {
            8 + self.port.bits()
        }
    }
}

impl PartialEq for Chain {
    fn eq(&self, other: &Self) -> bool {
        self.links == other.links
    }
}

impl Eq for Chain {}

impl Chain {
    /// Builds a chain; of two entries with one key the later stays.
    pub(crate) fn new(mut entries: Vec<(PortKey, MapEntry)>) -> Self {
        entries.sort_by_key(|(key, _)| *key);
        entries.dedup_by(|later, earlier| {
            let same = later.0 == earlier.0;
            if same {
                earlier.1 = later.1;
            }
            same
        });
        Self::from_sorted(entries)
    }

    /// Builds a chain of entries that stand in the order of their keys, each key once.
    pub(crate) fn from_sorted(entries: Vec<(PortKey, MapEntry)>) -> Self {
        let mut open: Vec<(u32, PortKey)> = Vec::new();
        let mut links = Vec::with_capacity(entries.len());
        for (index, (key, entry)) in (0_u32..).zip(entries) {
            while open.last().is_some_and(|(_, outer)| !outer.contains(key)) {
                open.pop();
            }
            let around = open.last().map_or(NOTHING_AROUND, |(index, _)| *index);
            open.push((index, key));
            links.push(Link { key, around, entry });
        }
        Self {
            links: links.into_boxed_slice(),
            digest: OnceLock::new(),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.links.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.links.len()
    }

    pub(crate) fn digest(&self) -> &[u8; 32] {
        self.digest.get_or_init(|| digest(&self.links))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (PortKey, MapEntry)> {
        self.links.iter().map(|link| (link.key, link.entry))
    }

    pub(crate) fn get(&self, key: PortKey) -> Option<MapEntry> {
        let at = self
            .links
            .binary_search_by_key(&key, |link| link.key)
            .ok()?;
        self.links.get(at).map(|link| link.entry)
    }

    /// The entry with the longest prefix that covers a protocol and port.
    pub(crate) fn lookup(&self, protocol: Protocol, port: u16) -> Option<(PortKey, MapEntry)> {
        self.around(PortKey {
            protocol,
            port: PortPrefix::exact(port),
        })
    }

    /// The entry with the longest prefix that covers the whole of a key.
    pub(crate) fn around(&self, key: PortKey) -> Option<(PortKey, MapEntry)> {
        let after = self.links.partition_point(|link| link.key <= key);
        let mut at = after.checked_sub(1)?;
        loop {
            let link = self.links.get(at)?;
            if link.key.contains(key) {
                return Some((link.key, link.entry));
            }
            at = usize::try_from(link.around).ok()?;
        }
    }
}

fn digest(links: &[Link]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for Link { key, entry, .. } in links {
        let (kind, parser, open) = match entry.action {
            EntryAction::Deny => (0, 0, 0),
            EntryAction::Allow => (1, 0, 0),
            EntryAction::Redirect(redirect) => {
                (2, redirect.parser as u8, u8::from(redirect.unrestricted))
            }
        };
        hash.update([
            key.protocol.get(),
            key.port.bits(),
            kind,
            parser,
            open,
            entry.auth as u8,
        ]);
        hash.update(key.port.port().to_be_bytes());
        hash.update(entry.precedence.get().to_be_bytes());
        hash.update(entry.cookie.get().to_be_bytes());
    }
    hash.finalize().into()
}
