//! What became of the cases of a file.

use std::collections::BTreeMap;
use std::fmt;

use porin::flow::Escaped;
use serde::Serialize;

/// What became of one case.
#[derive(Debug, Serialize)]
#[serde(tag = "outcome", content = "because", rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// Everything is as recorded.
    Passed,
    /// Something is not.
    Failed(Vec<Difference>),
    /// The case needs what is not built yet, named here.
    NotApplicable(String),
}

impl Outcome {
    /// Passed, if there is nothing to say against it.
    pub(crate) fn of(differences: Vec<impl Into<Difference>>) -> Self {
        if differences.is_empty() {
            Self::Passed
        } else {
            Self::Failed(differences.into_iter().map(Into::into).collect())
        }
    }
}

/// One thing that is not as recorded.
#[derive(Debug, Serialize)]
pub(crate) struct Difference {
    /// The place of the flow that is answered otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    flow: Option<usize>,
    /// The parts of the answer that are unlike: verdict, redirect…
    #[serde(skip_serializing_if = "Vec::is_empty")]
    parts: Vec<&'static str>,
    /// The place of the document that only one side refuses.
    #[serde(skip_serializing_if = "Option::is_none")]
    document: Option<usize>,
    /// What was found and what was expected.
    pub(crate) text: String,
}

impl Difference {
    /// The answers about a flow are unlike in these parts.
    pub(crate) fn flow(at: usize, parts: Vec<&'static str>, text: String) -> Self {
        Self {
            flow: Some(at),
            parts,
            ..Self::from(text)
        }
    }

    /// A document is refused by one side only.
    pub(crate) fn document(at: usize, text: String) -> Self {
        Self {
            document: Some(at),
            ..Self::from(text)
        }
    }
}

impl From<String> for Difference {
    fn from(text: String) -> Self {
        Self {
            flow: None,
            parts: Vec::new(),
            document: None,
            text,
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
    pub(crate) fn count(&mut self, outcome: Outcome) -> Option<Vec<Difference>> {
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
