//! The tests that the page of attack cases names exist.

use std::fs;

use super::Outcome;
use crate::{failure::Failure, workspace::Workspace};

/// Cases of the datapath that have a test of their own.
const CASES: [u32; 15] = [10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 48, 49];

/// Every case has a test, every test that is named is found in the sources.
pub(super) fn check(workspace: &Workspace) -> Result<Outcome, Failure> {
    let page = workspace.root().join("docs/attack-cases.md");
    let page = fs::read_to_string(&page).map_err(|error| Failure::io(page.display(), &error))?;
    let mut sources = String::new();
    for path in workspace.files(&[".rs"])? {
        if path.components().any(|part| part.as_os_str() == "tests") {
            let text = fs::read_to_string(&path);
            sources += &text.map_err(|error| Failure::io(path.display(), &error))?;
        }
    }
    let lacks = lacking(&page, &sources);
    match lacks.is_empty() {
        true => Ok(Outcome::Holds),
        false => Err(Failure::new(format!(
            "docs/attack-cases.md: {}",
            lacks.join("; ")
        ))),
    }
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
    use super::{CASES, lacking};

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
