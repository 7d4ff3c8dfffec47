//! PL012 unreachable-rule: a rule that is never asked, or speaks of nobody.

use super::clause::{Clause, is_staged, subject};
use super::code::Code;
use super::cover::covers_selector;
use super::finding::{Related, Suggestion};
use super::isolation::isolates;
use super::prune::Pruning;
use super::registry::{Found, Run};
use super::shadow::Shadow;
use crate::peers::{Entity, Peer, Peers};
use crate::rule::{Action, Document, Rule, Spec, Tier};

pub(super) fn run(run: &Run<'_>, found: &mut Vec<Found>) {
    for (narrow, wide) in run.shadows.sort(&run.clauses, Shadow::Hidden) {
        found.extend(unasked(run, narrow, hidden(wide)));
    }
    let free = run
        .clauses
        .iter()
        .filter(|clause| !run.shadows.hold(clause));
    for narrow in free {
        let because = isolated(run, narrow);
        found.extend(because.and_then(|because| unasked(run, narrow, because)));
    }
    for (index, document) in run.documents.iter().enumerate() {
        for spec in &document.specs {
            let void = spec.rules.iter().filter(|rule| is_void(spec, rule));
            found.extend(void.filter_map(|rule| of_nobody(run, index, document, spec, rule)));
        }
    }
}

fn unasked<'a>(
    run: &Run<'a>,
    narrow: &Clause<'a>,
    (reason, related): (String, Related),
) -> Option<Found> {
    let mut pruning = Pruning::default();
    pruning.allow(narrow);
    let suggestion = Suggestion {
        advice: format!("drop this rule, or narrow what {} says", related.policy),
        edits: pruning.edits(run),
    };
    let place = (narrow.document, narrow.location().clone());
    Found::new(
        run,
        Code::UnreachableRule,
        place,
        Some(related),
        reason,
        suggestion,
    )
}

/// Something stronger says something else of all that this rule covers.
fn hidden(wide: &Clause<'_>) -> (String, Related) {
    let verb = match wide.rule.action {
        Action::Pass => "passes on",
        _ => "allows",
    };
    let reason = format!(
        "{} is stronger and {verb} all that this rule covers, so this rule is never asked",
        wide.of.name
    );
    (reason, wide.related())
}

/// Where a policy of tier Normal isolates, tier Baseline is not asked.
fn isolated(run: &Run<'_>, narrow: &Clause<'_>) -> Option<(String, Related)> {
    if narrow.spec.tier != Tier::Baseline {
        return None;
    }
    let guarded = subject(narrow.of, narrow.spec);
    let direction = narrow.direction();
    let (by, spec) = run.specs().find(|(by, spec)| {
        spec.tier == Tier::Normal
            && spec.guards == narrow.spec.guards
            && isolates(by, spec, direction, run.options)
            && covers_selector(&subject(by, spec), &guarded)
    })?;
    let reason = format!(
        "{} isolates everybody whom this policy guards, and for them tier Baseline is not asked about {}",
        by.name,
        direction.name()
    );
    let related = Related {
        location: spec.location.clone(),
        policy: by.name.clone(),
    };
    Some((reason, related))
}

/// Whether a rule names peers, and they are nobody. Alone and without ports that is a way to close
/// a direction.
fn is_void(spec: &Spec, rule: &Rule) -> bool {
    let nobody = match &rule.peers {
        Peers::Listed(peers) => peers.iter().all(|peer| *peer == Peer::Entity(Entity::None)),
        // With ports that is PL022.
        Peers::Unnamed => rule.ports.is_none(),
        Peers::Unspecified => false,
    };
    let alone = || {
        let beside =
            |other: &&Rule| other.direction == rule.direction && other.action == rule.action;
        spec.rules.iter().filter(beside).count() == 1
    };
    nobody && (rule.ports.is_some() || rule.action == Action::Deny || !alone())
}

fn of_nobody<'a>(
    run: &Run<'a>,
    index: usize,
    document: &'a Document,
    spec: &'a Spec,
    rule: &'a Rule,
) -> Option<Found> {
    if document.name.kind.is_kubernetes() || is_staged(document, rule, run.options) {
        return None;
    }
    let reason = "an empty list of peers is nobody, so this rule covers nothing".to_owned();
    let mut pruning = Pruning::default();
    pruning.rule(index, document, spec, rule);
    let suggestion = Suggestion {
        advice: "name the peers; for everybody, leave the field out or write the entity `all`"
            .to_owned(),
        edits: pruning.edits(run),
    };
    let place = (index, rule.location.clone());
    Found::new(run, Code::UnreachableRule, place, None, reason, suggestion)
}
