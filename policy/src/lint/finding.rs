//! What lint reports.

use std::fmt;

use crate::rule::{Location, PolicyName};

/// What a finding is about. The numbers are stable; further ones start at PL010.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Code {
    /// PL001: a rule list that is there and empty closes nothing in Cilium.
    EmptyRuleList,
    /// PL002: a peer selector without a namespace means the policy's own, where nobody fits it.
    NamespaceScope,
    /// PL003: another allowance covers all of this one and more.
    ShadowedAllow,
    /// PL004: an allowance of the ports alone lets past what L7 rules should judge.
    L7Dissolved,
    /// PL005: a header value that looks like a pattern is compared as it stands.
    HeaderPattern,
    /// PL006: another L7 rule covers all of this one and more.
    L7Shadowed,
}

impl Code {
    /// All codes, in order.
    pub const ALL: [Self; 6] = [
        Self::EmptyRuleList,
        Self::NamespaceScope,
        Self::ShadowedAllow,
        Self::L7Dissolved,
        Self::HeaderPattern,
        Self::L7Shadowed,
    ];

    /// `PL001` …
    pub fn name(self) -> &'static str {
        match self {
            Self::EmptyRuleList => "PL001",
            Self::NamespaceScope => "PL002",
            Self::ShadowedAllow => "PL003",
            Self::L7Dissolved => "PL004",
            Self::HeaderPattern => "PL005",
            Self::L7Shadowed => "PL006",
        }
    }

    /// The code in words.
    pub fn title(self) -> &'static str {
        match self {
            Self::EmptyRuleList => "empty-rule-list",
            Self::NamespaceScope => "namespace-scope",
            Self::ShadowedAllow => "shadowed-allow",
            Self::L7Dissolved => "l7-dissolved",
            Self::HeaderPattern => "header-regex",
            Self::L7Shadowed => "l7-shadowed",
        }
    }

    /// How bad it is.
    pub fn level(self) -> Level {
        match self {
            Self::ShadowedAllow | Self::L7Shadowed => Level::Error,
            Self::EmptyRuleList
            | Self::NamespaceScope
            | Self::L7Dissolved
            | Self::HeaderPattern => Level::Warning,
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Level {
    /// Worth knowing.
    Note,
    /// The semantics differ, or the policy does less than it says.
    Warning,
    /// No semantics can give what the policy says.
    Error,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

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
    /// As edits of the files. Applied together they make the finding disappear.
    pub edits: Vec<Edit>,
}

impl Suggestion {
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
