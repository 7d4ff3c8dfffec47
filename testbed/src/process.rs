//! Child processes that never outlive their guard.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::error::ProcessError;

/// How often a process that is waited for with a limit is looked at.
const STEP: Duration = Duration::from_millis(1);

/// A running program; killed with its whole process group, and waited for, when dropped.
///
/// The program leads a process group of its own, so that a Ctrl-C at the terminal reaches only
/// the one who started it, and so that the workers of a server die with it.
#[derive(Debug)]
pub struct Process {
    child: Child,
    /// A reaped process must not be signalled again: its number may belong to another.
    reaped: bool,
}

impl Process {
    /// Starts `command` in the namespace of the calling thread.
    ///
    /// # Errors
    /// [`ProcessError::Start`] when the program cannot be started.
    pub fn spawn(command: &mut Command) -> Result<Self, ProcessError> {
        let child = command
            .process_group(0)
            .spawn()
            .map_err(|source| ProcessError::Start {
                program: command.get_program().to_string_lossy().into_owned(),
                source,
            })?;
        Ok(Self {
            child,
            reaped: false,
        })
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its standard input, where the command piped it; gone after the first call.
    pub fn stdin(&mut self) -> Option<ChildStdin> {
        self.child.stdin.take()
    }

    /// Its standard output, where the command piped it; gone after the first call.
    pub fn stdout(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }

    /// Its standard error, where the command piped it; gone after the first call.
    pub fn stderr(&mut self) -> Option<ChildStderr> {
        self.child.stderr.take()
    }

    /// How it ended, or `None` while it runs.
    ///
    /// # Errors
    /// [`ProcessError::Wait`] when the system cannot say.
    pub fn try_wait(&mut self) -> Result<Option<ExitStatus>, ProcessError> {
        let status = self.child.try_wait().map_err(|e| self.wait_error(e))?;
        self.reaped |= status.is_some();
        Ok(status)
    }

    /// Waits for its end, at most for `limit`; `None` when it runs on.
    ///
    /// # Errors
    /// [`ProcessError::Wait`] when the system cannot say.
    pub fn wait_for(&mut self, limit: Duration) -> Result<Option<ExitStatus>, ProcessError> {
        let end = Instant::now() + limit;
        loop {
            if let Some(status) = self.try_wait()? {
                return Ok(Some(status));
            }
            if Instant::now() >= end {
                return Ok(None);
            }
            thread::sleep(STEP);
        }
    }

    /// Asks the process to end with `signal`, and kills its group after `grace`.
    ///
    /// # Errors
    /// [`ProcessError::Wait`] when its end cannot be waited for.
    pub fn stop(mut self, signal: Signal, grace: Duration) -> Result<ExitStatus, ProcessError> {
        if let Ok(pid) = i32::try_from(self.child.id())
            && !self.reaped
        {
            // Already ended is as good as asked.
            let _ = nix::sys::signal::kill(Pid::from_raw(pid), signal);
        }
        if let Some(status) = self.wait_for(grace)? {
            return Ok(status);
        }
        self.kill();
        self.child.wait().map_err(|e| self.wait_error(e))
    }

    /// Kills the group and reaps the leader.
    fn kill(&mut self) {
        if self.reaped {
            return;
        }
        if let Ok(pid) = i32::try_from(self.child.id()) {
            match killpg(Pid::from_raw(pid), Signal::SIGKILL) {
                Ok(()) | Err(Errno::ESRCH) => {}
                Err(_) => {
                    let _ = self.child.kill();
                }
            }
        }
        self.reaped = self.child.wait().is_ok();
    }

    fn wait_error(&self, source: io::Error) -> ProcessError {
        ProcessError::Wait {
            id: self.child.id(),
            source,
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}
