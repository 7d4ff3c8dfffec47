//! What can go wrong, by the operation that fails.

use std::fmt;
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
    /// Rules that select the subject ask for what cannot be had together.
    #[error(
        "{direction} policy of identity {subject} cannot be computed: {} {what}",
        named(rules)
    )]
    Conflict {
        /// Whose policy.
        subject: IdentityId,
        /// In which direction.
        direction: Direction,
        /// The rules.
        rules: Vec<Arc<RuleRef>>,
        /// What cannot be had together.
        what: Conflict,
    },
}

/// What rules cannot have together: on one port of the same peers, at one priority, unless it says
/// otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Conflict {
    /// Different parsers. TLS rules go together with every parser of what the TLS holds.
    Parsers,
    /// Different modes of authentication.
    Authentication,
    /// Different listeners of one priority.
    Listeners,
    /// Different TLS settings.
    Tls,
    /// Server names beside content rules, and no termination of TLS, so that nobody can read the
    /// content.
    ServerNames,
    /// A `CiliumEnvoyConfig` lives in the namespace of the subject, and the subject has none. One
    /// rule is enough for that.
    ListenerNamespace,
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Parsers => {
                "ask for different parsers on one port of the same peers; leave one of them"
            }
            Self::Authentication => {
                "ask for different authentication on one port of the same peers; agree on one mode"
            }
            Self::Listeners => {
                "name different listeners of one priority for one port of the same peers; give one \
                 of them another `priority`"
            }
            Self::Tls => {
                "bring different TLS secrets to one port of the same peers; agree on one"
            }
            Self::ServerNames => {
                "ask for `serverNames` and for content on one port of the same peers; terminate TLS \
                 there, or leave one of them"
            }
            Self::ListenerNamespace => {
                "names a listener of a CiliumEnvoyConfig, and the subject has no namespace to find it \
                 in; use a CiliumClusterwideEnvoyConfig"
            }
        })
    }
}

fn named(rules: &[Arc<RuleRef>]) -> String {
    rules
        .iter()
        .map(|rule| format!("`{rule}`"))
        .collect::<Vec<_>>()
        .join(" and ")
}
