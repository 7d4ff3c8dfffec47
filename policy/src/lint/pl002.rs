//! PL002 namespace-scope: a peer selector without a namespace means the policy's own namespace.

use std::collections::BTreeSet;

use porin_identity::{Operator, Requirement, Selector, SelectorKey, key, source};

use super::code::Code;
use super::edit::{Editor, quote, render_selector, rule_node};
use super::finding::{Edit, Suggestion};
use super::people::People;
use super::registry::{Found, Run};
use crate::direction::Direction;
use crate::peers::{Peer, Peers};
use crate::rule::{Document, Location, Rule, Spec};
use crate::scope::scope_peer;
use crate::world::Workload;
use crate::yaml::{Node, Value, is_plain_text};

pub(super) fn run(run: &Run<'_>, found: &mut Vec<Found>) {
    let Some(people) = &run.people else { return };
    for (index, document) in run.documents.iter().enumerate() {
        let Some(own) = document.name.namespace.as_deref() else {
            continue;
        };
        for spec in &document.specs {
            for rule in &spec.rules {
                let Peers::Listed(peers) = &rule.peers else {
                    continue;
                };
                for (place, peer) in peers.iter().enumerate() {
                    let Peer::Endpoints(selector) = peer else {
                        continue;
                    };
                    let meant = meant(run, document, spec, selector, people);
                    if !meant.is_empty() {
                        let what = What {
                            document,
                            spec,
                            rule,
                            place,
                            selector,
                        };
                        found.extend(report(run, index, own, &what, &meant));
                    }
                }
            }
        }
    }
}

/// The workloads elsewhere that a selector fits, if it fits nobody where it looks.
pub(super) fn meant<'w>(
    run: &Run<'_>,
    document: &Document,
    spec: &Spec,
    selector: &Selector,
    people: &People<'w>,
) -> Vec<&'w Workload> {
    if document.name.namespace.is_none() {
        return Vec::new();
    }
    let says_where = selector.mentions(source::K8S, key::NAMESPACE)
        || selector.mentions_source(source::RESERVED)
        || selector
            .requirements()
            .iter()
            .any(|term| term.key.key().starts_with(key::NAMESPACE_LABELS_PREFIX));
    if selector.is_everything() || says_where {
        return Vec::new();
    }
    let scoped = scope_peer(selector, &spec.subject, &document.name, run.options);
    match people.fitting(&scoped).next() {
        Some(_) => Vec::new(),
        None => people.fitting(selector).collect(),
    }
}

struct What<'a> {
    document: &'a Document,
    spec: &'a Spec,
    rule: &'a Rule,
    /// The place among the rule's peers.
    place: usize,
    selector: &'a Selector,
}

fn report(
    run: &Run<'_>,
    index: usize,
    own: &str,
    what: &What<'_>,
    meant: &[&Workload],
) -> Option<Found> {
    let names: Vec<String> = meant
        .iter()
        .map(|one| format!("`{}` in namespace {}", one.name, one.namespace))
        .collect();
    let reason = format!(
        "peer `{}` names no namespace and so means {own}, where no workload fits; {} would fit",
        what.selector,
        names.join(", "),
    );
    let namespaces: BTreeSet<&str> = meant.iter().map(|one| &*one.namespace).collect();
    let namespaces: Vec<&str> = namespaces.into_iter().collect();
    let advice = format!(
        "name the namespace: `k8s:{}: {}`",
        key::NAMESPACE,
        namespaces.join(" or ")
    );
    let (location, edit) = locate(run, what, &namespaces).map_or_else(
        || (what.rule.location.clone(), None),
        |(location, edit)| (location, edit),
    );
    let suggestion = Suggestion {
        advice,
        edits: edit.into_iter().collect(),
    };
    Found::new(
        run,
        Code::NamespaceScope,
        (index, location),
        None,
        reason,
        suggestion,
    )
}

/// Where the selector stands, and the edit that names the namespaces.
fn locate(run: &Run<'_>, what: &What<'_>, namespaces: &[&str]) -> Option<(Location, Option<Edit>)> {
    let document = run
        .documents
        .iter()
        .find(|document| std::ptr::eq(*document, what.document))?;
    let field = match what.rule.direction {
        Direction::Ingress => "fromEndpoints",
        Direction::Egress => "toEndpoints",
    };
    run.trees.with(document, |tree| {
        let node = rule_node(tree, what.document, what.spec, what.rule)?
            .get(field)?
            .item(what.place)?;
        let location = Editor::of(document).location(node.start);
        Some((location, edit(document, node, what.selector, namespaces)))
    })
}

fn edit(
    document: &Document,
    node: &Node<'_>,
    selector: &Selector,
    namespaces: &[&str],
) -> Option<Edit> {
    let editor = Editor::of(document);
    let [only] = namespaces else {
        let values = namespaces.iter().map(|name| (*name).into()).collect();
        let term = Requirement::new(
            SelectorKey::new(source::K8S, key::NAMESPACE),
            Operator::In(values),
        );
        return Some(editor.replace(node, render_selector(&selector.with(term))));
    };
    let name = format!("{}:{}", source::K8S, key::NAMESPACE);
    match node.get("matchLabels") {
        Some(labels) if matches!(labels.value, Value::Map(_)) => {
            let value = if is_plain_text(only) {
                (*only).to_owned()
            } else {
                quote(only)
            };
            let in_json = document
                .source_text()?
                .as_bytes()
                .get(labels.start as usize)
                == Some(&b'{');
            editor.insert_entry(labels, &name, &if in_json { quote(only) } else { value })
        }
        _ => {
            let term = Requirement::equals(SelectorKey::new(source::K8S, key::NAMESPACE), only);
            Some(editor.replace(node, render_selector(&selector.with(term))))
        }
    }
}
