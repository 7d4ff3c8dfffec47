//! What can go wrong, by the operation that fails.

use std::sync::Arc;

use porin_identity::IdentityId;

use crate::set::RefusedDocument;
use crate::{Direction, RuleRef};

/// A text is not one of the names a closed set has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a {what}: use {expected}")]
pub struct ParseNameError {
    what: &'static str,
    text: String,
    expected: &'static str,
}

impl ParseNameError {
    pub(crate) fn new(what: &'static str, text: &str, expected: &'static str) -> Self {
        let text = text.to_owned();
        Self {
            what,
            text,
            expected,
        }
    }
}

/// A load of policies that changed nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// Documents cannot be enforced, and the options make that an error of the whole set.
    #[error("nothing was loaded: {}", listed(documents))]
    Refused {
        /// The documents, in order, each with the place of its fault.
        documents: Vec<RefusedDocument>,
    },
}

fn listed(documents: &[RefusedDocument]) -> String {
    let line = |refused: &RefusedDocument| match &refused.name {
        Some(name) => format!("{name}: {}", refused.error),
        None => refused.error.to_string(),
    };
    documents.iter().map(line).collect::<Vec<_>>().join("; ")
}

/// A policy that cannot be computed for a subject. What was in force for it stays.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ResolveError {
    /// The registry does not know the identity.
    #[error("identity {identity} is not known: register its labels first")]
    UnknownIdentity {
        /// The identity.
        identity: IdentityId,
    },
    /// Two rules ask for two parsers on one port of the same peers.
    #[error(
        "{direction} policy of identity {subject} cannot be computed: {} ask for different parsers \
         on one port of the same peers; leave one of them",
        named(rules)
    )]
    ConflictingParsers {
        /// Whose policy.
        subject: IdentityId,
        /// In which direction.
        direction: Direction,
        /// The rules.
        rules: Vec<Arc<RuleRef>>,
    },
}

fn named(rules: &[Arc<RuleRef>]) -> String {
    rules
        .iter()
        .map(|rule| format!("`{rule}`"))
        .collect::<Vec<_>>()
        .join(" and ")
}
