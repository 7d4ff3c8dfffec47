//! Network namespaces without a name.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::Command;
use std::thread;

use nix::sched::{CloneFlags, setns, unshare};

use crate::error::{NamespaceError, ProcessError};
use crate::process::Process;

/// The calling thread's namespace, which for a scoped thread is not the process's.
const THREAD_NAMESPACE: &str = "/proc/thread-self/ns/net";

/// A network namespace that is held by a file descriptor alone.
///
/// It lives as long as this value, a process started in it, or a socket made in it. A fresh one
/// has a loopback device, which is brought up, and no way to anywhere else.
#[derive(Debug)]
pub struct Namespace {
    handle: OwnedFd,
}

impl Namespace {
    /// Makes a new namespace with its loopback device up.
    ///
    /// # Errors
    /// [`NamespaceError`] when the kernel refuses one; needs `CAP_SYS_ADMIN`.
    pub fn new() -> Result<Self, NamespaceError> {
        // A thread of its own: it must leave its namespace, and no other thread may.
        let handle = on_thread(|| {
            unshare(CloneFlags::CLONE_NEWNET).map_err(NamespaceError::Unshare)?;
            File::open(THREAD_NAMESPACE).map_err(NamespaceError::Open)
        })??;
        let namespace = Self {
            handle: handle.into(),
        };
        namespace
            .up("lo")
            .map_err(|error| NamespaceError::Loopback(Box::new(error)))?;
        // Addresses are given, not negotiated: nobody waits a second for duplicates to speak up.
        // Where IPv6 is switched off there is nothing to set.
        let _ = namespace.set("ipv6/conf/default/accept_dad", "0");
        Ok(namespace)
    }

    /// The namespace that the calling thread is in.
    ///
    /// # Errors
    /// [`NamespaceError::Open`] when `/proc` is not there.
    pub fn current() -> Result<Self, NamespaceError> {
        let handle = File::open(THREAD_NAMESPACE).map_err(NamespaceError::Open)?;
        Ok(Self {
            handle: handle.into(),
        })
    }

    /// A second handle to the same namespace.
    ///
    /// # Errors
    /// [`NamespaceError::Open`] when the process has no file descriptor left.
    pub fn try_clone(&self) -> Result<Self, NamespaceError> {
        let handle = self.handle.try_clone().map_err(NamespaceError::Open)?;
        Ok(Self { handle })
    }

    /// Runs `work` on a thread inside the namespace and returns what it gives.
    ///
    /// Sockets belong to the namespace they were made in, so one that is returned from here can
    /// be used anywhere. A panic inside `work` goes on in the caller.
    ///
    /// # Errors
    /// [`NamespaceError`] when the namespace cannot be entered.
    pub fn run<R: Send>(&self, work: impl FnOnce() -> R + Send) -> Result<R, NamespaceError> {
        on_thread(|| {
            setns(&self.handle, CloneFlags::CLONE_NEWNET).map_err(NamespaceError::Enter)?;
            Ok(work())
        })?
    }

    /// Starts a program inside the namespace.
    ///
    /// # Errors
    /// [`ProcessError`] when the namespace cannot be entered or the program not started.
    pub fn spawn(&self, mut command: Command) -> Result<Process, ProcessError> {
        self.run(move || Process::spawn(&mut command))?
    }
}

impl AsFd for Namespace {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.handle.as_fd()
    }
}

/// Runs `work` on a thread that ends with it.
fn on_thread<R: Send>(work: impl FnOnce() -> R + Send) -> Result<R, NamespaceError> {
    thread::scope(|scope| {
        let thread = thread::Builder::new()
            .name("netns".to_owned())
            .spawn_scoped(scope, work)
            .map_err(NamespaceError::Thread)?;
        match thread.join() {
            Ok(result) => Ok(result),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}
