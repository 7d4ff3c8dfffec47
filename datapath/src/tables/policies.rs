//! Policy tables: one per distinct content, shared by the endpoints that have it.

use std::collections::BTreeMap;

use porin_identity::IdentityId;
use porin_policy::{
    AuthMode, ContentHash, Direction, EntryAction, MapChange, MapEntry, MapKey, MapState, Parser,
    PortPrefix, Precedence, Protocol, Redirect, RuleCookie,
};

use super::Slots;
use crate::abi::{PolicyEntry, PolicyKey, TABLES_MAX};
use crate::config::Limits;
use crate::error::{ApplyError, MapError};
use crate::object::policy_table;
use crate::sys::{Map, MapOfMaps, MapShape, TypedMap};

/// The slot that is never given out: an empty table, which denies everything.
const EMPTY: u32 = 0;

const DENY: u8 = 0;
const ALLOW: u8 = 1;
const REDIRECT: u8 = 2;
const REDIRECT_UNRESTRICTED: u8 = 3;

const AUTH_REQUIRED: u8 = 1;
const AUTH_FAILS: u8 = 2;

const PARSERS: [Parser; 6] = [
    Parser::Http,
    Parser::Kafka,
    Parser::Dns,
    Parser::Tls,
    Parser::Listener,
    Parser::Other,
];

/// The array of policy tables, and who uses which.
#[derive(Debug)]
pub(crate) struct PolicyTables {
    outer: MapOfMaps<u32>,
    empty: Map,
    slots: Slots,
    by_content: BTreeMap<ContentHash, u32>,
    used: BTreeMap<u32, Use>,
    entries_max: u32,
    /// Tables that are held open.
    open: usize,
}

/// How many tables are held open for edits to come; the others are opened for each. A process has
/// a thousand descriptors unless it asks for more.
const OPEN: usize = 256;

#[derive(Debug)]
struct Use {
    /// Unknown for a table that was adopted or edited.
    content: Option<ContentHash>,
    /// No more than so many. Unknown for a table that was adopted.
    entries: Option<usize>,
    /// Held open for edits to come.
    table: Option<PolicyTable>,
    endpoints: usize,
}

/// Tables that are in place but in force for nobody yet.
#[derive(Debug)]
#[must_use]
pub(crate) struct Staged {
    /// The slot for each content asked for.
    pub(crate) slots: BTreeMap<ContentHash, u32>,
    /// How many of them are new.
    pub(crate) built: usize,
}

impl PolicyTables {
    /// Takes over the outer map and puts the empty table into its first slot.
    pub(crate) fn new(map: Map, shape: &MapShape, limits: &Limits) -> Result<Self, MapError> {
        let outer = MapOfMaps::new(map, shape)?;
        let empty = Map::create("policy", &policy_table(0))?;
        outer.set(&EMPTY, &empty)?;
        let end = (limits.policies + 1).min(TABLES_MAX);
        Ok(Self {
            outer,
            empty,
            slots: Slots::new(EMPTY + 1, end),
            by_content: BTreeMap::new(),
            used: BTreeMap::new(),
            entries_max: limits.policy_entries,
            open: 0,
        })
    }

    /// Counts an endpoint that was found using a slot.
    pub(crate) fn adopt(&mut self, slot: u32) {
        if slot == EMPTY {
            return;
        }
        self.slots.occupy(slot);
        self.used
            .entry(slot)
            .or_insert(Use {
                content: None,
                entries: None,
                table: None,
                endpoints: 0,
            })
            .endpoints += 1;
    }

    /// Builds the tables that are lacking and puts all of them in place with
    /// one call. Nothing is in force by this. When it fails nothing has changed.
    pub(crate) fn stage(
        &mut self,
        states: &BTreeMap<ContentHash, &MapState>,
    ) -> Result<Staged, ApplyError> {
        let lacking: Vec<_> = states
            .iter()
            .filter(|(content, _)| !self.by_content.contains_key(content))
            .collect();
        self.check(lacking.iter().map(|(_, state)| state.len()), lacking.len())?;
        if self.slots.available() < lacking.len() {
            self.wait_grace()?;
        }
        let mut built = Vec::with_capacity(lacking.len());
        for (content, state) in &lacking {
            let table = build(state, self.entries_max)?;
            built.push((**content, table, state.len()));
        }
        let count = built.len();
        self.place(built)?;
        let slots = states
            .keys()
            .filter_map(|content| Some((*content, *self.by_content.get(content)?)))
            .collect();
        Ok(Staged {
            slots,
            built: count,
        })
    }

