//! PL030 equal-priority: rules of one priority that decide differently, in no order.

use std::collections::HashMap;

use super::clause::Clause;
use super::code::Code;
use super::cover::ports_meet;
use super::finding::Suggestion;
use super::registry::{Found, Run};

pub(super) fn run(run: &Run<'_>, found: &mut Vec<Found>) {
    let mut groups: HashMap<_, Vec<&Clause<'_>>> = HashMap::new();
    let ordered = run
        .clauses
        .iter()
        .filter(|clause| !clause.is_unordered() && !clause.staged);
    for clause in ordered {
        let key = (clause.spec.tier, clause.spec.priority, clause.direction());
        let earlier = groups.entry(key).or_default();
        if let Some(other) = earlier.iter().find(|other| disagree(other, clause)) {
            found.extend(report(run, other, clause));
        }
        earlier.push(clause);
    }
}

/// Whether both certainly speak of one flow, with no order between them.
fn disagree(a: &Clause<'_>, b: &Clause<'_>) -> bool {
    a.rule.action != b.rule.action
        && a.of.name != b.of.name
        && ports_meet(a.ports(), b.ports())
        && (a.covers_subject(b) || b.covers_subject(a))
        && (a.covers_peers(b) || b.covers_peers(a))
}

fn report(run: &Run<'_>, earlier: &Clause<'_>, later: &Clause<'_>) -> Option<Found> {
    let reason = format!(
        "{} has priority {} as well and decides otherwise about some of these flows; the API leaves open which of the two holds",
        earlier.of.name, later.spec.priority
    );
    let advice = "give one of the two another priority";
    let place = (later.document, later.location().clone());
    let related = Some(earlier.related());
    Found::new(
        run,
        Code::EqualPriority,
        place,
        related,
        reason,
        Suggestion::words(advice),
    )
}
