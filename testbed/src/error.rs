//! What can go wrong, by family of operation.

use std::io;

use nix::errno::Errno;

/// A namespace could not be made or entered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NamespaceError {
    /// The kernel refused a new network namespace (usually for want of `CAP_SYS_ADMIN`).
    #[error("cannot make a network namespace")]
    Unshare(#[source] Errno),
    /// The thread could not move into the namespace.
    #[error("cannot enter a network namespace")]
    Enter(#[source] Errno),
    /// The handle of the namespace could not be opened.
    #[error("cannot open the handle of a network namespace")]
    Open(#[source] io::Error),
    /// Its loopback device could not be brought up (usually for want of `CAP_NET_ADMIN`).
    #[error("cannot bring up the loopback device of a network namespace")]
    Loopback(#[source] Box<LinkError>),
    /// No thread could be started to work in the namespace.
    #[error("cannot start a thread for a network namespace")]
    Thread(#[source] io::Error),
}

/// A link, an address, a route or a network setting could not be made as asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// The namespace could not be entered.
    #[error(transparent)]
    Namespace(#[from] NamespaceError),
    /// No netlink socket could be opened.
    #[error("cannot speak netlink")]
    Socket(#[source] io::Error),
    /// The kernel refused the request.
    #[error("cannot {request}")]
    Refused {
        /// What was asked for, as the end of a sentence.
        request: String,
        /// The kernel's answer.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// No link of that name exists in the namespace.
    #[error("no link `{name}` in the namespace")]
    NoLink {
        /// The name that was asked for.
        name: String,
        /// The kernel's answer.
        #[source]
        source: Errno,
    },
    /// A setting under `/proc/sys/net` could not be written.
    #[error("cannot write `{value}` to `/proc/sys/net/{key}`")]
    Setting {
        /// The path below `/proc/sys/net`.
        key: String,
        /// The value that was to be written.
        value: String,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
}

/// A process could not be started or watched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProcessError {
    /// The namespace could not be entered.
    #[error(transparent)]
    Namespace(#[from] NamespaceError),
    /// The program could not be started.
    #[error("cannot start `{program}`")]
    Start {
        /// The program as it was named.
        program: String,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// The process could not be waited for.
    #[error("cannot wait for process {id}")]
    Wait {
        /// Its process id.
        id: u32,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
}
