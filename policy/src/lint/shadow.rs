//! What becomes of a rule that others cover wholly.

use super::clause::{Clause, Clauses};
use crate::rule::{Action, Tier};

/// How the rule that decides in place of another does it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shadow {
    /// It denies what the other would let through.
    Denied,
    /// It decides otherwise, before the other is asked.
    Hidden,
    /// It does the same.
    Repeated,
}

/// For each clause the strongest one that decides about all of its flows in its place.
pub(super) struct Shadows(Vec<Option<(usize, Shadow)>>);

impl Shadows {
    pub(super) fn of(clauses: &Clauses<'_>) -> Self {
        Self(
            clauses
                .iter()
                .map(|narrow| strongest(clauses, narrow))
                .collect(),
        )
    }

    /// Every clause that has a shadow of this sort, with the one that throws it.
    pub(super) fn sort<'r, 'a>(
        &'r self,
        clauses: &'r Clauses<'a>,
        sort: Shadow,
    ) -> impl Iterator<Item = (&'r Clause<'a>, &'r Clause<'a>)> {
        let of = move |narrow: &'r Clause<'a>| {
            let (place, of) = self.0.get(narrow.place).copied().flatten()?;
            let wide = clauses.at(place).filter(|_| of == sort)?;
            Some((narrow, wide))
        };
        clauses.iter().filter_map(of)
    }

    /// Whether something decides in place of a clause.
    pub(super) fn hold(&self, clause: &Clause<'_>) -> bool {
        self.0.get(clause.place).is_some_and(Option::is_some)
    }
}

fn strongest(clauses: &Clauses<'_>, narrow: &Clause<'_>) -> Option<(usize, Shadow)> {
    let shadow = |wide: &Clause<'_>| Some((rank(wide), wide.place, cast(clauses, wide, narrow)?));
    let strongest = clauses
        .covering(narrow)
        .filter_map(shadow)
        .min_by_key(|(rank, place, _)| (*rank, *place));
    strongest.map(|(_, place, shadow)| (place, shadow))
}

/// The order in which rules are asked: where allowances add up, denials come first.
fn rank(wide: &Clause<'_>) -> (Tier, u16, usize) {
    let within = match wide.is_unordered() {
        true => usize::from(wide.rule.action != Action::Deny),
        false => wide.rule.index,
    };
    (wide.spec.tier, wide.spec.priority, within)
}

/// The shadow that `wide` throws over `narrow`, all of whose flows it covers, if it does.
fn cast(clauses: &Clauses<'_>, wide: &Clause<'_>, narrow: &Clause<'_>) -> Option<Shadow> {
    let (own, others) = (wide.rule.action, narrow.rule.action);
    // What passes flows on decides about them in its own tier only.
    let skips = own == Action::Pass && wide.spec.tier != narrow.spec.tier;
    let unordered = wide.is_unordered() && narrow.is_unordered();
    if skips {
        return None;
    }
    let shadow = match (own == others, own) {
        (true, _) => Shadow::Repeated,
        (false, Action::Deny) => Shadow::Denied,
        (false, _) => Shadow::Hidden,
    };
    let decides = match shadow {
        Shadow::Repeated if unordered => repeats(wide, narrow),
        Shadow::Repeated => wide.asks_the_same(narrow) && clauses.decides_before(wide, narrow),
        Shadow::Denied if unordered => true,
        Shadow::Denied | Shadow::Hidden => clauses.decides_before(wide, narrow),
    };
    decides.then_some(shadow)
}

/// Whether one of two rules of one sort does all that the other does. Of two that do the same the
/// later is too much; an allowance that allows more is PL003.
fn repeats(wide: &Clause<'_>, narrow: &Clause<'_>) -> bool {
    let more = || !narrow.covers_flows(wide);
    let first = || !narrow.covers_subject(wide) || wide.place < narrow.place;
    !wide.is(narrow)
        && wide.asks_the_same(narrow)
        && match more() {
            true => wide.rule.action == Action::Deny,
            false => first(),
        }
}
