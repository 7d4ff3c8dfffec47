//! What changes for whom between two policies of one endpoint.

use std::fmt;

use porin_identity::IdentityId;

use crate::chain::PortKey;
use crate::endpoint::EndpointPolicy;
use crate::map_state::MapState;
use crate::{Direction, EntryAction, PortPrefix, Protocol};

/// A set of flows that two policies treat differently.
///
/// Flows of a narrower block of ports that has a difference of its own, or none, are not meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Difference {
    /// Which way the connection is opened.
    pub direction: Direction,
    /// The other side; [`IdentityId::UNKNOWN`] stands for everybody who is not listed.
    pub peer: IdentityId,
    /// The protocol; [`Protocol::ANY`] stands for every protocol that is not listed.
    pub protocol: Protocol,
    /// The destination ports.
    pub port: PortPrefix,
    /// What happened before; `None` for default deny.
    pub before: Option<EntryAction>,
    /// What happens now; `None` for default deny.
    pub after: Option<EntryAction>,
}

impl EndpointPolicy {
    /// What this policy treats differently from `old`, in the order of keys. Two policies that
    /// decide alike for other reasons have no difference.
    #[must_use]
    pub fn differences(&self, old: &Self) -> Vec<Difference> {
        let (new, old) = (self.map_state(), old.map_state());
        let mut differences = Vec::new();
        for direction in Direction::ALL {
            let mut peers: Vec<_> = new.peers(direction).chain(old.peers(direction)).collect();
            peers.push(IdentityId::UNKNOWN);
            peers.sort_unstable();
            peers.dedup();
            for peer in peers {
                compare(new, old, direction, peer, &mut differences);
            }
        }
        let others = |found: &Difference| {
            let same = |other: &Difference| {
                Difference {
                    peer: found.peer,
                    ..*other
                } == *found
                    && other.peer == IdentityId::UNKNOWN
            };
            found.peer == IdentityId::UNKNOWN || !differences.iter().any(same)
        };
        differences
            .iter()
            .filter(|found| others(found))
            .copied()
            .collect()
    }
}

fn compare(
    new: &MapState,
    old: &MapState,
    direction: Direction,
    peer: IdentityId,
    differences: &mut Vec<Difference>,
) {
    let mut keys = vec![PortKey::ANY];
    for state in [new, old] {
        for identity in [IdentityId::UNKNOWN, peer] {
            let entries = state.entries_of(direction, identity);
            keys.extend(entries.map(|(key, _)| PortKey::new(key.protocol, key.port)));
        }
    }
    keys.sort_unstable();
    keys.dedup();
    let action =
        |state: &MapState, key| state.around(direction, peer, key).map(|entry| entry.action);
    let mut open: Vec<(PortKey, [Option<EntryAction>; 2])> = Vec::new();
    for key in keys {
        while open.last().is_some_and(|(outer, _)| !outer.contains(key)) {
            open.pop();
        }
        let [before, after] = [action(old, key), action(new, key)];
        let told = open
            .last()
            .is_some_and(|(_, outer)| *outer == [before, after]);
        if before != after && !told {
            let PortKey { protocol, port } = key;
            differences.push(Difference {
                direction,
                peer,
                protocol,
                port,
                before,
                after,
            });
        }
        open.push((key, [before, after]));
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = |action: Option<EntryAction>| match action {
            Some(EntryAction::Redirect(redirect)) => format!("redirected to {redirect}"),
            Some(action) => action.verdict().to_string(),
            None => "denied by default".to_owned(),
        };
        let Self {
            direction,
            peer,
            protocol,
            port,
            ..
        } = self;
        let (before, after) = (verdict(self.before), verdict(self.after));
        write!(
            f,
            "{direction} {peer} {protocol}:{port}: {before}, now {after}"
        )
    }
}
