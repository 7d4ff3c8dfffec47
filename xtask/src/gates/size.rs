//! Files stay small enough to hold in the head.

use std::path::Path;

use super::{Outcome, judge};
use crate::{
    failure::Failure,
    workspace::{Workspace, read},
};

/// Lines that a file may have before its tests.
const LIMIT: usize = 700;

pub(super) fn check(workspace: &Workspace) -> Result<Outcome, Failure> {
    let mut complaints = Vec::new();
    for path in workspace.files(&[".rs", ".c", ".h", ".go"])? {
        let lines = read(&path)?
            .lines()
            .take_while(|line| !line.starts_with("#[cfg(test)]"))
            .count();
        if lines > LIMIT && !is_test(&path) {
            complaints.push(format!(
                "{}: {lines} lines without tests, the limit is {LIMIT}",
                workspace.show(&path)
            ));
        }
    }
    judge(&complaints)
}

/// Whether a file is a test as a whole.
pub(super) fn is_test(path: &Path) -> bool {
    path.iter().any(|part| part == "tests")
}
