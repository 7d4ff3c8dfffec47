//! PL032 server-names-merged: a plain allowance gets the server names of another one.

use super::clause::Clause;
use super::code::Code;
use super::finding::Suggestion;
use super::prune::Pruning;
use super::registry::{Found, Run};

pub(super) fn run(run: &Run<'_>, found: &mut Vec<Found>) {
    if !run.clauses.allows().any(has_names) {
        return;
    }
    for plain in run
        .clauses
        .allows()
        .filter(|clause| clause.is_plain() && clause.element.is_some())
    {
        let Some(named) = run
            .clauses
            .allows_beside(plain)
            .find(|named| narrows(named, plain))
        else {
            continue;
        };
        let reason = format!(
            "{} allows the same peers the same port for some TLS names, and one peer selector has one list of them: this allowance too holds for those names alone",
            named.of.name
        );
        let mut pruning = Pruning::default();
        pruning.allow(plain);
        let suggestion = Suggestion {
            advice: format!("drop this rule, or the names in {}", named.of.name),
            edits: pruning.edits(run),
        };
        let place = (plain.document, plain.location().clone());
        let related = Some(named.related());
        found.extend(Found::new(
            run,
            Code::ServerNamesMerged,
            place,
            related,
            reason,
            suggestion,
        ));
    }
}

fn has_names(clause: &Clause<'_>) -> bool {
    let ports = clause.ports();
    ports.is_some_and(|element| !element.server_names.is_empty() && element.l7.is_none())
}

fn narrows(named: &Clause<'_>, plain: &Clause<'_>) -> bool {
    let lists = named.ports().zip(plain.ports());
    has_names(named)
        && named.side == plain.side
        && lists.is_some_and(|(own, others)| own.ports == others.ports)
}
