//! Where an allowed flow goes, and what it has to prove.

use std::cmp::Reverse;

use super::merge::Settled;
use super::ports::Level;
use super::verdict::{Contribution, Precedence};
use crate::rule::AuthMode;

/// What was chosen for an allowed flow.
pub(super) struct Choice<'c, 's> {
    pub(super) winner: &'c Contribution<'s>,
    pub(super) auth: AuthMode,
}

/// What the allowances for one peer come to, or those for any.
struct Chain<'c, 's> {
    precedence: Precedence,
    /// How narrow the entry is that decides.
    level: Level,
    winner: &'c Contribution<'s>,
    auth: AuthMode,
    /// Whether the mode was asked for there, and not taken over from a broader entry.
    explicit: bool,
}

/// Chooses among the allowances that stand, of which there is at least one. `passes`: whether a rule of
/// the direction passes flows on.
pub(super) fn choose<'c, 's>(
    standing: &[&'c Contribution<'s>],
    passes: bool,
    strict: bool,
) -> Option<Choice<'c, 's>> {
    let chain = |any_peer| {
        let of_chain = |one: &&Contribution<'_>| one.any_peer == any_peer;
        let entries = standing
            .iter()
            .copied()
            .filter(of_chain)
            .filter(|one| !is_left_out(one, standing));
        Chain::of(&entries.collect::<Vec<_>>(), passes)
    };
    let chosen = match (chain(true), chain(false)) {
        (Some(any), Some(own)) => between(any, own, strict),
        (any, own) => any.or(own)?,
    };
    let strictest = standing
        .iter()
        .filter_map(|one| one.settled.terms.auth)
        .max();
    Some(Choice {
        winner: chosen.winner,
        auth: if strict {
            strictest.unwrap_or(AuthMode::Disabled)
        } else {
            chosen.auth
        },
    })
}

/// Whether the entry for any peer on the same written port says the same, so that none is needed for
/// this one.
fn is_left_out(one: &Contribution<'_>, standing: &[&Contribution<'_>]) -> bool {
    !one.any_peer
        && !one.level.is_every_port()
        && standing.iter().any(|any| any.any_peer && says_as(any, one))
}

/// Whether two say the same about the same written port.
pub(super) fn says_as(one: &Contribution<'_>, other: &Contribution<'_>) -> bool {
    let says = |one: &Contribution<'_>| {
        let terms = &one.settled.terms;
        let readers = (terms.reader.clone(), terms.listener.clone());
        (one.precedence(), readers, terms.auth)
    };
    let place = |settled: &Settled| (settled.stage, settled.ports.clone());
    place(one.settled) == place(other.settled) && says(one) == says(other)
}

impl<'c, 's> Chain<'c, 's> {
    fn of(allows: &[&'c Contribution<'s>], passes: bool) -> Option<Self> {
        let precedence = allows.iter().map(|one| one.precedence()).max()?;
        let strongest = || {
            allows
                .iter()
                .copied()
                .filter(|one| one.precedence() == precedence)
        };
        let narrowest = strongest().map(|one| one.level).max()?;
        let listed = |one: &Contribution<'_>| {
            let terms = &one.settled.terms;
            let name = terms.reader.as_ref().and_then(|reader| reader.name.clone());
            (Reverse(one.level), terms.listener.clone(), name)
        };
        let winner = strongest().min_by_key(|one| listed(one))?;
        let asking = |one: &&Contribution<'_>| {
            // Where flows are passed on, nothing is taken over from other entries.
            !passes || (one.precedence() == precedence && one.level == narrowest)
        };
        let modes = || {
            let asking = allows.iter().copied().filter(asking);
            asking.filter_map(|one| Some((one.level, one.settled.terms.auth?)))
        };
        let level = modes().map(|(level, _)| level).chain([narrowest]).max()?;
        // The strictest of the narrowest entries that ask for a mode.
        let found = modes().filter(|(asked, _)| *asked <= level).max();
        Some(Self {
            precedence,
            level,
            winner,
            auth: found.map_or(AuthMode::Disabled, |(_, mode)| mode),
            explicit: found.is_some_and(|(asked, _)| asked == level),
        })
    }
}

/// The stronger one. Of equals the kernel takes the narrower, then the one for this peer; upstream's
/// own lookup has the first choice the wrong way round, and its recorded answers with it.
fn between<'c, 's>(any: Chain<'c, 's>, own: Chain<'c, 's>, strict: bool) -> Chain<'c, 's> {
    if any.precedence != own.precedence {
        return if any.precedence > own.precedence {
            any
        } else {
            own
        };
    }
    let any_wins = if strict {
        any.level > own.level
    } else {
        own.level > any.level
    };
    let (mut chosen, other) = if any_wins { (any, own) } else { (own, any) };
    if !chosen.explicit && other.auth > chosen.auth {
        chosen.auth = other.auth;
    }
    chosen
}
