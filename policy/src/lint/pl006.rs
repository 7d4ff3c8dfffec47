//! PL006 l7-shadowed: requests pass if any rule matches, so a wider rule makes a narrower one
//! meaningless.

use super::clause::Clause;
use super::code::Code;
use super::cover_l7::shadows;
use super::finding::Suggestion;
use super::prune::Pruning;
use super::registry::{Found, Run};
use crate::l7::L7Rules;

pub(super) fn run(run: &Run<'_>, found: &mut Vec<Found>) {
    for narrow in run.clauses.allows().filter(|allow| !allow.l7().is_none()) {
        let shadowing = shadowing(run, narrow);
        let Some((wide, at, place)) = shadowing.first() else {
            continue;
        };
        let kind = narrow.l7().field().unwrap_or("l7");
        let mut reason = format!(
            "a request passes if any rule matches: `{kind}[{at}]` of {} matches all that `{kind}[{place}]` here does and more",
            wide.of.name
        );
        if drops_client_id(wide.l7(), *at, narrow.l7(), *place) {
            reason.push_str(" (and a client id is chosen by the client: it is no credential)");
        }
        let advice = match narrow.covers_subject(wide) {
            true => format!(
                "take `{kind}[{at}]` out of {}, so that this rule decides",
                wide.of.name
            ),
            false => format!(
                "drop this rule, or narrow {}, which guards others too",
                wide.of.name
            ),
        };
        let mut pruning = Pruning::default();
        for (wide, at, place) in &shadowing {
            match narrow.covers_subject(wide) {
                true => pruning.item(wide, *at),
                false => pruning.item(narrow, *place),
            }
        }
        let suggestion = Suggestion {
            advice,
            edits: pruning.edits(run),
        };
        let related = Some(wide.related());
        let place = (narrow.document, narrow.rule.location.clone());
        found.extend(Found::new(
            run,
            Code::L7Shadowed,
            place,
            related,
            reason,
            suggestion,
        ));
    }
}

/// Every L7 rule that covers one of `narrow`: the allowance it stands in, and both places.
fn shadowing<'r, 'a>(run: &'r Run<'a>, narrow: &Clause<'a>) -> Vec<(&'r Clause<'a>, usize, usize)> {
    let wider = |wide: &&Clause<'_>| !wide.l7().is_none() && wide.covers_flows(narrow);
    let pairs = |wide: &'r Clause<'a>| {
        shadows(wide.l7(), narrow.l7())
            .into_iter()
            .map(move |(at, place)| (wide, at, place))
    };
    run.clauses
        .covering(narrow)
        .filter(wider)
        .flat_map(pairs)
        .collect()
}

fn drops_client_id(wide: &L7Rules, at: usize, narrow: &L7Rules, place: usize) -> bool {
    match (wide, narrow) {
        (L7Rules::Kafka(wide), L7Rules::Kafka(narrow)) => {
            wide.get(at).is_some_and(|rule| rule.client_id.is_none())
                && narrow
                    .get(place)
                    .is_some_and(|rule| rule.client_id.is_some())
        }
        _ => false,
    }
}
