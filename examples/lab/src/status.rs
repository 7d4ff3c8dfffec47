//! How an answer ends.

use std::process::ExitCode;

/// What an answer says about what was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    /// Nothing found, allowed, nothing failed.
    Good,
    /// Something found, denied, something failed.
    Bad,
    /// More is allowed than before.
    Wider,
}

impl Status {
    pub(crate) fn good_if(good: bool) -> Self {
        if good { Self::Good } else { Self::Bad }
    }

    pub(crate) fn code(self) -> ExitCode {
        match self {
            Self::Good => ExitCode::SUCCESS,
            Self::Bad => ExitCode::from(1),
            Self::Wider => ExitCode::from(3),
        }
    }
}
