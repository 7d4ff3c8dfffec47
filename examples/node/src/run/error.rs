//! Why a node cannot start or go on.

use std::error::Error;
use std::io;
use std::path::PathBuf;

/// The configuration file is wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum ConfigError {
    #[error("cannot read the configuration `{}`", file.display())]
    Read { file: PathBuf, source: io::Error },
    #[error("configuration `{}`", file.display())]
    Syntax {
        file: PathBuf,
        source: Box<toml::de::Error>,
    },
    #[error("configuration `{}`: endpoint `{endpoint}`: {reason}", file.display())]
    Endpoint {
        file: PathBuf,
        endpoint: String,
        reason: String,
    },
    #[error("configuration `{}`: `{field}`: {reason}", file.display())]
    Field {
        file: PathBuf,
        field: &'static str,
        reason: String,
    },
}

/// The node cannot start, or cannot go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum NodeError {
    #[error("cannot prepare `{}` for pins", path.display())]
    Pins { path: PathBuf, source: io::Error },
    #[error("cannot mount a BPF file system at `{}`", path.display())]
    Mount {
        path: PathBuf,
        source: Box<dyn Error + Send + Sync>,
    },
    #[error(transparent)]
    Privilege(porin::datapath::probe::Missing),
    #[error("endpoint `{endpoint}`: {reason}")]
    Device { endpoint: String, reason: String },
    #[error("host: {reason}")]
    Host { reason: String },
    #[error("cannot read the policies in `{}`", path.display())]
    Policies { path: PathBuf, source: io::Error },
    #[error("cannot watch the policies in `{}`", path.display())]
    Watch {
        path: PathBuf,
        source: notify::Error,
    },
    #[error("no policy is in force yet, so nothing was changed:\n{0}")]
    NoPolicies(String),
    #[error("cannot open `{}` for flows", path.display())]
    Output { path: PathBuf, source: io::Error },
    #[error("cannot listen to signals")]
    Signals(#[source] io::Error),
    #[error("cannot open the datapath")]
    Open(#[source] porin::enforcer::OpenError),
    #[error("cannot bring up the endpoints")]
    Endpoints(#[source] porin::enforcer::EndpointError),
    #[error("cannot take the enforcement back")]
    Close(#[source] Box<dyn Error + Send + Sync>),
}

/// An error and what caused it, in one line as far as the causes are.
pub(crate) fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        text.push_str(": ");
        text.push_str(source.to_string().trim_end());
        cause = source.source();
    }
    text
}