    /// Puts tables into free slots, all or none, and waits for a grace period.
    fn place(&mut self, tables: Vec<(ContentHash, PolicyTable, usize)>) -> Result<(), ApplyError> {
        if tables.is_empty() {
            return Ok(());
        }
        let slots: Vec<u32> = tables.iter().map_while(|_| self.slots.take()).collect();
        let batch: Vec<_> = slots
            .iter()
            .zip(&tables)
            .map(|(slot, (_, table, _))| (*slot, table.map()))
            .collect();
        let placed = if slots.len() == tables.len() {
            self.outer.set_batch(&batch).map_err(ApplyError::from)
        } else {
            Err(self.too_many(tables.len()))
        };
        if placed.is_err() {
            slots.iter().for_each(|slot| self.slots.untake(*slot));
            return placed;
        }
        self.slots.rested();
        for (slot, (content, table, entries)) in slots.iter().zip(tables) {
            self.by_content.insert(content, *slot);
            let held = self.open < OPEN;
            self.open += usize::from(held);
            let unused = Use {
                content: Some(content),
                entries: Some(entries),
                table: held.then_some(table),
                endpoints: 0,
            };
            self.used.insert(*slot, unused);
        }
        Ok(())
    }

    fn check(&self, sizes: impl Iterator<Item = usize>, tables: usize) -> Result<(), ApplyError> {
        let largest = sizes.max().unwrap_or(0);
        let capacity = self.entries_max as usize;
        if largest > capacity {
            return Err(ApplyError::Capacity {
                what: "a policy table",
                needed: largest,
                capacity,
            });
        }
        if tables > self.slots.obtainable() {
            return Err(self.too_many(tables));
        }
        Ok(())
    }

    fn too_many(&self, tables: usize) -> ApplyError {
        ApplyError::Capacity {
            what: "the set of policy tables",
            needed: self.slots.capacity() - self.slots.obtainable() + tables,
            capacity: self.slots.capacity(),
        }
    }

    /// Waits until no program holds a slot that was given back before: the
    /// kernel answers a change of this map after a grace period (RCU).
    pub(crate) fn wait_grace(&mut self) -> Result<(), MapError> {
        self.outer.set(&EMPTY, &self.empty)?;
        self.slots.rested();
        Ok(())
    }

    /// An endpoint uses a slot now.
    pub(crate) fn acquire(&mut self, slot: u32) {
        if let Some(used) = self.used.get_mut(&slot) {
            used.endpoints += 1;
        }
    }

    /// An endpoint does not use a slot any more.
    pub(crate) fn release(&mut self, slot: u32) {
        let Some(used) = self.used.get_mut(&slot) else {
            return;
        };
        used.endpoints = used.endpoints.saturating_sub(1);
        if used.endpoints == 0 {
            self.discard(slot);
        }
    }

    /// Gives back staged tables that nobody came to use.
    pub(crate) fn sweep(&mut self, staged: &Staged) {
        for slot in staged.slots.values() {
            if self.used.get(slot).is_some_and(|used| used.endpoints == 0) {
                self.discard(*slot);
            }
        }
    }

    fn discard(&mut self, slot: u32) {
        if let Some(used) = self.used.remove(&slot) {
            self.open -= usize::from(used.table.is_some());
            if let Some(content) = used.content {
                self.by_content.remove(&content);
            }
        }
        self.slots.retire(slot);
    }

    /// Whether a table that `endpoints` use, and nobody else, can be edited in place. Entries of any
    /// peer cannot: between two writes a flow would have an answer that is neither old nor new.
    pub(crate) fn may_edit(&self, slot: u32, endpoints: usize, changes: &[MapChange]) -> bool {
        let of_one_peer = |change: &MapChange| {
            let (MapChange::Set(key, _) | MapChange::Remove(key)) = change;
            key.identity != IdentityId::UNKNOWN
        };
        // Whether a key is new the table would have to be asked: all count.
        let sets = |change: &&MapChange| matches!(change, MapChange::Set(..));
        let added = changes.iter().filter(sets).count();
        let used = self
            .used
            .get(&slot)
            .filter(|used| used.endpoints == endpoints);
        let entries = used.and_then(|used| used.entries);
        let fits = entries.is_some_and(|entries| entries + added <= self.entries_max as usize);
        fits && changes.iter().all(of_one_peer)
    }

