//! From contributions to chains of table entries.

use std::cmp::Ordering;

use crate::MapEntry;
use crate::chain::{Chain, PortKey};
use crate::contribution::{Contribution, Does, merged};
use crate::map_state::prevails;
use crate::weigh::Scale;

/// The chain of any peer. `any` comes strongest first.
pub(crate) fn any_chain(any: &[Contribution], scale: Scale) -> Chain {
    peer_chain(&[], any, &Chain::default(), scale, Keys::All)
}

/// The chain of a peer whose own contributions are `own`, beside the chain of any peer. It holds
/// what differs from the answers that the lookup gives without it.
pub(crate) fn own_chain(
    own: &[Contribution],
    any: &[Contribution],
    any_chain: &Chain,
    scale: Scale,
) -> Chain {
    peer_chain(own, any, any_chain, scale, Keys::Own)
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
    scale: Scale,
    which: Keys,
) -> Chain {
    let inspects = |list: &[Contribution]| list.iter().any(|c| matches!(c.does, Does::Inspect(_)));
    // Whether a redirect restricts, what authentication is asked for and what a pass leads to depend on
    // both lists; everything else is a comparison of two entries.
    let depends = scale.asks || scale.passes || inspects(own) || inspects(any);
    let entangled = which == Keys::All || depends;
    let mut entries: Vec<(PortKey, MapEntry)> = Vec::new();
    let mut open: Vec<(PortKey, MapEntry)> = Vec::new();
    let mut ours = Covering::new(own);
    let mut everybodys = Covering::new(if entangled { any } else { &[] });
    for key in keys(own, any, entangled, which) {
        let wanted = if entangled {
            scale.weigh(merged(everybodys.of(key), ours.of(key)))
        } else {
            let own = scale.weigh(ours.of(key).iter());
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

/// The contributions that cover a key, for keys that come in their order, broader before narrower.
struct Covering {
    /// By key, the broader and then the stronger first.
    sorted: Vec<Contribution>,
    next: usize,
    /// Those around the last key, the narrowest last.
    around: Vec<Contribution>,
    /// The same, the strongest first.
    ranked: Vec<Contribution>,
}

impl Covering {
    fn new(contributions: &[Contribution]) -> Self {
        let mut sorted = contributions.to_vec();
        sorted.sort_by_key(|c| c.key);
        Self {
            sorted,
            next: 0,
            around: Vec::new(),
            ranked: Vec::new(),
        }
    }

    /// Those that cover `key`, strongest first. Keys must come in ascending order.
    fn of(&mut self, key: PortKey) -> &[Contribution] {
        let mut changed = false;
        while self
            .around
            .last()
            .is_some_and(|last| !last.key.contains(key))
        {
            self.around.pop();
            changed = true;
        }
        while let Some(next) = self.sorted.get(self.next).filter(|next| next.key <= key) {
            self.next += 1;
            if next.key.contains(key) {
                self.around.push(*next);
                changed = true;
            }
        }
        if changed {
            self.ranked.clone_from(&self.around);
            self.ranked.sort_unstable_by_key(Contribution::rank);
        }
        &self.ranked
    }
}

/// The keys at which an answer can change, broader before narrower.
fn keys(own: &[Contribution], any: &[Contribution], entangled: bool, which: Keys) -> Vec<PortKey> {
    let mut keys: Vec<PortKey> = own.iter().map(|c| c.key).collect();
    keys.sort_unstable();
    keys.dedup();
    if entangled {
        let mut others: Vec<PortKey> = any.iter().map(|c| c.key).collect();
        others.sort_unstable();
        others.dedup();
        let mut ours = Covering::new(own);
        others.retain(|key| which == Keys::All || !ours.of(*key).is_empty());
        keys.append(&mut others);
        keys.sort_unstable();
        keys.dedup();
    }
    keys
}
