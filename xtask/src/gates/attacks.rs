//! The tests that the page of attack cases and the table of odd packets name exist.

use std::fs;

use super::Outcome;
use crate::{failure::Failure, workspace::Workspace};

/// Cases of the datapath that have a test of their own.
const CASES: [u32; 15] = [10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 48, 49];

/// The attack cases.
const CASES_PAGE: &str = "docs/attack-cases.md";
/// The page of the programs, and the section of odd packets in it.
const ODD_PAGE: &str = "datapath/bpf/README.md";
const ODD: &str = "Odd packets";

/// Every case has a test, every test that is named is found in the sources.
pub(super) fn check(workspace: &Workspace) -> Result<Outcome, Failure> {
    let read = |path: &str| {
        let path = workspace.root().join(path);
        fs::read_to_string(&path).map_err(|error| Failure::io(path.display(), &error))
    };
    let (page, programs) = (read(CASES_PAGE)?, read(ODD_PAGE)?);
    let mut sources = String::new();
    for path in workspace.files(&[".rs"])? {
        if path.components().any(|part| part.as_os_str() == "tests") {
            let text = fs::read_to_string(&path);
            sources += &text.map_err(|error| Failure::io(path.display(), &error))?;
        }
    }
    for (page, lacks) in [
        (CASES_PAGE, lacking(&page, &sources)),
        (ODD_PAGE, untried(&programs, &sources)),
    ] {
        if !lacks.is_empty() {
            return Err(Failure::new(format!("{page}: {}", lacks.join("; "))));
        }
    }
    Ok(Outcome::Holds)
}

/// Rows of the table of odd packets without a test in their third column, and tests there that are
/// in no list of tests.
fn untried(page: &str, sources: &str) -> Vec<String> {
    let section = page.split("\n## ").find(|part| part.starts_with(ODD));
    let rows = section.unwrap_or_default().lines();
    let rows: Vec<&str> = rows.filter(|row| row.starts_with("| ")).skip(1).collect();
    if rows.is_empty() {
        return vec![format!("there is no table in \"{ODD}\"")];
    }
    let mut lacks = Vec::new();
    for row in rows {
        let tests = row.split(" | ").nth(2);
        let names: Vec<&str> = tests
            .unwrap_or_default()
            .split('`')
            .skip(1)
            .step_by(2)
            .collect();
        if names.is_empty() {
            lacks.push(format!("no test in the row `{row}`"));
        }
        let unknown = names
            .iter()
            .filter(|name| !sources.contains(&format!("\"{name}\"")));
        lacks.extend(unknown.map(|name| format!("there is no test `{name}`")));
    }
    lacks
}

fn lacking(page: &str, sources: &str) -> Vec<String> {
    let words = page.split('`').skip(1).step_by(2);
    let named: Vec<&str> = words.filter(|word| word.starts_with("ac_")).collect();
    let unknown = named.iter().filter(|name| !sources.contains(**name));
    let unknown = unknown.map(|name| format!("there is no test `{name}`"));
    let untested = CASES.iter().filter(|case| {
        let prefix = format!("ac_{case}_");
        !named.iter().any(|name| name.starts_with(&prefix))
    });
    let untested = untested.map(|case| format!("AC-{case} names no test"));
    unknown.chain(untested).collect()
}

#[cfg(test)]
mod tests {
    use super::{CASES, lacking, untried};

    #[test]
    fn rows_without_a_test_are_told() {
        let page = "# P\n\n## Odd packets\n\n| packet | fate | test |\n|---|---|---|\n\
                    | a | `R` | `is_tried` |\n\n## Flows\n| b | c |\n";
        assert_eq!(untried(page, "(\"is_tried\", f)"), Vec::<String>::new());
        assert_eq!(
            untried(page, "fn is_tried()"),
            ["there is no test `is_tried`"]
        );
        let bare = page.replace("`is_tried`", "");
        let told = ["no test in the row `| a | `R` |  |`"];
        assert_eq!(untried(&bare, ""), told, "the fate is no test");
        assert_eq!(untried("## Flows\n| b |\n", "").len(), 1);
    }

    #[test]
    fn what_is_not_there_is_told() {
        let rows = CASES.map(|case| format!("| AC-{case} | `ac_{case}_holds` | |\n"));
        let page = rows.concat();
        let sources = page.replace("ac_11_holds", "");
        assert_eq!(lacking(&page, &page), Vec::<String>::new());
        assert_eq!(lacking(&page, &sources), ["there is no test `ac_11_holds`"]);
        let page = page.replace("ac_48_", "ac_47_");
        assert_eq!(lacking(&page, &page), ["AC-48 names no test"]);
    }
}
