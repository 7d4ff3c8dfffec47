//! PL024 port-range: a range that is none, or not the one that is written.

use super::clause::Clause;
use super::code::Code;
use super::edit::{Editor, element_list, rule_node};
use super::finding::Suggestion;
use super::registry::{Found, Run};
use crate::port_rule::{Port, PortProtocol, PortSpec};

pub(super) fn run(run: &Run<'_>, found: &mut Vec<Found>) {
    let cilium = run
        .clauses
        .iter()
        .filter(|clause| !clause.of.name.kind.is_kubernetes());
    for clause in cilium {
        let Some((_, element)) = clause.element else {
            continue;
        };
        for (place, port) in element.ports.iter().enumerate() {
            if let Some(mut remark) = remark(port) {
                // A denial of fewer ports lets more through.
                remark.instead = remark.instead.filter(|_| clause.allows());
                found.extend(report(run, clause, place, remark));
            }
        }
    }
}

struct Remark {
    reason: String,
    advice: String,
    /// The field of the port that gets another value.
    instead: Option<(&'static str, String)>,
}

fn remark(port: &PortSpec) -> Option<Remark> {
    let end = port.end_port?;
    if matches!(port.protocol, PortProtocol::Icmp | PortProtocol::Icmp6) {
        return None;
    }
    Some(match &port.port {
        Port::Number(0) => Remark {
            reason: format!(
                "a range from 0 is every port in Cilium; strict semantics end it at {end}"
            ),
            advice: format!(
                "begin it with 1: there is no port 0 to be reached; for every port leave `endPort` {end} out"
            ),
            instead: Some(("port", "\"1\"".to_owned())),
        },
        Port::Number(first) if end < *first => Remark {
            reason: format!("a range from {first} to {end} is the port {first} alone"),
            advice: "swap the two, or leave `endPort` out".to_owned(),
            instead: Some(("endPort", first.to_string())),
        },
        Port::Number(_) => return None,
        Port::Name(name) => Remark {
            reason: format!(
                "`endPort` {end} beside the name `{name}`: on egress Cilium takes no notice, on ingress it makes a range from the number that the name stands for"
            ),
            advice: "write the range in numbers, or leave `endPort` out".to_owned(),
            instead: None,
        },
    })
}

fn report<'a>(run: &Run<'a>, clause: &Clause<'a>, place: usize, remark: Remark) -> Option<Found> {
    let document = run.documents.get(clause.document)?;
    let (element, _) = clause.element?;
    let found = run.trees.with(document, |tree| {
        let rule = rule_node(tree, document, clause.spec, clause.rule)?;
        let port = element_list(rule)?
            .item(element)?
            .get("ports")?
            .item(place)?;
        let editor = Editor::of(document);
        let edit = remark
            .instead
            .as_ref()
            .and_then(|(field, value)| Some(editor.replace(port.get(field)?, value.as_str())));
        Some((editor.location(port.start), edit))
    });
    let (location, edit) = found.unwrap_or_else(|| (clause.location().clone(), None));
    let suggestion = Suggestion {
        advice: remark.advice,
        edits: edit.into_iter().collect(),
    };
    let place = (clause.document, location);
    Found::new(run, Code::PortRange, place, None, remark.reason, suggestion)
}
