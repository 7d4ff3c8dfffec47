//! PL003 shadowed-allow: allowances add up, so a wider one makes a narrower one meaningless.

use super::clause::Clause;
use super::code::Code;
use super::edit::{Editor, render_peers, rule_node};
use super::finding::{Edit, Suggestion};
use super::prune::Pruning;
use super::registry::{Found, Run};
use crate::direction::Direction;
use crate::peers::Peers;

pub(super) fn run(run: &Run<'_>, found: &mut Vec<Found>) {
    for narrow in run.clauses.allows() {
        let wider: Vec<&Clause<'_>> = run
            .clauses
            .covering(narrow)
            .filter(|wide| shadows(wide, narrow))
            .collect();
        let Some(wide) = wider.first() else { continue };
        let field = wide.direction().name();
        let reason = format!(
            "allowances are a union: {} allows all that this {field} rule allows and more, so the narrower text restricts nothing",
            wide.of.name
        );
        let advice = match (narrow.covers_subject(wide), narrow.covers_peers(wide)) {
            (false, _) => format!(
                "drop this rule, or narrow {}, which guards others too",
                wide.of.name
            ),
            (true, false) => format!(
                "give the rule in {} the peers of this one, or drop this one",
                wide.of.name
            ),
            (true, true) => format!("drop the wider rule in {}, or this one", wide.of.name),
        };
        let suggestion = Suggestion {
            advice,
            edits: edits(run, &wider, narrow),
        };
        let location = match narrow.of.name.kind.is_kubernetes() {
            // There every port is an element of its own.
            true => narrow.location(),
            false => &narrow.rule.location,
        };
        let place = (narrow.document, location.clone());
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

/// Whether `wide`, which covers all that `narrow` does, allows it and more peers or ports.
fn shadows(wide: &Clause<'_>, narrow: &Clause<'_>) -> bool {
    wide.allows()
        && wide.is_unordered()
        && !wide.is(narrow)
        && wide.asks_the_same(narrow)
        && !narrow.covers_flows(wide)
}

/// What also guards others is left alone: then the narrower rule goes, which changes nothing. A
/// single wider rule gets the peers of the narrower, which then goes; if there are more of them, or if its peers are
/// not what is wider or stand for other ports too, the wider allowances go.
fn edits<'a>(run: &Run<'a>, wider: &[&Clause<'a>], narrow: &Clause<'a>) -> Vec<Edit> {
    let mut pruning = Pruning::default();
    if !wider.iter().all(|wide| narrow.covers_subject(wide)) {
        pruning.allow(narrow);
        return pruning.edits(run);
    }
    let narrowed = match wider {
        [wide] if !narrow.covers_peers(wide) && wide.is_whole_rule() => {
            narrow_peers(run, wide, narrow)
        }
        _ => None,
    };
    let Some(edit) = narrowed else {
        wider.iter().for_each(|wide| pruning.allow(wide));
        return pruning.edits(run);
    };
    // The wider rule says the same now.
    pruning.allow(narrow);
    std::iter::once(edit).chain(pruning.edits(run)).collect()
}

/// Gives the wider rule the peers of the narrower one.
fn narrow_peers<'a>(run: &Run<'a>, wide: &Clause<'a>, narrow: &Clause<'a>) -> Option<Edit> {
    let Peers::Listed(peers) = &narrow.rule.peers else {
        return None;
    };
    if narrow.of.name.kind.is_kubernetes() || wide.of.name.kind.is_kubernetes() {
        return None;
    }
    let prefix = match wide.direction() {
        Direction::Ingress => "from",
        Direction::Egress => "to",
    };
    let (kind, value) = render_peers(peers)?;
    let key = format!("{prefix}{kind}");
    let document = run.documents.get(wide.document)?;
    run.trees.with(document, |tree| {
        let node = rule_node(tree, wide.of, wide.spec, wide.rule)?;
        let editor = Editor::of(document);
        let kinds = ["Endpoints", "CIDR", "CIDRSet", "Entities"];
        let mut present = kinds
            .iter()
            .filter_map(|kind| node.entry(&format!("{prefix}{kind}")));
        match (present.next(), present.next()) {
            (None, _) => editor.insert_entry(node, &key, &value),
            (Some(only), None) => Some(editor.replace_entry(only, &key, &value)),
            _ => None,
        }
    })
}
