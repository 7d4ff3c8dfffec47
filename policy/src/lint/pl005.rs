//! PL005 header-regex: header values are compared as they stand, not as patterns.

use super::clause::Clause;
use super::code::Code;
use super::edit::{Editor, quote, rule_node};
use super::finding::{Edit, Suggestion};
use super::registry::{Found, Run};
use crate::l7::{HeaderRule, L7Rules};

pub(super) fn run(run: &Run<'_>, found: &mut Vec<Found>) {
    for allow in run.clauses.iter() {
        let L7Rules::Http(rules) = allow.l7() else {
            continue;
        };
        for (at, rule) in rules.iter().enumerate() {
            for (place, header) in rule
                .headers
                .iter()
                .enumerate()
                .filter(|(_, header)| is_pattern(header))
            {
                found.extend(report(run, allow, (at, place), header));
            }
        }
    }
}

fn report<'a>(
    run: &Run<'a>,
    allow: &Clause<'a>,
    at: (usize, usize),
    header: &HeaderRule,
) -> Option<Found> {
    let HeaderRule { name, value } = header;
    let value = value.as_deref().unwrap_or_default();
    let reason = format!(
        "the value `{value}` of header `{name}` is compared as it stands, so no real value passes in Cilium; strict semantics read `.*` as presence"
    );
    let advice = format!("write `{name}` alone to ask for the header with any value");
    let edit = edit(run, allow, at, name);
    let location = edit
        .as_ref()
        .map_or(&allow.rule.location, |edit| &edit.location)
        .clone();
    let suggestion = Suggestion {
        advice,
        edits: edit.into_iter().collect(),
    };
    Found::new(
        run,
        Code::HeaderPattern,
        (allow.document, location),
        None,
        reason,
        suggestion,
    )
}

fn edit<'a>(
    run: &Run<'a>,
    allow: &Clause<'a>,
    (at, place): (usize, usize),
    name: &str,
) -> Option<Edit> {
    let document = run.documents.get(allow.document)?;
    let (element, _) = allow.element?;
    run.trees.with(document, |tree| {
        let element = rule_node(tree, allow.of, allow.spec, allow.rule)?
            .get("toPorts")?
            .item(element)?;
        let rule = element.get("rules")?.get("http")?.item(at)?;
        let text = rule.get("headers")?.item(place)?;
        Some(Editor::of(document).replace(text, quote(name)))
    })
}

/// Whether a value looks like a regular expression rather than like a value.
fn is_pattern(header: &HeaderRule) -> bool {
    let Some(value) = header.value.as_deref() else {
        return false;
    };
    let value = value.trim();
    let parts = [
        ".*", ".+", "\\d", "\\w", "\\s", "\\S", "]+", "]*", "](", "]{", ")?", "(?",
    ];
    parts.iter().any(|part| value.contains(part)) || value.starts_with('^') || value.ends_with('$')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_told_from_values() {
        for text in [
            "Authorization: .*",
            "Authorization: Bearer .+",
            "X-Id: \\d{4}",
            "X-Id: ^a",
            "X: [a-z]+",
        ] {
            assert!(is_pattern(&HeaderRule::from_text(text)), "{text}");
        }
        for text in [
            "Authorization",
            "Accept: */*",
            "Authorization: Bearer abc",
            "X: [1]",
            "X: a.b",
            "X: ",
        ] {
            assert!(!is_pattern(&HeaderRule::from_text(text)), "{text}");
        }
    }
}
