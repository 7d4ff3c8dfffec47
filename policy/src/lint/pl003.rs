//! PL003 shadowed-allow: allowances add up, so a wider one makes a narrower one meaningless.

use super::allow::Allow;
use super::edit::{Editor, render_peers, rule_node};
use super::finding::{Code, Edit, Suggestion};
use super::registry::{Found, Run};
use crate::direction::Direction;
use crate::rule::Peers;

pub(super) fn run(run: &Run<'_>, found: &mut Vec<Found>) {
    for narrow in run.allows.iter() {
        let Some(wide) = run.allows.beside(narrow).find(|wide| shadows(wide, narrow)) else {
            continue;
        };
        let field = wide.direction().name();
        let reason = format!(
            "allowances are a union: {} allows all that this {field} rule allows and more, so the narrower text restricts nothing",
            wide.of.name
        );
        let advice = match wide.covers_peers(narrow) && !narrow.covers_peers(wide) {
            true => format!(
                "give the rule in {} the peers of this one, or drop this one",
                wide.of.name
            ),
            false => format!("drop the wider rule in {}, or this one", wide.of.name),
        };
        let suggestion = Suggestion {
            advice,
            edits: edit(run, wide, narrow).into_iter().collect(),
        };
        let place = (narrow.document, narrow.rule.location.clone());
        let related = Some(wide.related());
        found.extend(Found::new(
            run,
            Code::ShadowedAllow,
            place,
            related,
            reason,
            suggestion,
        ));
    }
}

/// Whether `wide` allows all that `narrow` does, and more peers or ports.
fn shadows(wide: &Allow<'_>, narrow: &Allow<'_>) -> bool {
    !wide.is(narrow)
        && wide.l7() == narrow.l7()
        && wide.covers_subject(narrow)
        && wide.covers_ports(narrow)
        && wide.covers_peers(narrow)
        && !(narrow.covers_ports(wide) && narrow.covers_peers(wide))
}

/// Narrows the wider rule: to the peers of the narrower one, or away if only its ports are wider.
fn edit(run: &Run<'_>, wide: &Allow<'_>, narrow: &Allow<'_>) -> Option<Edit> {
    let document = run.documents.get(wide.document)?;
    let tree = run.trees.tree(document)?;
    let (list, node) = rule_node(&tree, wide.spec, wide.rule)?;
    let editor = Editor::of(document);
    let same_place = wide.of.name.namespace == narrow.of.name.namespace;
    let Peers::Listed(peers) = &narrow.rule.peers else {
        return editor.remove(list, wide.rule.index, "{}");
    };
    if narrow.covers_peers(wide) || !same_place || std::ptr::eq(wide.rule, narrow.rule) {
        return editor.remove(list, wide.rule.index, "{}");
    }
    let prefix = match wide.direction() {
        Direction::Ingress => "from",
        Direction::Egress => "to",
    };
    let (kind, value) = render_peers(peers)?;
    let key = format!("{prefix}{kind}");
    let kinds = ["Endpoints", "CIDR", "CIDRSet", "Entities"];
    let present = kinds
        .iter()
        .filter_map(|kind| node.entry(&format!("{prefix}{kind}")))
        .collect::<Vec<_>>();
    match present.as_slice() {
        [] => editor.insert_entry(node, &key, &value),
        [only] => Some(editor.replace_entry(only, &key, &value)),
        _ => editor.remove(list, wide.rule.index, "{}"),
    }
}
