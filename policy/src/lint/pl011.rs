//! PL011 denied-anyway: a denial covers all that a rule lets through.

use super::code::Code;
use super::finding::Suggestion;
use super::prune::Pruning;
use super::registry::{Found, Run};
use super::shadow::Shadow;
use crate::rule::Action;

pub(super) fn run(run: &Run<'_>, found: &mut Vec<Found>) {
    for (narrow, wide) in run.shadows.sort(&run.clauses, Shadow::Denied) {
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
