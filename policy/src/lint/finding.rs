//! What lint reports.

use std::fmt;

use super::code::{Code, Level};
use crate::rule::{Location, PolicyName};

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What it is about.
    pub code: Code,
    /// How bad it is.
    pub level: Level,
    /// Where it shows.
    pub location: Location,
    /// In which policy.
    pub policy: PolicyName,
    /// What it hangs together with.
    pub related: Option<Related>,
    /// What will happen, and why.
    pub reason: String,
    /// What to do.
    pub suggestion: Suggestion,
}

impl fmt::Display for Finding {
    /// `FILE:LINE:COLUMN: LEVEL PL00N title: POLICY: reason (beside POLICY, PLACE); suggestion`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            code,
            level,
            location,
            policy,
            related,
            reason,
            suggestion,
        } = self;
        write!(
            f,
            "{location}: {level} {code} {}: {policy}: {reason}",
            code.title()
        )?;
        if let Some(related) = related {
            write!(f, " (beside {}, {})", related.policy, related.location)?;
        }
        write!(f, "; {}", suggestion.advice)
    }
}

/// The other half of a finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Related {
    /// Where it stands.
    pub location: Location,
    /// In which policy.
    pub policy: PolicyName,
}

/// What to do about a finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suggestion {
    /// In words.
    pub advice: String,
    /// As edits of the files. Applied together they make the finding disappear. Empty where no edit
    /// is safe without knowing what was meant.
    pub edits: Vec<Edit>,
}

impl Suggestion {
    /// Words alone, where no edit is safe.
    pub(super) fn words(advice: impl Into<String>) -> Self {
        Self {
            advice: advice.into(),
            edits: Vec::new(),
        }
    }

    /// The text of `file` with those edits applied that are meant for it.
    ///
    /// `text` has to be the text that was linted. Edits that do not fit it change nothing.
    pub fn apply(&self, file: &str, text: &str) -> String {
        let mut edits: Vec<&Edit> = self
            .edits
            .iter()
            .filter(|edit| edit.location.file() == file)
            .collect();
        edits.sort_by_key(|edit| std::cmp::Reverse((edit.start, edit.end)));
        let mut edited = text.to_owned();
        let mut behind = text.len();
        for edit in edits {
            if edit.end <= behind && edited.get(edit.start..edit.end).is_some() {
                edited.replace_range(edit.start..edit.end, &edit.replacement);
                behind = edit.start;
            }
        }
        edited
    }
}

/// One replacement in one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// Where the replaced text begins.
    pub location: Location,
    /// The first byte of the file that is replaced.
    pub start: usize,
    /// The first byte behind what is replaced; equal to `start` for an insertion.
    pub end: usize,
    /// What stands there afterwards.
    pub replacement: String,
}
