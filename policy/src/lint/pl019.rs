//! PL019 negative-selector: a selector of absences alone picks whatever lacks the labels.

use porin_identity::{Requirement, Selector, SelectorKey, key, source};

use super::code::Code;
use super::edit::{Editor, peer_node, render_selector, rule_node};
use super::finding::Suggestion;
use super::registry::{Found, PeerAt, Run};
use super::side::is_negative;
use crate::peers::{Peer, Peers};
use crate::rule::Action;
use crate::scope::scope_peer;

pub(super) fn run(run: &Run<'_>, found: &mut Vec<Found>) {
    for at in run.peers() {
        let Peer::Endpoints(written) = at.peer else {
            continue;
        };
        let scoped = scope_peer(written, &at.spec.subject, &at.of.name, run.options);
        if picks_by_absence(&scoped) {
            found.extend(report(run, &at, written));
        }
    }
}

fn picks_by_absence(scoped: &Selector) -> bool {
    let terms = scoped.requirements();
    !terms.is_empty() && terms.iter().all(|term| is_negative(&term.operator))
}

fn report<'a>(run: &Run<'a>, at: &PeerAt<'a>, written: &Selector) -> Option<Found> {
    let workloads = SelectorKey::new(source::K8S, key::NAMESPACE);
    let by = render_selector(&written.with(Requirement::exists(workloads)));
    let found = run.trees.with(at.of, |tree| {
        let Peers::Listed(peers) = &at.rule.peers else {
            return None;
        };
        let node = rule_node(tree, at.of, at.spec, at.rule)?;
        let node = peer_node(node, at.rule.direction, peers, at.place)?;
        let editor = Editor::of(at.of);
        Some((editor.location(node.start), editor.replace(node, by)))
    });
    let (location, edits) = match found {
        // A denial of fewer lets more through.
        Some((location, _)) if at.rule.action == Action::Deny => (location, Vec::new()),
        Some((location, edit)) => (location, vec![edit]),
        None => (at.rule.location.clone(), Vec::new()),
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
        (at.document, location),
        None,
        reason,
        suggestion,
    )
}
