//! PL010 nobody-fits: a selector that fits nobody in the world.

use std::collections::{HashMap, HashSet};

use porin_identity::{Label, Labels, Operator, Requirement, Selector, key, source};

use super::clause::subject;
use super::code::Code;
use super::edit::{Editor, peer_node, rule_node, spec_node};
use super::finding::Suggestion;
use super::people::People;
use super::pl002::meant;
use super::registry::{Found, Run};
use super::side::pods;
use crate::parse::suggest;
use crate::peers::{Peer, Peers};
use crate::rule::{Document, Guards, Location, Rule, Spec};
use crate::scope::scope_peer;
use crate::world::Workload;

pub(super) fn run(run: &Run<'_>, found: &mut Vec<Found>) {
    let Some(people) = &run.people else { return };
    let mut known = Known {
        people,
        answers: HashMap::new(),
    };
    for (index, document) in run.documents.iter().enumerate() {
        for spec in document
            .specs
            .iter()
            .filter(|spec| spec.guards == Guards::Endpoints)
        {
            let guarded = subject(document, spec);
            if !spec.subject.is_everything() && known.fits_nobody(&guarded) {
                let place = subject_place(run, document, spec);
                found.extend(report(
                    run,
                    index,
                    place,
                    people,
                    &guarded,
                    "this policy guards nobody",
                ));
                continue;
            }
            for rule in &spec.rules {
                peers(run, (index, document), spec, rule, &mut known, found);
            }
        }
    }
}

/// What is known of selectors that were asked about before.
struct Known<'r, 'w> {
    people: &'r People<'w>,
    answers: HashMap<Selector, bool>,
}

impl Known<'_, '_> {
    fn fits_nobody(&mut self, selector: &Selector) -> bool {
        if let Some(answer) = self.answers.get(selector) {
            return *answer;
        }
        let nobody =
            self.people.can_tell(selector) && self.people.fitting(selector).next().is_none();
        self.answers.insert(selector.clone(), nobody);
        nobody
    }
}

fn peers(
    run: &Run<'_>,
    (index, document): (usize, &Document),
    spec: &Spec,
    rule: &Rule,
    known: &mut Known<'_, '_>,
    found: &mut Vec<Found>,
) {
    let Peers::Listed(listed) = &rule.peers else {
        return;
    };
    let people = known.people;
    for (place, peer) in listed.iter().enumerate() {
        let selector = match peer {
            Peer::Endpoints(written) if written.is_everything() => continue,
            Peer::Endpoints(written) => {
                let scoped = scope_peer(written, &spec.subject, &document.name, run.options);
                // PL002 says it better.
                if !known.fits_nobody(&scoped)
                    || !meant(run, document, spec, written, people).is_empty()
                {
                    continue;
                }
                scoped
            }
            Peer::Pods(peer) if peer.pods.as_ref().is_none_or(Selector::is_everything) => continue,
            Peer::Pods(peer) => pods(peer, document.name.namespace.as_deref()),
            _ => continue,
        };
        if known.fits_nobody(&selector) {
            let place = peer_place(run, index, spec, rule, place);
            found.extend(report(
                run,
                index,
                place,
                people,
                &selector,
                "this peer is nobody",
            ));
        }
    }
}

fn report(
    run: &Run<'_>,
    index: usize,
    location: Location,
    people: &People<'_>,
    selector: &Selector,
    so: &str,
) -> Option<Found> {
    let reason = format!(
        "no workload of the world fits `{}`, so {so}",
        plain(selector)
    );
    let advice = match near_miss(selector, people) {
        Some((workload, what)) => format!(
            "`{}` in namespace {} would fit but for {what}; mend the selector, or the world file",
            workload.name, workload.namespace
        ),
        None => "mend the selector, or add to the world file whom it is for".to_owned(),
    };
    let place = (index, location);
    Found::new(
        run,
        Code::NobodyFits,
        place,
        None,
        reason,
        Suggestion::words(advice),
    )
}

/// A selector without the cluster that scoping added.
fn plain(selector: &Selector) -> Selector {
    let terms = selector.requirements().iter();
    terms
        .filter(|term| term.key.key() != key::CLUSTER)
        .cloned()
        .collect()
}

