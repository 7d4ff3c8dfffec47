//! From contributions to chains of table entries.

use std::cmp::Ordering;

use crate::chain::{Chain, PortKey};
use crate::contribution::{Contribution, Does, merged, weigh};
use crate::map_state::prevails;
use crate::{MapEntry, Semantics};

/// The chain of any peer. `any` comes strongest first.
pub(crate) fn any_chain(any: &[Contribution], semantics: Semantics) -> Chain {
    peer_chain(&[], any, &Chain::default(), semantics, Keys::All)
}

/// The chain of a peer whose own contributions are `own`, beside the chain of any peer. It holds
/// what differs from the answers that the lookup gives without it.
pub(crate) fn own_chain(
    own: &[Contribution],
    any: &[Contribution],
    any_chain: &Chain,
    semantics: Semantics,
) -> Chain {
    peer_chain(own, any, any_chain, semantics, Keys::Own)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Keys {
    All,
    Own,
}

fn peer_chain(
    own: &[Contribution],
    any: &[Contribution],
    any_chain: &Chain,
    semantics: Semantics,
    which: Keys,
) -> Chain {
    let inspects =
        |list: &[Contribution]| list.iter().any(|c| matches!(c.does, Does::Inspect { .. }));
    // The flag of a redirect depends on both lists; everything else is a comparison of two entries.
    let entangled = which == Keys::All || inspects(own) || inspects(any);
    let mut entries: Vec<(PortKey, MapEntry)> = Vec::new();
    let mut open: Vec<(PortKey, MapEntry)> = Vec::new();
    for key in keys(own, any, entangled, which) {
        let wanted = if entangled {
            weigh(merged(any, own).filter(|c| c.key.contains(key)), semantics)
        } else {
            let own = weigh(own.iter().filter(|c| c.key.contains(key)), semantics);
            let any = any_chain.around(key).map(|(_, entry)| entry);
            match (own, any) {
                (Some(own), Some(any)) if any.precedence.cmp(&own.precedence) != Ordering::Less => {
                    Some(any)
                }
                (own, any) => own.or(any),
            }
        };
        while open.last().is_some_and(|(outer, _)| !outer.contains(key)) {
            open.pop();
        }
        let found = match (open.last().copied(), any_chain.around(key)) {
            (Some(own), Some(any)) if prevails(any, own) => Some(any),
            (own, any) => own.or(any),
        };
        if let Some(wanted) = wanted
            && found.map(|(_, entry)| entry) != Some(wanted)
        {
            entries.push((key, wanted));
            open.push((key, wanted));
        }
    }
    Chain::new(entries)
}

/// The keys at which an answer can change, broader before narrower.
fn keys(own: &[Contribution], any: &[Contribution], entangled: bool, which: Keys) -> Vec<PortKey> {
    let mut keys: Vec<PortKey> = own.iter().map(|c| c.key).collect();
    keys.sort_unstable();
    keys.dedup();
    let all = which == Keys::All;
    if entangled {
        let outer = keys.clone();
        let inside = |key: &PortKey| all || outer.iter().any(|outer| outer.contains(*key));
        keys.extend(any.iter().map(|c| c.key).filter(inside));
        keys.sort_unstable();
        keys.dedup();
    }
    keys
}
