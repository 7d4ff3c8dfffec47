//! PL028 policy-types: rules of a direction that `policyTypes` leaves out.

use super::code::Code;
use super::edit::{Editor, spec_node};
use super::finding::Suggestion;
use super::registry::{Found, Run};
use crate::direction::Direction;
use crate::rule::PolicyKind;

pub(super) fn run(run: &Run<'_>, found: &mut Vec<Found>) {
    for (index, document) in run.documents.iter().enumerate() {
        if document.name.kind != PolicyKind::NetworkPolicy {
            continue;
        }
        for spec in &document.specs {
            let Some(types) = spec.policy_types else {
                continue;
            };
            for direction in Direction::ALL
                .into_iter()
                .filter(|direction| !types.get(*direction))
            {
                let Some(rule) = spec.rules.iter().find(|rule| rule.direction == direction) else {
                    continue;
                };
                let (listed, left_out) = match direction {
                    Direction::Ingress => ("Egress", "Ingress"),
                    Direction::Egress => ("Ingress", "Egress"),
                };
                let reason = format!(
                    "`policyTypes` lists {listed} alone, so Kubernetes takes no notice of these {} rules; Cilium heeds them and closes the direction",
                    direction.name()
                );
                let edit = run.trees.with(document, |tree| {
                    let node = spec_node(tree, spec)?.get("policyTypes")?;
                    Some(Editor::of(document).replace(node, "[\"Ingress\", \"Egress\"]"))
                });
                let suggestion = Suggestion {
                    advice: format!("list {left_out} too, or drop the rules"),
                    edits: edit.into_iter().collect(),
                };
                let place = (index, rule.location.clone());
                found.extend(Found::new(
                    run,
                    Code::PolicyTypesLeftOut,
                    place,
                    None,
                    reason,
                    suggestion,
                ));
            }
        }
    }
}
