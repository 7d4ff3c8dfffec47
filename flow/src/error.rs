//! What can go wrong with flows, by who has to act.

/// A text is not a time of RFC 3339 between 1970 and 2554.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a time; write RFC 3339 such as 2026-03-02T09:30:00Z")]
pub struct ParseTimestampError {
    /// The refused text.
    pub text: String,
}

/// A text names no drop reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` is not a drop reason; names are those of Hubble, such as POLICY_DENIED")]
pub struct ParseDropReasonError {
    /// The refused name.
    pub name: String,
}
