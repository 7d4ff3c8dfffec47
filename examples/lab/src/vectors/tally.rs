//! What became of the cases of a file.

use std::collections::BTreeMap;
use std::fmt;

use porin::flow::Escaped;

/// What became of one case.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// Everything is as recorded.
    Passed,
    /// Something is not; each text says what.
    Failed(Vec<String>),
    /// The case needs what is not built yet, named here.
    NotApplicable(String),
}

impl Outcome {
    /// Passed, if there is nothing to say against it.
    pub(crate) fn of(differences: Vec<String>) -> Self {
        if differences.is_empty() {
            Self::Passed
        } else {
            Self::Failed(differences)
        }
    }
}

/// The counts of a file, and the failures to be shown.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
    not_applicable: BTreeMap<String, usize>,
}

impl Tally {
    /// Counts an outcome; the description of a failure comes back.
    pub(crate) fn count(&mut self, outcome: Outcome) -> Option<Vec<String>> {
        match outcome {
            Outcome::Passed => self.passed += 1,
            Outcome::Failed(differences) => {
                self.failed += 1;
                return Some(differences);
            }
            Outcome::NotApplicable(field) => {
                *self.not_applicable.entry(field).or_default() += 1;
            }
        }
        None
    }
}

impl fmt::Display for Tally {
    /// `P passed, F failed, S not applicable (reason counts)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let skipped: usize = self.not_applicable.values().sum();
        write!(
            f,
            "{} passed, {} failed, {skipped} not applicable",
            self.passed, self.failed
        )?;
        let mut reasons: Vec<_> = self.not_applicable.iter().collect();
        reasons.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        for (n, (field, count)) in reasons.iter().enumerate() {
            let lead = if n == 0 { " (" } else { ", " };
            write!(f, "{lead}not yet: {} {count}", Escaped(field))?;
        }
        if reasons.is_empty() {
            Ok(())
        } else {
            f.write_str(")")
        }
    }
}
