//! PL005 header-regex: header values are compared as they stand, not as patterns.

use super::edit::{Editor, quote, rule_node};
use super::finding::{Code, Suggestion};
use super::registry::{Found, Run};
use crate::l7::{HeaderRule, L7Rules};
use crate::rule::Location;
use crate::yaml::Lines;

pub(super) fn run(run: &Run<'_>, found: &mut Vec<Found>) {
    for allow in run.allows.iter() {
        let (L7Rules::Http(rules), Some((element, _))) = (allow.l7(), allow.element) else {
            continue;
        };
        let headers = rules.iter().enumerate().flat_map(|(at, rule)| {
            rule.headers
                .iter()
                .enumerate()
                .map(move |(place, header)| (at, place, header))
        });
        for (at, place, header) in headers.filter(|(.., header)| is_pattern(header)) {
            let value = header.value.as_deref().unwrap_or_default();
            let reason = format!(
                "the value `{value}` of header `{}` is compared as it stands, so no real value passes in Cilium; strict semantics read `.*` as presence",
                header.name
            );
            let advice = format!(
                "write `{}` alone to ask for the header with any value",
                header.name
            );
            let (location, edit) = (|| {
                let document = run.documents.get(allow.document)?;
                let tree = run.trees.tree(document)?;
                let (_, node) = rule_node(&tree, allow.spec, allow.rule)?;
                let rules = node
                    .get("toPorts")?
                    .item(element)?
                    .get("rules")?
                    .get("http")?;
                let text = rules.item(at)?.get("headers")?.item(place)?;
                let (line, column) = Lines::new(&document.source.text).place(text.start);
                let location = Location::new(document.location.file(), line, column);
                Some((
                    location,
                    Some(Editor::of(document).replace(text, quote(&header.name))),
                ))
            })()
            .unwrap_or_else(|| (allow.rule.location.clone(), None));
            let suggestion = Suggestion {
                advice,
                edits: edit.into_iter().collect(),
            };
            found.extend(Found::new(
                run,
                Code::HeaderPattern,
                (allow.document, location),
                None,
                reason,
                suggestion,
            ));
        }
    }
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
