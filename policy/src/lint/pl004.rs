//! PL004 l7-dissolved: an allowance of the ports alone lets past what L7 rules should judge.

use super::allow::Allow;
use super::cover::ports_meet;
use super::edit::{Editor, rule_node};
use super::finding::{Code, Edit, Suggestion};
use super::registry::{Found, Run};
use crate::l7::L7Rules;

pub(super) fn run(run: &Run<'_>, found: &mut Vec<Found>) {
    for judged in run.allows.iter().filter(|allow| !allow.l7().is_none()) {
        let Some(plain) = run
            .allows
            .beside(judged)
            .find(|plain| dissolves(plain, judged))
        else {
            continue;
        };
        let kind = judged.l7().field().unwrap_or("l7");
        let reason = format!(
            "{} allows the same peers the same port without rules, and in Cilium that lifts these `{kind}` rules; strict semantics keep them",
            plain.of.name
        );
        let advice = format!(
            "take the plain allowance out of {}; these rules allow what they should",
            plain.of.name
        );
        let suggestion = Suggestion {
            advice,
            edits: remove(run, plain).into_iter().collect(),
        };
        let place = (judged.document, judged.rule.location.clone());
        let related = Some(plain.related());
        found.extend(Found::new(
            run,
            Code::L7Dissolved,
            place,
            related,
            reason,
            suggestion,
        ));
    }
}

fn dissolves(plain: &Allow<'_>, judged: &Allow<'_>) -> bool {
    let ports = || plain.element.map(|(_, element)| element);
    let reaches = || match judged.l7() {
        // Queries are judged by the rules of exactly their port, which nothing else lifts.
        L7Rules::Dns(_) => plain.element.is_some_and(|(_, element)| {
            judged.element.is_some_and(|(_, judged)| {
                judged.ports.iter().any(|port| element.ports.contains(port))
            })
        }),
        // A parser without rules lets everything pass anyway.
        L7Rules::Other { rules, .. } if rules.is_empty() => false,
        _ => ports_meet(ports(), judged.element.map(|(_, element)| element)),
    };
    plain.l7().is_none() && plain.covers_subject(judged) && plain.covers_peers(judged) && reaches()
}

/// Takes an allowance out, and leaves the default deny that its rule switches on.
pub(super) fn remove(run: &Run<'_>, allow: &Allow<'_>) -> Option<Edit> {
    let document = run.documents.get(allow.document)?;
    let tree = run.trees.tree(document)?;
    let (list, rule) = rule_node(&tree, allow.spec, allow.rule)?;
    let editor = Editor::of(document);
    match (rule.get("toPorts"), allow.element) {
        (Some(elements), Some((index, _))) if elements.item(1).is_some() => {
            editor.remove(elements, index, "{}")
        }
        _ => editor.remove(list, allow.rule.index, "{}"),
    }
}
