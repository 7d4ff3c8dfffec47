//! PL020 redundant-rule: another rule says the same.

use super::clause::{Clause, is_staged};
use super::code::Code;
use super::finding::Suggestion;
use super::prune::Pruning;
use super::registry::{Found, Run};
use crate::peers::Peers;
use crate::rule::{Action, Document, Rule, Spec};

pub(super) fn run(run: &Run<'_>, found: &mut Vec<Found>) {
    for narrow in run.clauses.iter() {
        let Some(wide) = run
            .clauses
            .beside(narrow)
            .find(|wide| repeats(run, wide, narrow))
        else {
            continue;
        };
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

/// Whether `wide` does all that `narrow` does. Of two that do the same the later is too much.
fn repeats(run: &Run<'_>, wide: &Clause<'_>, narrow: &Clause<'_>) -> bool {
    if wide.rule.action != narrow.rule.action || wide.is(narrow) || !wide.asks_the_same(narrow) {
        return false;
    }
    if !(wide.is_unordered() && narrow.is_unordered()) {
        let passes_alone = wide.rule.action == Action::Pass && wide.spec.tier != narrow.spec.tier;
        return !passes_alone
            && run.clauses.decides_before(wide, narrow)
            && wide.covers_flows(narrow);
    }
    if !wide.covers_flows(narrow) {
        return false;
    }
    let more = !narrow.covers_flows(wide);
    match (wide.rule.action, more) {
        // That is PL003.
        (Action::Allow, true) => false,
        (_, true) => true,
        (_, false) => !narrow.covers_subject(wide) || wide.place < narrow.place,
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