/// The workload that misses a selector by the least, and by what.
fn near_miss<'w>(selector: &Selector, people: &People<'w>) -> Option<(&'w Workload, String)> {
    let labels_asked = plain(selector)
        .requirements()
        .iter()
        .filter(|term| !term.key.covers(source::K8S, key::NAMESPACE))
        .count();
    let mut seen = HashSet::new();
    let mut best: Option<(u8, &Workload, String)> = None;
    for (workload, labels) in people.iter() {
        let mut missing = selector
            .requirements()
            .iter()
            .filter(|term| !term.matches(labels));
        let (Some(term), None) = (missing.next(), missing.next()) else {
            continue;
        };
        let own = labels
            .iter()
            .find(|label| term.key.covers(label.source(), label.key()));
        // Whoever has the same label instead is as near.
        if own.is_some_and(|own| !seen.insert((own.key(), own.value()))) {
            continue;
        }
        if let Some((rank, what)) = miss(term, own, labels, labels_asked)
            && best.as_ref().is_none_or(|(least, ..)| rank < *least)
        {
            best = Some((rank, workload, what));
        }
    }
    best.map(|(_, workload, what)| (workload, what))
}

/// How a workload misses a term, and how likely it is the one that was meant: a similar value or
/// key, another namespace, or one label of several.
fn miss(
    term: &Requirement,
    own: Option<&Label>,
    labels: &Labels,
    labels_asked: usize,
) -> Option<(u8, String)> {
    let Operator::Equals(value) = &term.operator else {
        return (labels_asked > 1).then(|| (3, format!("`{term}`")));
    };
    if let Some(own) = own {
        let has = format!("`{term}` (it has `{}`)", own.value());
        if is_similar(value, own.value()) {
            return Some((0, has));
        }
        let elsewhere = term.key.covers(source::K8S, key::NAMESPACE) && labels_asked > 0;
        return (elsewhere || labels_asked > 1).then_some((2, has));
    }
    let similar =
        |label: &&Label| label.value() == &**value && is_similar(term.key.key(), label.key());
    if let Some(label) = labels.iter().find(similar) {
        return Some((
            1,
            format!("`{term}` (it has `{}={}`)", label.key(), label.value()),
        ));
    }
    (labels_asked > 1).then(|| (3, format!("`{term}`")))
}

/// A slip of the pen apart: a letter or two, or two that changed places.
fn is_similar(text: &str, known: &str) -> bool {
    let (a, b) = (text.as_bytes(), known.as_bytes());
    let differ = a.iter().zip(b).position(|(a, b)| a != b);
    let swapped = differ.is_some_and(|at| {
        let (Some([x, y, rest @ ..]), Some([v, w, others @ ..])) = (a.get(at..), b.get(at..))
        else {
            return false;
        };
        x == w && y == v && rest == others
    });
    swapped || suggest(text, &[known]).is_some()
}

fn subject_place(run: &Run<'_>, document: &Document, spec: &Spec) -> Location {
    let named = run
        .documents
        .iter()
        .find(|other| std::ptr::eq(*other, document));
    let place = named.and_then(|document| {
        run.trees.with(document, |tree| {
            let node = spec_node(tree, spec)?;
            let fields = ["endpointSelector", "podSelector", "subject"];
            let node = fields.iter().find_map(|field| node.get(field))?;
            Some(Editor::of(document).location(node.start))
        })
    });
    place.unwrap_or_else(|| spec.location.clone())
}

/// Where a peer stands; else where its rule does.
pub(super) fn peer_place(
    run: &Run<'_>,
    index: usize,
    spec: &Spec,
    rule: &Rule,
    place: usize,
) -> Location {
    let document = run.documents.get(index);
    let found = document.and_then(|document| {
        run.trees.with(document, |tree| {
            let Peers::Listed(peers) = &rule.peers else {
                return None;
            };
            let node = rule_node(tree, document, spec, rule)?;
            let node = peer_node(node, rule.direction, peers, place)?;
            Some(Editor::of(document).location(node.start))
        })
    });
    found.unwrap_or_else(|| rule.location.clone())
}
