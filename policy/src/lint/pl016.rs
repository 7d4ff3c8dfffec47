//! PL016 l7-bypassed: L7 rules on a port that another rule opens wholly, for some of their peers or
//! before they are asked.

use super::clause::Clause;
use super::code::Code;
use super::finding::Suggestion;
use super::registry::{Found, Run};
use crate::l7::L7Rules;
use crate::rule::Action;

pub(super) fn run(run: &Run<'_>, found: &mut Vec<Found>) {
    let judged = run.clauses.allows().filter(|clause| is_judged(clause));
    for judged in judged {
        let Some((plain, reason, advice)) = before(run, judged).or_else(|| apart(run, judged))
        else {
            continue;
        };
        let place = (judged.document, judged.location().clone());
        let related = Some(plain.related());
        let suggestion = Suggestion::words(advice);
        found.extend(Found::new(
            run,
            Code::L7Bypassed,
            place,
            related,
            reason,
            suggestion,
        ));
    }
}

/// DNS rules are judged by themselves, and a parser without rules lets everything pass anyway.
fn is_judged(clause: &Clause<'_>) -> bool {
    match clause.l7() {
        L7Rules::Http(_) | L7Rules::Kafka(_) => true,
        L7Rules::Other { rules, .. } => !rules.is_empty(),
        L7Rules::None | L7Rules::Dns(_) => false,
    }
}

/// A rule of a stronger tier allows it all.
fn before<'r, 'a>(
    run: &'r Run<'a>,
    judged: &Clause<'a>,
) -> Option<(&'r Clause<'a>, String, String)> {
    let opens = |wide: &&Clause<'_>| {
        wide.rule.action == Action::Allow && run.clauses.decides_before(wide, judged)
    };
    let wide = run.clauses.covering(judged).find(opens)?;
    let reason = format!(
        "{} is stronger and allows the same peers the same port, so these rules are never asked",
        wide.of.name
    );
    let advice = format!(
        "have {} pass these flows on, or drop the rules",
        wide.of.name
    );
    Some((wide, reason, advice))
}

/// A plain allowance for some of the peers opens the port for them.
fn apart<'r, 'a>(
    run: &'r Run<'a>,
    judged: &Clause<'a>,
) -> Option<(&'r Clause<'a>, String, String)> {
    let opens = |plain: &&Clause<'_>| {
        plain.is_plain()
            && plain.covers_ports(judged)
            && judged.covers_peers(plain)
            // Else it is PL004.
            && !plain.covers_peers(judged)
    };
    let plain = run.clauses.allows_beside(judged).find(opens)?;
    let kind = judged.l7().field().unwrap_or("l7");
    let reason = format!(
        "{} opens the whole port to some of these peers: in Cilium no `{kind}` rule holds for them, in strict semantics these do",
        plain.of.name
    );
    let advice = format!(
        "say it so that everybody reads it alike: `{kind}: [{{}}]` there if they may do everything, or drop that allowance"
    );
    Some((plain, reason, advice))
}
