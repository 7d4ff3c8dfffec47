//! A room of its own for everything the demonstration makes.
//!
//! The process unshares its network, mounts, process ids and System V objects and runs itself
//! again inside. The inner process is the first of its process id namespace: when it ends, by
//! whatever cause, the kernel kills every server and client it started. It ends when the outer
//! one does, because it holds a pipe whose other end dies with the outer one. Namespaces, links,
//! attached programs and the private file system in memory go with their last process, so
//! nothing remains after a normal end, a Ctrl-C or a `kill -9`.
//!
//! The network namespace of the inner process is the node: it has no device that leads out.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::{env, process, thread};

use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{SigSet, Signal};

/// The argument by which the inner process knows what it is.
pub(crate) const INSIDE: &str = "inside";

/// Where the private file system is mounted; servers that share memory by name do it here too.
const PRIVATE: &str = "/dev/shm";

/// The exit status of a program that a signal of the terminal ended.
const INTERRUPTED: u8 = 130;

/// The private room could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum SandboxError {
    /// The kernel refused the namespaces.
    #[error("cannot make namespaces for the demonstration")]
    Unshare(#[source] Errno),
    /// A mount failed.
    #[error("cannot mount a private file system at `{PRIVATE}`")]
    Mount(#[source] Errno),
    /// The inner process could not be started or watched.
    #[error("cannot run inside the namespaces of the demonstration")]
    Inner(#[source] io::Error),
    /// Signals could not be waited for.
    #[error("cannot wait for signals")]
    Signals(#[source] Errno),
}

/// Runs this very command again inside a room of its own and gives its exit status.
pub(crate) fn repeat_inside() -> Result<ExitCode, SandboxError> {
    unshare(
        CloneFlags::CLONE_NEWPID
            | CloneFlags::CLONE_NEWNS
            | CloneFlags::CLONE_NEWIPC
            | CloneFlags::CLONE_NEWNET,
    )
    .map_err(SandboxError::Unshare)?;
    let program = env::current_exe().map_err(SandboxError::Inner)?;
    let inner = Command::new(program)
        .args(env::args_os().skip(1))
        .arg(format!("--{INSIDE}"))
        .stdin(Stdio::piped())
        .spawn()
        .map_err(SandboxError::Inner)?;
    watch(inner)
}

/// Waits for the inner process; a signal that asks us to end closes its lifeline first.
fn watch(mut inner: Child) -> Result<ExitCode, SandboxError> {
    let mut lifeline = inner.stdin.take();
    let mut interrupted = false;
    let signals = SigSet::from_iter([
        Signal::SIGCHLD,
        Signal::SIGINT,
        Signal::SIGTERM,
        Signal::SIGHUP,
    ]);
    signals.thread_block().map_err(SandboxError::Signals)?;
    loop {
        if let Some(status) = inner.try_wait().map_err(SandboxError::Inner)? {
            return Ok(exit_code(status, interrupted));
        }
        if signals.wait().map_err(SandboxError::Signals)? != Signal::SIGCHLD {
            interrupted = true;
            drop(lifeline.take());
        }
    }
}

fn exit_code(status: ExitStatus, interrupted: bool) -> ExitCode {
    if interrupted {
        eprintln!("interrupted; everything is taken down");
        return ExitCode::from(INTERRUPTED);
    }
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    ExitCode::from(code.unwrap_or(1))
}

/// Settles in, inside: ties the process to the outer one, and gives a private directory.
pub(crate) fn settle() -> Result<PathBuf, SandboxError> {
    thread::spawn(|| {
        // Nothing is ever written: this returns when the outer process has closed its end.
        let _ = io::stdin().read(&mut [0]);
        process::exit(i32::from(INTERRUPTED));
    });
    let none: Option<&Path> = None;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)
        .map_err(SandboxError::Mount)?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(
        Some("tmpfs"),
        PRIVATE,
        Some("tmpfs"),
        flags,
        Some("mode=1777"),
    )
    .map_err(SandboxError::Mount)?;
    Ok(PathBuf::from(PRIVATE))
}
