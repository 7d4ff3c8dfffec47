//! What can keep the demonstration from being shown at all; a probe that fails is no error.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use porin_testbed::{LinkError, NamespaceError, ProcessError};

use super::sandbox::SandboxError;

/// Why the demonstration could not be shown.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum DemoError {
    /// The private namespaces could not be made.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// A namespace could not be made or entered.
    #[error(transparent)]
    Namespace(#[from] NamespaceError),
    /// A link could not be made.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// A server or client could not be started.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// A program is not installed.
    #[error("`{program}` is not installed: `cargo xtask setup` installs it (package {package})")]
    Program {
        /// The program's name.
        program: &'static str,
        /// The Debian package that has it.
        package: &'static str,
    },
    /// A server did not come up.
    #[error("the server of {name} does not listen on port {port} after {limit:?}{said}")]
    Server {
        /// Who runs it.
        name: String,
        /// The port that was waited for.
        port: u16,
        /// How long it was waited for.
        limit: Duration,
        /// What the server wrote about it, on lines of its own.
        said: String,
    },
    /// The database files could not be made.
    #[error("`initdb` failed: {0}")]
    Database(String),
    /// The system has no user to run the database as.
    #[error("there is no user `postgres` to run the database as: `cargo xtask setup` makes one")]
    DatabaseUser,
    /// No certificate could be made.
    #[error("cannot make a certificate for the web servers")]
    Certificate(#[source] rcgen::Error),
    /// A file of the demonstration could not be read or written.
    #[error("cannot use `{}`", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// The programs could not be loaded.
    #[error("nothing can be enforced")]
    Open(#[from] porin::enforcer::OpenError),
    /// A pod could not be guarded.
    #[error("a pod cannot be guarded")]
    Endpoint(#[from] porin::enforcer::EndpointError),
    /// A pod has labels that no pod may have.
    #[error("a pod cannot be named")]
    Labels(#[from] porin::identity::ParseLabelError),
    /// A set of policies could not be put in force.
    #[error("a set of policies cannot be put in force")]
    Policy(#[from] porin::enforcer::PolicyError),
    /// The programs could not be taken off.
    #[error("the enforcement cannot be ended")]
    Close(#[from] porin::enforcer::CloseError),
    /// The world file of the program is wrong.
    #[error("the world of the walk-through cannot be read")]
    World(#[from] porin::policy::ParseError),
    /// The report could not be written.
    #[error("cannot write the report")]
    Report(#[from] io::Error),
    /// A frame by hand could not be sent.
    #[error("cannot send a frame")]
    Frame(#[source] io::Error),
    /// Somebody is asked for who does not exist.
    #[error("nobody is called `{0}` in the world of the walk-through")]
    Nobody(String),
    /// Somebody has no address of the family that a probe asks for.
    #[error("{0} has no address of the family that is asked for")]
    NoAddress(String),
}

/// Names the file in the error of an operation on it.
pub(crate) fn file<T>(path: &std::path::Path, result: io::Result<T>) -> Result<T, DemoError> {
    result.map_err(|source| DemoError::File {
        path: path.to_owned(),
        source,
    })
}
