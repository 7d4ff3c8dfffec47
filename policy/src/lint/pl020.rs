//! PL020 redundant-rule: another rule says the same.

use super::clause::is_staged;
use super::code::Code;
use super::finding::Suggestion;
use super::prune::Pruning;
use super::registry::{Found, Run};
use super::shadow::Shadow;
use crate::peers::Peers;
use crate::rule::{Action, Document, Rule, Spec};

pub(super) fn run(run: &Run<'_>, found: &mut Vec<Found>) {
    for (narrow, wide) in run.shadows.sort(&run.clauses, Shadow::Repeated) {
        let reason = format!(
            "{} says the same of all that this rule covers",
            wide.of.name
        );
        let mut pruning = Pruning::default();
        pruning.allow(narrow);
        let suggestion = Suggestion {
            advice: "drop this rule; nothing changes without it".to_owned(),
            edits: pruning.edits(run),
        };
        let place = (narrow.document, narrow.location().clone());
        let related = Some(wide.related());
        found.extend(Found::new(
            run,
            Code::RedundantRule,
            place,
            related,
            reason,
            suggestion,
        ));
    }
    for (index, document) in run.documents.iter().enumerate() {
        for spec in &document.specs {
            let idle = spec
                .rules
                .iter()
                .filter(|rule| is_idle(run, document, spec, rule));
            found.extend(idle.filter_map(|rule| beside_others(run, index, document, spec, rule)));
        }
    }
}

/// A rule that names neither peers nor ports, beside rules that switch default deny on as well.
fn is_idle(run: &Run<'_>, document: &Document, spec: &Spec, rule: &Rule) -> bool {
    let others = |other: &&Rule| {
        other.direction == rule.direction
            && other.action == Action::Allow
            && other.index != rule.index
            && !is_staged(document, other, run.options)
    };
    let says_nothing = |rule: &Rule| rule.peers == Peers::Unspecified && rule.ports.is_none();
    let before = |other: &&Rule| !says_nothing(other) || other.index < rule.index;
    !document.name.kind.is_kubernetes()
        && rule.action == Action::Allow
        && says_nothing(rule)
        && spec.rules.iter().filter(others).any(|other| before(&other))
}

fn beside_others<'a>(
    run: &Run<'a>,
    index: usize,
    document: &'a Document,
    spec: &'a Spec,
    rule: &'a Rule,
) -> Option<Found> {
    let mut pruning = Pruning::default();
    pruning.rule(index, document, spec, rule);
    let suggestion = Suggestion {
        advice: "drop it; for everybody, write the entity `all`".to_owned(),
        edits: pruning.edits(run),
    };
    let reason = format!(
        "an empty rule allows nobody; it only closes {}, which the other rules of the list do too",
        rule.direction.name()
    );
    let place = (index, rule.location.clone());
    Found::new(run, Code::RedundantRule, place, None, reason, suggestion)
}
