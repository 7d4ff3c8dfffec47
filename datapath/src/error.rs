//! What can go wrong, one type per family of operations.
//!
//! None of these errors weakens what is in force: an operation that fails
//! leaves the programs, links and tables as they were before it.

use crate::sys::{CallError, Command};

/// A map is not what was expected, is full, or an operation on it failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MapError {
    /// The kernel's map differs from what this build needs.
    #[error("map `{map}` has {field} {found}, needed is {expected}")]
    Mismatch {
        /// The map's name.
        map: String,
        /// What differs.
        field: &'static str,
        /// What is needed.
        expected: u32,
        /// What is there.
        found: u32,
    },
    /// There is no room for one more entry.
    #[error("map `{map}` is full: it holds {capacity} entries at most")]
    Full {
        /// The map's name.
        map: String,
        /// How many entries it can hold.
        capacity: u32,
    },
    /// A buffer does not have the length of the map's keys or values.
    #[error("{what} for map `{map}` has {found} bytes, needed are {expected}")]
    Length {
        /// The map's name.
        map: String,
        /// Which buffer.
        what: &'static str,
        /// The length needed, in bytes.
        expected: usize,
        /// The length given, in bytes.
        found: usize,
    },
    /// The kernel refused the operation.
    #[error("operation on map `{map}` failed")]
    Call {
        /// The map's name.
        map: String,
        /// What the kernel answered.
        source: CallError,
    },
}

impl MapError {
    pub(crate) fn call(map: &str, source: CallError) -> Self {
        Self::Call {
            map: map.to_owned(),
            source,
        }
    }

    /// The errno, if the kernel refused the operation.
    #[must_use]
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::Call { source, .. } => source.errno(),
            _ => None,
        }
    }
}

/// The capability whose absence explains `EPERM` from a call.
///
/// Source: `capabilities(7)`.
pub(crate) fn capability(command: Command) -> &'static str {
    match command {
        Command::LinkCreate | Command::LinkUpdate | Command::LinkDetach | Command::Netlink => {
            "CAP_NET_ADMIN"
        }
        Command::Mount | Command::MapById | Command::ProgramById => "CAP_SYS_ADMIN",
        Command::ProgramLoad => "CAP_BPF and CAP_NET_ADMIN",
        _ => "CAP_BPF",
    }
}
