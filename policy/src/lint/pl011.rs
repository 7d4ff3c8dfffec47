//! PL011 denied-anyway: a denial covers all that a rule lets through.

use super::clause::Clause;
use super::code::Code;
use super::finding::Suggestion;
use super::prune::Pruning;
use super::registry::{Found, Run};
use crate::rule::Action;

pub(super) fn run(run: &Run<'_>, found: &mut Vec<Found>) {
    let open = run
        .clauses
        .iter()
        .filter(|clause| clause.rule.action != Action::Deny);
    for narrow in open {
        let Some(wide) = run
            .clauses
            .beside(narrow)
            .find(|wide| denies(run, wide, narrow))
        else {
            continue;
        };
        let verb = match narrow.rule.action {
            Action::Pass => "passes on",
            _ => "allows",
        };
        let reason = format!(
            "{} denies all that this rule {verb}, and its denial comes first, so this rule has no effect",
            wide.of.name
        );
        let advice = format!(
            "drop this rule, or take from {} what it was meant to let through",
            wide.of.name
        );
        let mut pruning = Pruning::default();
        pruning.allow(narrow);
        let suggestion = Suggestion {
            advice,
            edits: pruning.edits(run),
        };
        let place = (narrow.document, narrow.location().clone());
        let related = Some(wide.related());
        found.extend(Found::new(
            run,
            Code::DeniedAnyway,
            place,
            related,
            reason,
            suggestion,
        ));
    }
}

/// Whether `wide` denies every flow that `narrow` covers before `narrow` has a say.
fn denies(run: &Run<'_>, wide: &Clause<'_>, narrow: &Clause<'_>) -> bool {
    let first =
        wide.is_unordered() && narrow.is_unordered() || run.clauses.decides_before(wide, narrow);
    wide.rule.action == Action::Deny && first && wide.covers_flows(narrow)
}