    /// Edits a table in place, one change after the other. After a failure some of them may have
    /// happened.
    pub(crate) fn edit(&mut self, slot: u32, changes: &[MapChange]) -> Result<(), MapError> {
        let is_set = |change: &MapChange| matches!(change, MapChange::Set(..));
        let sets = changes.iter().filter(|change| is_set(change)).count();
        let opened = match self.used.get(&slot) {
            Some(Use { table: Some(_), .. }) => None,
            _ => self.table(slot)?,
        };
        let Some(used) = self.used.get_mut(&slot) else {
            return Ok(());
        };
        // From here on it is not what others may take for its old content.
        if let Some(content) = used.content.take() {
            self.by_content.remove(&content);
        }
        // Keys that are set anew count twice: rather too many than too few.
        let left = |entries: usize| (entries + sets).saturating_sub(changes.len() - sets);
        used.entries = used.entries.map(left);
        if let Some(table) = used.table.as_ref().or(opened.as_ref()) {
            for run in changes.chunk_by(|a, b| is_set(a) == is_set(b)) {
                write(table, run)?;
            }
        }
        Ok(())
    }

    /// Tables that are in use.
    pub(crate) fn in_use(&self) -> usize {
        self.used.len()
    }

    /// How many there may be.
    pub(crate) fn capacity(&self) -> usize {
        self.slots.capacity()
    }

    /// The slots in use, with the endpoints of each.
    pub(crate) fn uses(&self) -> impl Iterator<Item = (u32, usize)> {
        self.used.iter().map(|(slot, used)| (*slot, used.endpoints))
    }

    /// Entries of the fullest table: those that the kernel may hold, or, of an adopted one, that it
    /// does hold.
    pub(crate) fn fullest(&self) -> Result<usize, MapError> {
        self.used.iter().try_fold(0, |most, (slot, used)| {
            let entries = match used.entries {
                Some(entries) => entries,
                None => self.dump(*slot)?.len(),
            };
            Ok(most.max(entries))
        })
    }

    /// What the kernel holds in a slot.
    pub(crate) fn dump(&self, slot: u32) -> Result<Vec<(PolicyKey, PolicyEntry)>, MapError> {
        self.table(slot)?
            .map_or(Ok(Vec::new()), |table| table.entries())
    }

    fn table(&self, slot: u32) -> Result<Option<PolicyTable>, MapError> {
        let Some(id) = self.outer.get(&slot)? else {
            return Ok(None);
        };
        let map = Map::from_id(id).map_err(|source| MapError::Call {
            map: "policy".to_owned(),
            source,
        })?;
        let entries = map.info().shape.max_entries;
        TypedMap::new(map, &policy_table(entries)).map(Some)
    }
}

type PolicyTable = TypedMap<PolicyKey, PolicyEntry>;

/// Changes of one kind.
fn write(table: &PolicyTable, run: &[MapChange]) -> Result<(), MapError> {
    let (mut keys, mut entries) = (Vec::with_capacity(run.len()), Vec::with_capacity(run.len()));
    for change in run {
        let (MapChange::Set(key, _) | MapChange::Remove(key)) = change;
        keys.push(encode_key(key));
        if let MapChange::Set(key, entry) = change {
            entries.push(encode_entry(key, entry));
        }
    }
    if entries.is_empty() {
        table.remove_batch(&keys)
    } else {
        table.set_batch(&keys, &entries)
    }
}

/// A table of its own, with room to grow: it takes memory as entries come.
fn build(state: &MapState, room: u32) -> Result<PolicyTable, ApplyError> {
    let table = PolicyTable::create("policy", &policy_table(room))?;
    let (keys, values): (Vec<_>, Vec<_>) = state
        .iter()
        .map(|(key, entry)| (encode_key(&key), encode_entry(&key, &entry)))
        .unzip();
    table.set_batch(&keys, &values)?;
    Ok(table)
}

/// The kernel's form of a key; `bpf/abi.h` draws it.
fn encode_key(key: &MapKey) -> PolicyKey {
    PolicyKey {
        length: 40 + u32::from(key.prefix_len()),
        identity: key.identity.get(),
        direction: direction_number(key.direction),
        protocol: key.protocol.get(),
        port: key.port.port().to_be_bytes(),
    }
}

