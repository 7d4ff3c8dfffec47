//! PL001 empty-rule-list: `egress: []` closes nothing in Cilium.

use super::code::Code;
use super::edit::{Editor, spec_node};
use super::finding::Suggestion;
use super::registry::{Found, Run};
use crate::rule::{Action, EmptyList, Spec, list_field};

pub(super) fn run(run: &Run<'_>, found: &mut Vec<Found>) {
    for (index, document) in run.documents.iter().enumerate() {
        for spec in &document.specs {
            for list in spec.empty_lists.iter().filter(|list| is_alone(spec, list)) {
                let field = list_field(list.direction, list.action);
                let reason = format!(
                    "an empty `{field}` closes nothing in Cilium, which refuses a document that holds nothing else; strict semantics deny the direction"
                );
                let edits = run.trees.with(document, |tree| {
                    let node = spec_node(tree, spec)?.get(field)?;
                    Some(Editor::of(document).replace(node, "[{}]"))
                });
                let advice = format!(
                    "write `{field}: [{{}}]`: a rule that allows nothing closes the direction for everybody's reading"
                );
                let suggestion = Suggestion {
                    advice,
                    edits: edits.into_iter().collect(),
                };
                let place = (index, list.location.clone());
                found.extend(Found::new(
                    run,
                    Code::EmptyRuleList,
                    place,
                    None,
                    reason,
                    suggestion,
                ));
            }
        }
    }
}

/// An empty list of allowances that no other rule of its direction stands in for.
fn is_alone(spec: &Spec, list: &EmptyList) -> bool {
    list.action == Action::Allow
        && spec.default_deny.get(list.direction) != Some(false)
        && !spec
            .rules
            .iter()
            .any(|rule| rule.direction == list.direction)
}
