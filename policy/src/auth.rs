//! Which authentication a flow needs, from everything that allows it.
//!
//! Upstream (Cilium 1.20) lets a mode that somebody wrote reach narrower entries that are as strong,
//! separately for the peer's own entries and for those of any peer. So a requirement can be lost when an
//! unrelated redirect is stronger. Under [`Semantics::Strict`] the strictest mode of all allowances
//! counts.

use crate::contribution::Contribution;
use crate::rule::AuthMode;
use crate::{Precedence, Semantics};

/// What the allowances of one chain ask for.
#[derive(Debug, Clone, Copy)]
struct Ask {
    strength: Precedence,
    level: i16,
    mode: AuthMode,
    explicit: bool,
}

/// The mode of a flow. `allowances` are the contributions that let it through; `passes` says whether
/// the direction has rules that pass.
pub(crate) fn required(
    allowances: &[&Contribution],
    passes: bool,
    semantics: Semantics,
) -> AuthMode {
    if semantics == Semantics::Strict {
        return strictest(allowances.iter().copied()).unwrap_or(AuthMode::Disabled);
    }
    let of = |any: bool| {
        let chain: Vec<&Contribution> = allowances
            .iter()
            .copied()
            .filter(|c| c.any_peer == any)
            .collect();
        ask(&visible(&chain, allowances), passes)
    };
    match (of(false), of(true)) {
        (None, None) => AuthMode::Disabled,
        (Some(only), None) | (None, Some(only)) => only.mode,
        (Some(own), Some(any)) if own.strength != any.strength => {
            if own.strength > any.strength {
                own.mode
            } else {
                any.mode
            }
        }
        (Some(own), Some(any)) => {
            // Upstream prefers the chain whose level is smaller here, though its kernel program
            // prefers the larger.
            let (first, other) = if own.level > any.level {
                (any, own)
            } else {
                (own, any)
            };
            if !first.explicit && other.mode > first.mode {
                other.mode
            } else {
                first.mode
            }
        }
    }
}

/// The contributions of a chain without those that the any-peer part of their port makes redundant.
fn visible<'a>(chain: &[&'a Contribution], all: &[&Contribution]) -> Vec<&'a Contribution> {
    let redundant = |c: &&&Contribution| {
        let same = |other: &&&Contribution| {
            other.any_peer
                && other.group == c.group
                && (other.precedence, other.auth) == (c.precedence, c.auth)
                && other.does.parser() == c.does.parser()
        };
        !c.any_peer && c.level() > 0 && all.iter().any(|other| same(&other))
    };
    chain.iter().filter(|c| !redundant(c)).copied().collect()
}

fn ask(chain: &[&Contribution], passes: bool) -> Option<Ask> {
    let strength = chain.iter().map(|c| c.precedence).max()?;
    let strong = || chain.iter().filter(|c| c.precedence == strength).copied();
    let mut level = strong().map(Contribution::level).max()?;
    if passes {
        let mode = strictest(strong().filter(|c| c.level() == level));
        return Some(Ask {
            strength,
            level,
            mode: mode.unwrap_or(AuthMode::Disabled),
            explicit: mode.is_some(),
        });
    }
    let explicit = || chain.iter().filter(|c| c.auth.is_some()).copied();
    level = explicit()
        .map(Contribution::level)
        .max()
        .map_or(level, |own| own.max(level));
    if let Some(mode) = strictest(explicit().filter(|c| c.level() == level)) {
        return Some(Ask {
            strength,
            level,
            mode,
            explicit: true,
        });
    }
    let broader = explicit()
        .map(Contribution::level)
        .filter(|own| *own < level)
        .max();
    let mode = broader.and_then(|broader| strictest(explicit().filter(|c| c.level() == broader)));
    Some(Ask {
        strength,
        level,
        mode: mode.unwrap_or(AuthMode::Disabled),
        explicit: false,
    })
}

fn strictest<'a>(chain: impl Iterator<Item = &'a Contribution>) -> Option<AuthMode> {
    chain.filter_map(|c| c.auth).max()
}
