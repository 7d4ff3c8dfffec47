//! PL023 void-denial: a denial that names neither peers nor ports denies nothing.

use super::code::Code;
use super::finding::Suggestion;
use super::registry::{Found, Run};
use crate::direction::Direction;
use crate::peers::Peers;
use crate::rule::{Action, Rule};

pub(super) fn run(run: &Run<'_>, found: &mut Vec<Found>) {
    for (index, document) in run.documents.iter().enumerate() {
        if document.name.kind.is_kubernetes() {
            continue;
        }
        let rules = document.specs.iter().flat_map(|spec| &spec.rules);
        for rule in rules.filter(|rule| is_void(rule)) {
            let field = match rule.direction {
                Direction::Ingress => "fromEntities",
                Direction::Egress => "toEntities",
            };
            let direction = rule.direction.name();
            let reason = format!(
                "an empty denial denies nobody; it only closes {direction} for what no rule allows"
            );
            let advice = format!(
                "write `{field}: [all]` to deny everything, `{direction}: [{{}}]` to close the direction"
            );
            let place = (index, rule.location.clone());
            found.extend(Found::new(
                run,
                Code::VoidDenial,
                place,
                None,
                reason,
                Suggestion::words(advice),
            ));
        }
    }
}

fn is_void(rule: &Rule) -> bool {
    rule.action == Action::Deny && rule.peers == Peers::Unspecified && rule.ports.is_none()
}