fn encode_entry(key: &MapKey, entry: &MapEntry) -> PolicyEntry {
    let redirect = entry.action.redirect();
    let parser = redirect.and_then(|to| PARSERS.iter().position(|parser| *parser == to.parser));
    PolicyEntry {
        precedence: entry.precedence.get(),
        cookie: entry.cookie.get(),
        action: match (entry.action, redirect) {
            (EntryAction::Deny, _) => DENY,
            (EntryAction::Allow, _) => ALLOW,
            (EntryAction::Redirect(to), _) if to.unrestricted => REDIRECT_UNRESTRICTED,
            (EntryAction::Redirect(_), _) => REDIRECT,
        },
        parser: parser
            .and_then(|at| u8::try_from(at).ok())
            .unwrap_or(u8::MAX),
        prefix: key.prefix_len(),
        auth: match entry.auth {
            AuthMode::Disabled => 0,
            AuthMode::Required => AUTH_REQUIRED,
            AuthMode::AlwaysFail => AUTH_FAILS,
        },
    }
}

/// A key as policy means it; `None` if no build of ours wrote it.
pub(crate) fn decode_key(key: &PolicyKey) -> Option<MapKey> {
    let fixed = u8::try_from(key.length.checked_sub(40)?).ok()?;
    let port = u16::from_be_bytes(key.port);
    Some(MapKey {
        direction: direction_of(key.direction)?,
        identity: IdentityId::new(key.identity),
        protocol: Protocol::new(key.protocol),
        port: match fixed {
            0 | 8 => PortPrefix::ALL,
            9..=24 => PortPrefix::new(port, fixed - 8),
            _ => return None,
        },
    })
}

/// An entry as policy means it; `None` if no build of ours wrote it.
pub(crate) fn decode_entry(entry: &PolicyEntry) -> Option<MapEntry> {
    let redirect = |unrestricted| {
        let parser = *PARSERS.get(usize::from(entry.parser))?;
        Some(EntryAction::Redirect(Redirect {
            parser,
            unrestricted,
        }))
    };
    Some(MapEntry {
        action: match entry.action {
            DENY => EntryAction::Deny,
            ALLOW => EntryAction::Allow,
            REDIRECT => redirect(false)?,
            REDIRECT_UNRESTRICTED => redirect(true)?,
            _ => return None,
        },
        auth: match entry.auth {
            0 => AuthMode::Disabled,
            AUTH_REQUIRED => AuthMode::Required,
            AUTH_FAILS => AuthMode::AlwaysFail,
            _ => return None,
        },
        precedence: Precedence::new(entry.precedence),
        cookie: RuleCookie::new(entry.cookie),
    })
}

const fn direction_number(direction: Direction) -> u8 {
    match direction {
        Direction::Ingress => 0,
        Direction::Egress => 1,
    }
}

/// The direction with the number of `bpf/abi.h`.
pub(crate) const fn direction_of(number: u8) -> Option<Direction> {
    match number {
        0 => Some(Direction::Ingress),
        1 => Some(Direction::Egress),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_entries_are_read_back() {
        let redirect = Redirect {
            parser: Parser::Kafka,
            unrestricted: false,
        };
        let actions = [
            EntryAction::Allow,
            EntryAction::Deny,
            EntryAction::Redirect(redirect),
        ];
        for direction in Direction::ALL {
            for (protocol, port) in [
                (Protocol::ANY, PortPrefix::ALL),
                (Protocol::UDP, PortPrefix::ALL),
                (Protocol::TCP, PortPrefix::exact(443)),
                (Protocol::SCTP, PortPrefix::new(8080, 12)),
            ] {
                for action in actions {
                    let key = MapKey {
                        direction,
                        identity: IdentityId::new(1234),
                        protocol,
                        port,
                    };
                    let entry = MapEntry {
                        action,
                        auth: AuthMode::Disabled,
                        precedence: Precedence::new(77),
                        cookie: RuleCookie::new(99),
                    };
                    assert_eq!(decode_key(&encode_key(&key)), Some(key));
                    assert_eq!(decode_entry(&encode_entry(&key, &entry)), Some(entry));
                }
            }
        }
    }
}
