//! What can go wrong, by the operation that fails.

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
