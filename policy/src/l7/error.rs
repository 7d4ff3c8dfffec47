//! Why a list of L7 rules cannot be compiled.

/// Why a list of L7 rules cannot be compiled. Rules that were read from a document can: they were
/// compiled when it was checked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("rule {rule}: `{field}` is no regular expression ({reason}); mend it")]
#[non_exhaustive]
pub struct L7Error {
    /// The rule, by its place in the list.
    pub rule: usize,
    /// Its field.
    pub field: &'static str,
    /// What is wrong.
    pub reason: String,
}

impl L7Error {
    pub(super) fn expression(rule: usize, field: &'static str, reason: String) -> Self {
        Self {
            rule,
            field,
            reason,
        }
    }
}
