//! PL004 l7-dissolved: an allowance of the ports alone lets past what L7 rules should judge.

use super::clause::Clause;
use super::code::Code;
use super::cover::ports_meet;
use super::finding::Suggestion;
use super::prune::Pruning;
use super::registry::{Found, Run};
use crate::l7::L7Rules;

pub(super) fn run(run: &Run<'_>, found: &mut Vec<Found>) {
    for judged in run.clauses.allows().filter(|allow| !allow.l7().is_none()) {
        let mut plain = run
            .clauses
            .allows_beside(judged)
            .filter(|plain| dissolves(plain, judged))
            .peekable();
        let Some(first) = plain.peek() else { continue };
        let kind = judged.l7().field().unwrap_or("l7");
        let reason = format!(
            "{} allows the same peers the same port without rules, and in Cilium that lifts these `{kind}` rules; strict semantics keep them",
            first.of.name
        );
        let advice = format!(
            "take the plain allowance out of {}; these rules allow what they should",
            first.of.name
        );
        let related = Some(first.related());
        let mut pruning = Pruning::default();
        plain.for_each(|plain| pruning.allow(plain));
        let suggestion = Suggestion {
            advice,
            edits: pruning.edits(run),
        };
        let place = (judged.document, judged.rule.location.clone());
        found.extend(Found::new(
            run,
            Code::L7Dissolved,
            place,
            related,
            reason,
            suggestion,
        ));
    }
}

fn dissolves(plain: &Clause<'_>, judged: &Clause<'_>) -> bool {
    let reaches = || match judged.l7() {
        // Queries are judged by the rules of exactly their port, which nothing else lifts.
        L7Rules::Dns(_) => plain.element.is_some_and(|(_, element)| {
            judged.element.is_some_and(|(_, judged)| {
                judged.ports.iter().any(|port| element.ports.contains(port))
            })
        }),
        // A parser without rules lets everything pass anyway.
        L7Rules::Other { rules, .. } if rules.is_empty() => false,
        _ => ports_meet(plain.ports(), judged.ports()),
    };
    plain.is_plain() && plain.covers_peers(judged) && reaches()
}
