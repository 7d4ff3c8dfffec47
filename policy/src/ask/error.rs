use porin_identity::{AllocateError, ParseLabelError};

use crate::ResolveError;

/// Why a question has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AskError {
    /// The labels of a workload and its cluster make no identity.
    #[error("`{workload}` has no identity: {error}")]
    Labels {
        /// The workload.
        workload: String,
        /// What is wrong about the labels.
        error: ParseLabelError,
    },
    /// There is no number left for an identity.
    #[error(transparent)]
    Allocate(#[from] AllocateError),
    /// The policies of somebody cannot be enforced.
    #[error("the policies of `{subject}` cannot be enforced: {error}")]
    Resolve {
        /// Whom they select.
        subject: String,
        /// Why not.
        error: ResolveError,
    },
    /// A name stands for nobody.
    #[error("`{name}` is nobody; known are {known}, addresses and entities such as `world`")]
    Nobody {
        /// The name.
        name: String,
        /// Who there is.
        known: String,
    },
    /// No policy can speak about a connection.
    #[error("neither `{from}` nor `{to}` is a workload, so no policy judges between them")]
    NoSubject {
        /// Who opens it.
        from: String,
        /// Who is to accept it.
        to: String,
    },
}
