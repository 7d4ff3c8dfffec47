//! PL019 negative-selector: a selector of absences alone picks whatever lacks the labels.

use porin_identity::{Requirement, Selector, SelectorKey, key, source};

use super::code::Code;
use super::edit::{Editor, peer_node, render_selector, rule_node};
use super::finding::Suggestion;
use super::registry::{Found, Run};
use super::side::is_negative;
use crate::peers::{Peer, Peers};
use crate::rule::{Rule, Spec};
use crate::scope::scope_peer;

pub(super) fn run(run: &Run<'_>, found: &mut Vec<Found>) {
    for (index, document) in run.documents.iter().enumerate() {
        for spec in &document.specs {
            for rule in &spec.rules {
                let Peers::Listed(peers) = &rule.peers else {
                    continue;
                };
                for (place, peer) in peers.iter().enumerate() {
                    let Peer::Endpoints(written) = peer else {
                        continue;
                    };
                    let scoped = scope_peer(written, &spec.subject, &document.name, run.options);
                    if picks_by_absence(&scoped) {
                        found.extend(report(run, index, (spec, rule, place), written));
                    }
                }
            }
        }
    }
}

fn picks_by_absence(scoped: &Selector) -> bool {
    let terms = scoped.requirements();
    !terms.is_empty() && terms.iter().all(|term| is_negative(&term.operator))
}

fn report(
    run: &Run<'_>,
    index: usize,
    (spec, rule, place): (&Spec, &Rule, usize),
    written: &Selector,
) -> Option<Found> {
    let document = run.documents.get(index)?;
    let workloads = SelectorKey::new(source::K8S, key::NAMESPACE);
    let by = render_selector(&written.with(Requirement::exists(workloads)));
    let found = run.trees.with(document, |tree| {
        let Peers::Listed(peers) = &rule.peers else {
            return None;
        };
        let node = rule_node(tree, document, spec, rule)?;
        let node = peer_node(node, rule.direction, peers, place)?;
        let editor = Editor::of(document);
        Some((editor.location(node.start), editor.replace(node, by)))
    });
    let (location, edits) = match found {
        Some((location, edit)) => (location, vec![edit]),
        None => (rule.location.clone(), Vec::new()),
    };
    let unscoped = match written.mentions_source(source::RESERVED) {
        true => ", and a selector that names a reserved label is looked for everywhere",
        false => "",
    };
    let reason = format!(
        "`{written}` asks only for what is not there{unscoped}: the world, nodes and workloads of every namespace fit alike"
    );
    let advice = format!(
        "ask for something that is there too: `k8s:{}` exists for workloads alone; or name entities",
        key::NAMESPACE
    );
    let suggestion = Suggestion { advice, edits };
    Found::new(
        run,
        Code::NegativeSelector,
        (index, location),
        None,
        reason,
        suggestion,
    )
}
