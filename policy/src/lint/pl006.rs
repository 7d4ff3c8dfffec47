//! PL006 l7-shadowed: requests pass if any rule matches, so a wider rule makes a narrower one
//! meaningless.

use super::allow::Allow;
use super::cover_l7::shadows;
use super::edit::{Editor, rule_node};
use super::finding::{Code, Edit, Suggestion};
use super::pl004;
use super::registry::{Found, Run};
use crate::l7::L7Rules;

pub(super) fn run(run: &Run<'_>, found: &mut Vec<Found>) {
    for narrow in run.allows.iter().filter(|allow| !allow.l7().is_none()) {
        let Some((wide, at, place)) = shadow(run, narrow) else {
            continue;
        };
        let kind = narrow.l7().field().unwrap_or("l7");
        let mut reason = format!(
            "a request passes if any rule matches: `{kind}[{at}]` of {} matches all that `{kind}[{place}]` here does and more",
            wide.of.name
        );
        if drops_client_id(wide.l7(), at, narrow.l7(), place) {
            reason.push_str(" (and a client id is chosen by the client: it is no credential)");
        }
        let advice = format!(
            "take `{kind}[{at}]` out of {}, so that this rule decides",
            wide.of.name
        );
        let suggestion = Suggestion {
            advice,
            edits: edit(run, wide, at).into_iter().collect(),
        };
        let place = (narrow.document, narrow.rule.location.clone());
        found.extend(Found::new(
            run,
            Code::L7Shadowed,
            place,
            Some(wide.related()),
            reason,
            suggestion,
        ));
    }
}

/// The first allowance with a rule that covers a rule of `narrow`, and the places of both.
fn shadow<'r, 'a>(run: &'r Run<'a>, narrow: &Allow<'a>) -> Option<(&'r Allow<'a>, usize, usize)> {
    let wider = |wide: &&Allow<'_>| {
        !wide.l7().is_none()
            && wide.covers_subject(narrow)
            && wide.covers_peers(narrow)
            && wide.covers_ports(narrow)
    };
    run.allows.beside(narrow).filter(wider).find_map(|wide| {
        let (at, place) = shadows(wide.l7(), narrow.l7()).into_iter().next()?;
        Some((wide, at, place))
    })
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

/// Takes the wider rule out of its list. A list without rules would allow everything, so the last
/// rule goes with the allowance that it belongs to.
fn edit(run: &Run<'_>, wide: &Allow<'_>, at: usize) -> Option<Edit> {
    let document = run.documents.get(wide.document)?;
    let tree = run.trees.tree(document)?;
    let (_, rule) = rule_node(&tree, wide.spec, wide.rule)?;
    let (element, _) = wide.element?;
    let list = rule
        .get("toPorts")?
        .item(element)?
        .get("rules")?
        .get(wide.l7().field()?)?;
    match list.item(1) {
        Some(_) => Editor::of(document).remove(list, at, "{}"),
        None => pl004::remove(run, wide),
    }
}
