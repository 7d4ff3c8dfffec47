//! What is wrong with a policy or world file.

use std::fmt;

use super::kind::known_kinds;
use crate::rule::Location;
use crate::yaml::FaultKind;

/// Why a document is refused: the place, the field, the reason, and what to do about it.
///
/// ```
/// let text = "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: p}\nspec: {endpointSelecter: {}}\n";
/// let parsed = porin_policy::parse_documents("p.yaml", text);
/// assert_eq!(
///     parsed.refused[0].error.to_string(),
///     "p.yaml:4:8: spec: unknown field `endpointSelecter`; did you mean `endpointSelector`?",
/// );
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseError(Box<Inner>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Inner {
    location: Location,
    path: String,
    kind: ParseErrorKind,
}

impl ParseError {
    pub(crate) fn new(location: Location, path: String, kind: ParseErrorKind) -> Self {
        Self(Box::new(Inner {
            location,
            path,
            kind,
        }))
    }

    /// Where it shows.
    pub fn location(&self) -> &Location {
        &self.0.location
    }

    /// The field, from the top of the document: `spec.ingress[0].toPorts[1]`; empty for the
    /// document itself.
    pub fn path(&self) -> &str {
        &self.0.path
    }

    /// What is wrong.
    pub fn kind(&self) -> &ParseErrorKind {
        &self.0.kind
    }
}

impl fmt::Display for ParseError {
    /// `FILE:LINE:COLUMN: FIELD: reason; what to do`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner {
            location,
            path,
            kind,
        } = &*self.0;
        match path.is_empty() {
            true => write!(f, "{location}: {kind}"),
            false => write!(f, "{location}: {path}: {kind}"),
        }
    }
}

impl std::error::Error for ParseError {}

/// The kinds of refusal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseErrorKind {
    /// The text is no YAML.
    #[error("not readable as YAML: {reason}")]
    Syntax {
        /// What the reader stumbled over.
        reason: String,
    },
    /// The text is larger, deeper or more branched than is read.
    #[error("{what} is over the limit of {limit}; split the file")]
    Bounds {
        /// What was measured.
        what: &'static str,
        /// The most that is read.
        limit: usize,
    },
    /// A key stands twice in one map.
    #[error("key `{key}` stands twice; keep one of them")]
    DuplicateKey {
        /// The key.
        key: String,
    },
    /// A field that the language does not have.
    #[error("unknown field `{field}`; {}", advise(.suggestion.as_deref()))]
    UnknownField {
        /// The field as written.
        field: String,
        /// The known field that looks most like it.
        suggestion: Option<String>,
    },
    /// A document of a kind that is no policy.
    #[error("`{kind}` of `{api_version}` is no policy; {}", advise_kind(.kind))]
    Kind {
        /// `apiVersion` as written.
        api_version: String,
        /// `kind` as written.
        kind: String,
    },
    /// A value of another type than the field takes.
    #[error("{expected} is expected here, this is {found}; {advice}")]
    Type {
        /// What the field takes.
        expected: &'static str,
        /// What stands there.
        found: &'static str,
        /// What to do.
        advice: String,
    },
    /// A value or a combination that the language does not allow.
    #[error("{reason}")]
    Invalid {
        /// What is wrong and what to do.
        reason: String,
    },
}

/// The kind that was most likely meant, with the version that is read.
fn advise_kind(kind: &str) -> String {
    let names = known_kinds().map(|(_, name)| name);
    let meant = suggest(kind.strip_suffix("List").unwrap_or(kind), &names);
    let found = known_kinds()
        .into_iter()
        .find(|(_, name)| meant.as_deref() == Some(*name));
    match found {
        Some((version, name)) => format!("use `{name}` of `{version}`"),
        None => format!("use {}, or a list of them", names.join(", ")),
    }
}

fn advise(suggestion: Option<&str>) -> String {
    match suggestion {
        Some(known) => format!("did you mean `{known}`?"),
        None => "remove it".to_owned(),
    }
}

impl From<FaultKind> for ParseErrorKind {
    fn from(kind: FaultKind) -> Self {
        match kind {
            FaultKind::Syntax(reason) => Self::Syntax { reason },
            FaultKind::Bounds { what, limit } => Self::Bounds { what, limit },
            FaultKind::DuplicateKey(key) => Self::DuplicateKey { key },
            FaultKind::Key { text, found } => Self::Type {
                expected: "text",
                found,
                advice: format!("write the key in quotes: \"{text}\""),
            },
        }
    }
}

/// The known field that a misspelt one most likely meant: equal but for case, or at most two
/// letters away (one for short words).
pub(crate) fn suggest(field: &str, known: &[&str]) -> Option<String> {
    let allowed = if field.len() <= 4 { 1 } else { 2 };
    known
        .iter()
        .map(|candidate| {
            (
                distance(&field.to_ascii_lowercase(), &candidate.to_ascii_lowercase()),
                *candidate,
            )
        })
        .min()
        .filter(|(distance, _)| *distance <= allowed)
        .map(|(_, candidate)| candidate.to_owned())
}

/// Edit distance (insertions, deletions, replacements), over bytes; long texts are far from all.
fn distance(a: &str, b: &str) -> usize {
    if a.len() > 64 || b.len() > 64 {
        return usize::MAX;
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (cell, y) in row.iter_mut().skip(1).zip(b.bytes()) {
            let replace = diagonal + usize::from(x != y);
            diagonal = *cell;
            left = replace.min(left + 1).min(*cell + 1);
            *cell = left;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggestions_are_near_or_absent() {
        let known = ["ingress", "egress", "toPorts", "port"];
        assert_eq!(suggest("toports", &known).as_deref(), Some("toPorts"));
        assert_eq!(suggest("ingres", &known).as_deref(), Some("ingress"));
        assert_eq!(suggest("prot", &known), None);
        assert_eq!(suggest("banana", &known), None);
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
