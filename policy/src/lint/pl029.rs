//! PL029 empty-rule: `{}` is everybody in a NetworkPolicy and nobody in the Cilium kinds.

use super::code::Code;
use super::edit::{Editor, spec_node};
use super::finding::{Edit, Suggestion};
use super::registry::{Found, Run};
use crate::direction::Direction;
use crate::peers::Peers;
use crate::rule::{Action, Document, PolicyKind, Rule, Spec};

pub(super) fn run(run: &Run<'_>, found: &mut Vec<Found>) {
    for (index, document) in run.documents.iter().enumerate() {
        let name = document.name.name.to_ascii_lowercase();
        for spec in &document.specs {
            match document.name.kind {
                PolicyKind::NetworkPolicy if denies(&name) => {
                    for direction in Direction::ALL
                        .into_iter()
                        .filter(|direction| speaks_of(&name, *direction))
                    {
                        found.extend(everybody(run, index, spec, direction));
                    }
                }
                kind if !kind.is_kubernetes() && name.contains("allow") && !denies(&name) => {
                    found.extend(nobody(run, index, document, spec));
                }
                _ => {}
            }
        }
    }
}

/// Whether a name promises to close something.
fn denies(name: &str) -> bool {
    ["deny", "isolat", "block", "lockdown", "no-"]
        .iter()
        .any(|word| name.contains(word))
}

/// Whether a name that promises something promises it for a direction.
fn speaks_of(name: &str, direction: Direction) -> bool {
    let other = match direction {
        Direction::Ingress => Direction::Egress,
        Direction::Egress => Direction::Ingress,
    };
    name.contains(direction.name()) || !name.contains(other.name())
}

fn is_empty(rule: &Rule) -> bool {
    rule.peers == Peers::Unspecified && rule.ports.is_none()
}

/// All rules of a direction are empty: everybody is let through.
fn everybody(run: &Run<'_>, index: usize, spec: &Spec, direction: Direction) -> Option<Found> {
    let mut rules = spec
        .rules
        .iter()
        .filter(|rule| rule.direction == direction)
        .peekable();
    let first = *rules.peek()?;
    if !rules.all(is_empty) {
        return None;
    }
    let field = direction.name();
    let reason = format!(
        "the name promises a denial, but in a NetworkPolicy an empty rule allows everybody (in Cilium's kinds it allows nobody), so this leaves {field} open"
    );
    let suggestion = Suggestion {
        advice: format!("write `{field}: []`, with the direction in `policyTypes`"),
        edits: closed(run, index, spec, direction).into_iter().collect(),
    };
    let place = (index, first.location.clone());
    Found::new(run, Code::EmptyRule, place, None, reason, suggestion)
}

/// The list without rules, where that closes the direction.
fn closed(run: &Run<'_>, index: usize, spec: &Spec, direction: Direction) -> Option<Edit> {
    let closes = match spec.policy_types {
        Some(types) => types.get(direction),
        None => direction == Direction::Ingress,
    };
    let document = run.documents.get(index).filter(|_| closes)?;
    run.trees.with(document, |tree| {
        let list = spec_node(tree, spec)?.get(direction.name())?;
        Some(Editor::of(document).replace(list, "[]"))
    })
}

/// All rules are empty: nobody is let through.
fn nobody(run: &Run<'_>, index: usize, document: &Document, spec: &Spec) -> Option<Found> {
    let first = spec.rules.first()?;
    if !spec
        .rules
        .iter()
        .all(|rule| is_empty(rule) && rule.action == Action::Allow)
    {
        return None;
    }
    let reason = format!(
        "the name promises an allowance, but in a {} an empty rule allows nobody (in a NetworkPolicy everybody)",
        document.name.kind
    );
    let advice = "write the entity `all` for everybody, `cluster` for everybody inside";
    let place = (index, first.location.clone());
    Found::new(
        run,
        Code::EmptyRule,
        place,
        None,
        reason,
        Suggestion::words(advice),
    )
}
