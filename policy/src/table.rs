//! From contributions to chains of table entries.

use crate::chain::{Chain, PortKey};
use crate::contribution::{Contribution, Does, merged};
use crate::map_state::prevails;
use crate::weigh::Scale;
use crate::{AuthMode, EntryAction, MapEntry};

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
    if which == Keys::Own && !depends {
        return plain_chain(own, any_chain);
    }
    let mut entries: Vec<(PortKey, MapEntry)> = Vec::new();
    let mut open: Vec<(PortKey, MapEntry)> = Vec::new();
    let mut ours = Covering::new(own);
    let mut everybodys = Covering::new(any);
    for key in keys(own, any, which) {
        let wanted = scale.weigh(merged(everybodys.of(key), ours.of(key)));
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
    Chain::from_sorted(entries)
}

/// The chain of a peer where every answer is that of the strongest contribution alone. `own` comes
/// strongest first.
fn plain_chain(own: &[Contribution], any_chain: &Chain) -> Chain {
    let mut sorted: Vec<&Contribution> = own.iter().collect();
    sorted.sort_by_key(|c| c.key);
    let mut strongest: Vec<(PortKey, &Contribution)> = Vec::new();
    let mut entries: Vec<(PortKey, MapEntry)> = Vec::with_capacity(sorted.len());
    let mut open: Vec<(PortKey, MapEntry)> = Vec::new();
    let mut last = None;
    for c in sorted {
        let key = c.key;
        if last.replace(key) == Some(key) {
            continue;
        }
        strongest.retain(|(outer, _)| outer.contains(key));
        let best = match strongest.last() {
            Some((_, outer)) if outer.rank() <= c.rank() => *outer,
            _ => c,
        };
        strongest.push((key, best));
        let any = any_chain.around(key);
        let wanted = match any {
            Some((_, any)) if any.precedence >= best.precedence => any,
            _ => alone(best),
        };
        open.retain(|(outer, _)| outer.contains(key));
        let found = match (open.last().copied(), any) {
            (Some(own), Some(any)) if prevails(any, own) => Some(any),
            (own, any) => own.or(any),
        };
        if found.map(|(_, entry)| entry) != Some(wanted) {
            entries.push((key, wanted));
            open.push((key, wanted));
        }
    }
    Chain::from_sorted(entries)
}

/// The entry of a contribution that nothing else has a say beside.
fn alone(c: &Contribution) -> MapEntry {
    MapEntry {
        action: match c.does {
            Does::Deny => EntryAction::Deny,
            Does::Allow | Does::Pass | Does::Inspect(_) => EntryAction::Allow,
        },
        auth: AuthMode::Disabled,
        precedence: c.precedence,
        cookie: c.cookie,
    }
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
fn keys(own: &[Contribution], any: &[Contribution], which: Keys) -> Vec<PortKey> {
    let mut keys: Vec<PortKey> = own.iter().map(|c| c.key).collect();
    keys.sort_unstable();
    keys.dedup();
    let mut others: Vec<PortKey> = any.iter().map(|c| c.key).collect();
    others.sort_unstable();
    others.dedup();
    let mut ours = Covering::new(own);
    others.retain(|key| which == Keys::All || !ours.of(*key).is_empty());
    keys.append(&mut others);
    keys.sort_unstable();
    keys.dedup();
    keys
}
