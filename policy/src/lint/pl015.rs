//! PL015 http-expression: an expression for method, path or host fits less or more than it seems to.

use super::clause::Clause;
use super::code::Code;
use super::edit::{Editor, element_list, quote, rule_node};
use super::expression::{Remark, host, method, path};
use super::finding::Suggestion;
use super::registry::{Found, Run};
use crate::l7::{HttpRule, L7Rules};

pub(super) fn run(run: &Run<'_>, found: &mut Vec<Found>) {
    for clause in run.clauses.iter() {
        let L7Rules::Http(rules) = clause.l7() else {
            continue;
        };
        for (at, rule) in rules.iter().enumerate() {
            for (field, remark) in remarks(rule) {
                found.extend(report(run, clause, (at, field), remark));
            }
        }
    }
}

fn remarks(rule: &HttpRule) -> impl Iterator<Item = (&'static str, Remark)> {
    let method = rule.method.as_deref().and_then(method);
    let path = rule.path.as_deref().and_then(path);
    let host = rule.host.as_deref().and_then(host);
    let all = [("method", method), ("path", path), ("host", host)];
    all.into_iter()
        .filter_map(|(field, remark)| Some((field, remark?)))
}

fn report<'a>(
    run: &Run<'a>,
    clause: &Clause<'a>,
    (at, field): (usize, &'static str),
    remark: Remark,
) -> Option<Found> {
    let document = run.documents.get(clause.document)?;
    let (element, port_rule) = clause.element?;
    let kind = port_rule.l7.field()?;
    let found = run.trees.with(document, |tree| {
        let rule = rule_node(tree, document, clause.spec, clause.rule)?;
        let rules = element_list(rule)?.item(element)?.get("rules")?.get(kind)?;
        let text = rules.item(at)?.get(field)?;
        let editor = Editor::of(document);
        let edit = remark
            .instead
            .as_ref()
            .map(|by| editor.replace(text, quote(by)));
        Some((editor.location(text.start), edit))
    });
    let (location, edit) = found.unwrap_or_else(|| (clause.location().clone(), None));
    let suggestion = Suggestion {
        advice: remark.advice,
        edits: edit.into_iter().collect(),
    };
    let reason = format!("`{field}` {}", remark.reason);
    let place = (clause.document, location);
    Found::new(run, Code::HttpExpression, place, None, reason, suggestion)
}
