//! What can go wrong with flows, by who has to act.

/// A text is not a time of RFC 3339 between 1970 and 2554.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not a time; write RFC 3339 such as 2026-03-02T09:30:00Z", crate::Escaped(.text))]
pub struct ParseTimestampError {
    /// The refused text.
    pub text: String,
}

/// A text names no drop reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not a drop reason; names are those of Hubble, such as POLICY_DENIED", crate::Escaped(.name))]
pub struct ParseDropReasonError {
    /// The refused name.
    pub name: String,
}

/// A line is not a flow that can be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot read the flow: {kind}")]
pub struct ReadFlowError {
    kind: ReadFlowErrorKind,
}

impl ReadFlowError {
    pub(crate) const fn new(kind: ReadFlowErrorKind) -> Self {
        Self { kind }
    }

    /// What is wrong with the line.
    #[must_use]
    pub const fn kind(&self) -> &ReadFlowErrorKind {
        &self.kind
    }
}

/// What is wrong with a line that should be a flow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReadFlowErrorKind {
    /// It is not JSON, or not of the shape of a flow; the text says where.
    #[error("{}", crate::Escaped(.0))]
    Syntax(String),
    /// A field has a value that it cannot have.
    #[error("field `{field}` cannot be `{}`", crate::Escaped(.value))]
    Value {
        /// The field, by its name in the schema.
        field: &'static str,
        /// The value.
        value: String,
    },
    /// The record is of a kind that is not supported yet.
    #[error("records with `{field}` are not supported yet")]
    NotYet {
        /// The field that tells.
        field: &'static str,
    },
}

/// A filter cannot be built from the arguments.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FilterError {
    /// A value does not fit its flag.
    #[error("`{}` is not a value for --{flag}: {reason}", crate::Escaped(.value))]
    Value {
        /// The flag, without dashes.
        flag: &'static str,
        /// The refused value.
        value: String,
        /// What a value looks like.
        reason: &'static str,
    },
    /// A flag stands last and needs a value.
    #[error("--{flag} needs a value")]
    Missing {
        /// The flag, without dashes.
        flag: &'static str,
    },
    /// Two flags ask for the same thing in different ways.
    #[error("--{first} and --{second} exclude each other")]
    Conflict {
        /// The flag that came first in the order of the documentation.
        first: &'static str,
        /// The other one.
        second: &'static str,
    },
    /// `--not` twice in a row, or with nothing behind it.
    #[error("--not needs one filter flag behind it")]
    Not,
    /// No flag of this name filters flows here.
    #[error("`{}` is not a filter flag", crate::Escaped(.argument))]
    Unknown {
        /// The argument as given.
        argument: String,
    },
}
