//! The examples of the page about languages are read and refused as the page says.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

use porin_policy::{Options, PolicyKind, Semantics, parse_documents};

const PAGE: &str = include_str!("../../docs/languages.md");

/// The examples: what is said of each, its text, and what stands in the block of text behind it.
fn examples() -> Vec<(&'static str, &'static str, Option<&'static str>)> {
    let mut blocks = PAGE.split("```").skip(1).step_by(2).peekable();
    let mut found = Vec::new();
    while let Some(block) = blocks.next() {
        let (mark, text) = block.split_once('\n').unwrap();
        if let Some(mark) = mark.strip_prefix("yaml ") {
            let message = blocks.peek().and_then(|next| next.strip_prefix("text\n"));
            found.push((mark, text, message.map(str::trim_end)));
        }
    }
    found
}

/// The first reason against a text under a semantics, if there is one.
fn refusal(text: &str, semantics: Semantics) -> Option<String> {
    let parsed = parse_documents("page.yaml", text);
    let options = Options::new().semantics(semantics);
    let documents = parsed.documents.iter();
    let mut objections = documents.filter_map(|document| document.accept(&options).err());
    let mut refused = parsed.refused.iter().map(|refused| &refused.error);
    let error = refused.next().or_else(|| objections.next());
    error.map(ToString::to_string)
}

#[test]
fn every_example_is_read_or_refused_as_it_is_marked() {
    let examples = examples();
    assert!(examples.len() > 12, "{}", examples.len());
    for (mark, text, message) in examples {
        let strict = refusal(text, Semantics::Strict);
        let cilium = refusal(text, Semantics::Cilium);
        let message = message.map(str::to_owned);
        let expected = match mark {
            "read" => (None, None),
            "refused" => (message.clone(), message),
            "strict" => (None, message),
            "cilium" => (message, None),
            other => panic!("unknown mark {other}"),
        };
        assert_eq!((strict, cilium), expected, "{text}");
    }
}

#[test]
fn every_kind_stands_in_the_table() {
    for kind in PolicyKind::ALL {
        let row = format!("| `{}` |", kind.name());
        let line = PAGE.lines().find(|line| line.contains(&row)).unwrap();
        let short = format!("`{}` |", kind.short_name());
        assert!(line.ends_with(&short), "{line}");
    }
}
