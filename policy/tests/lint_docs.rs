//! The examples of the lint page say what the page says.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

use porin_policy::{Code, Finding, Options, World, lint, parse_documents};

const PAGE: &str = include_str!("../../docs/lint.md");

/// The section of a code.
fn section(code: Code) -> &'static str {
    let heading = format!("\n## {} {}\n", code.name(), code.title());
    let (_, rest) = PAGE
        .split_once(&heading)
        .unwrap_or_else(|| panic!("{heading} is missing"));
    rest.split("\n## ").next().unwrap()
}

/// The block of a section with that mark.
fn block(code: Code, mark: &str) -> Option<&'static str> {
    let (_, rest) = section(code).split_once(&format!("```yaml {mark}\n"))?;
    rest.split("```").next()
}

fn findings(text: &str, world: Option<&World>) -> Vec<Finding> {
    let parsed = parse_documents("page.yaml", text);
    assert!(parsed.refused.is_empty(), "{:?}", parsed.refused);
    lint(&parsed.documents, world, &Options::new())
}

#[test]
fn every_code_has_a_bad_and_a_good_example() {
    for code in Code::ALL {
        let world = block(code, "world").map(|text| World::parse("world.yaml", text).unwrap());
        let bad = block(code, "bad").unwrap();
        let found = findings(bad, world.as_ref());
        assert_eq!(
            found.iter().map(|finding| finding.code).collect::<Vec<_>>(),
            [code]
        );
        let good = findings(block(code, "good").unwrap(), world.as_ref());
        assert!(good.is_empty(), "{good:?}");
        let suggestion = &found.first().unwrap().suggestion;
        let mended = suggestion.apply("page.yaml", bad);
        assert!(
            suggestion.edits.is_empty() || findings(&mended, world.as_ref()).is_empty(),
            "{code}: {mended}"
        );
        let row = format!("| {} | {} | {} |", code.name(), code.title(), code.level());
        assert!(PAGE.contains(&row), "{row}");
    }
}
