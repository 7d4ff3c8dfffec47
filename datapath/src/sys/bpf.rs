//! The system call itself.

use std::fmt;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

/// The `bpf(2)` commands (and the neighbouring calls) that this crate uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Command {
    /// `BPF_MAP_CREATE`
    MapCreate,
    /// `BPF_MAP_LOOKUP_ELEM`
    MapLookup,
    /// `BPF_MAP_UPDATE_ELEM`
    MapUpdate,
    /// `BPF_MAP_DELETE_ELEM`
    MapDelete,
    /// `BPF_MAP_GET_NEXT_KEY`
    MapNextKey,
    /// `BPF_MAP_LOOKUP_BATCH`
    MapLookupBatch,
    /// `BPF_MAP_UPDATE_BATCH`
    MapUpdateBatch,
    /// `BPF_MAP_DELETE_BATCH`
    MapDeleteBatch,
    /// `BPF_MAP_GET_FD_BY_ID`
    MapById,
    /// `BPF_MAP_FREEZE`
    MapFreeze,
    /// `BPF_PROG_LOAD`
    ProgramLoad,
    /// `BPF_PROG_TEST_RUN`
    ProgramTestRun,
    /// `BPF_PROG_GET_FD_BY_ID`
    ProgramById,
    /// `BPF_PROG_QUERY`
    ProgramQuery,
    /// `BPF_OBJ_PIN`
    ObjectPin,
    /// `BPF_OBJ_GET`
    ObjectGet,
    /// `BPF_OBJ_GET_INFO_BY_FD`
    ObjectInfo,
    /// `BPF_LINK_CREATE`
    LinkCreate,
    /// `BPF_LINK_UPDATE`
    LinkUpdate,
    /// `BPF_LINK_DETACH`
    LinkDetach,
    /// `mmap(2)` of a map
    Mmap,
    /// A netlink request
    Netlink,
    /// `mount(2)`
    Mount,
    /// `statfs(2)`
    StatFs,
}

impl Command {
    /// The command's number for `bpf(2)`; `None` for the neighbouring calls.
    const fn number(self) -> Option<libc::c_long> {
        Some(match self {
            Self::MapCreate => 0,
            Self::MapLookup => 1,
            Self::MapUpdate => 2,
            Self::MapDelete => 3,
            Self::MapNextKey => 4,
            Self::ProgramLoad => 5,
            Self::ObjectPin => 6,
            Self::ObjectGet => 7,
            Self::ProgramTestRun => 10,
            Self::ProgramById => 13,
            Self::MapById => 14,
            Self::ObjectInfo => 15,
            Self::ProgramQuery => 16,
            Self::MapFreeze => 22,
            Self::MapLookupBatch => 24,
            Self::MapUpdateBatch => 26,
            Self::MapDeleteBatch => 27,
            Self::LinkCreate => 28,
            Self::LinkUpdate => 29,
            Self::LinkDetach => 34,
            Self::Mmap | Self::Netlink | Self::Mount | Self::StatFs => return None,
        })
    }

    /// The capability that it needs (`capabilities(7)`).
    const fn capability(self) -> &'static str {
        match self {
            Self::LinkCreate | Self::LinkUpdate | Self::LinkDetach | Self::Netlink => {
                "CAP_NET_ADMIN"
            }
            Self::Mount | Self::MapById | Self::ProgramById => "CAP_SYS_ADMIN",
            Self::ProgramLoad => "CAP_BPF and CAP_NET_ADMIN",
            _ => "CAP_BPF",
        }
    }

    /// The kernel's name of the call.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::MapCreate => "BPF_MAP_CREATE",
            Self::MapLookup => "BPF_MAP_LOOKUP_ELEM",
            Self::MapUpdate => "BPF_MAP_UPDATE_ELEM",
            Self::MapDelete => "BPF_MAP_DELETE_ELEM",
            Self::MapNextKey => "BPF_MAP_GET_NEXT_KEY",
            Self::MapLookupBatch => "BPF_MAP_LOOKUP_BATCH",
            Self::MapUpdateBatch => "BPF_MAP_UPDATE_BATCH",
            Self::MapDeleteBatch => "BPF_MAP_DELETE_BATCH",
            Self::MapById => "BPF_MAP_GET_FD_BY_ID",
            Self::MapFreeze => "BPF_MAP_FREEZE",
            Self::ProgramLoad => "BPF_PROG_LOAD",
            Self::ProgramTestRun => "BPF_PROG_TEST_RUN",
            Self::ProgramById => "BPF_PROG_GET_FD_BY_ID",
            Self::ProgramQuery => "BPF_PROG_QUERY",
            Self::ObjectPin => "BPF_OBJ_PIN",
            Self::ObjectGet => "BPF_OBJ_GET",
            Self::ObjectInfo => "BPF_OBJ_GET_INFO_BY_FD",
            Self::LinkCreate => "BPF_LINK_CREATE",
            Self::LinkUpdate => "BPF_LINK_UPDATE",
            Self::LinkDetach => "BPF_LINK_DETACH",
            Self::Mmap => "mmap",
            Self::Netlink => "netlink request",
            Self::Mount => "mount",
            Self::StatFs => "statfs",
        }
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A call that the kernel refused; the errno is in the source.
///
/// Where it is `EPERM`, the text names the capability that the call needs.
#[derive(Debug, thiserror::Error)]
#[error("{command} failed{}", self.hint())]
pub struct CallError {
    /// Which call.
    pub command: Command,
    /// Why.
    pub source: io::Error,
}

impl CallError {
    /// Wraps what the kernel answered.
    #[must_use]
    pub fn new(command: Command, source: io::Error) -> Self {
        Self { command, source }
    }

    /// The error of `command` for a fixed errno.
    pub(crate) fn from_errno(command: Command, errno: i32) -> Self {
        Self::new(command, io::Error::from_raw_os_error(errno))
    }

    /// The error that `errno` holds right now.
    pub(crate) fn last(command: Command) -> Self {
        Self::new(command, io::Error::last_os_error())
    }

    fn hint(&self) -> String {
        if self.is(libc::EPERM) {
            format!(": it needs {}", self.command.capability())
        } else {
            String::new()
        }
    }

    /// The errno, if the kernel gave one.
    #[must_use]
    pub fn errno(&self) -> Option<i32> {
        self.source.raw_os_error()
    }

    /// Whether the kernel answered with `errno`.
    #[must_use]
    pub fn is(&self, errno: i32) -> bool {
        self.errno() == Some(errno)
    }
}

/// Attributes of one command: a prefix of the kernel's `union bpf_attr`.
///
/// # Safety
///
/// The type is `repr(C)`, mirrors the layout that its command reads and
/// writes, has no padding the kernel could refuse for not being zero, and every
/// pointer in it is valid for what the command does with it while the call lasts.
pub(super) unsafe trait Attributes {}

/// Calls `bpf(2)` and gives back its non-negative result.
pub(super) fn bpf<A: Attributes>(command: Command, attributes: &mut A) -> Result<i32, CallError> {
    let Some(number) = command.number() else {
        return Err(CallError::from_errno(command, libc::ENOSYS));
    };
    // SAFETY: `Attributes` promises the layout and the pointers; the size is the type's own.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            number,
            std::ptr::from_mut(attributes),
            size_of::<A>(),
        )
    };
    if result < 0 {
        return Err(CallError::last(command));
    }
    i32::try_from(result).map_err(|_| CallError::from_errno(command, libc::EOVERFLOW))
}

/// Calls `bpf(2)` for a command that answers with a new file descriptor.
pub(super) fn bpf_fd<A: Attributes>(
    command: Command,
    attributes: &mut A,
) -> Result<OwnedFd, CallError> {
    let fd = bpf(command, attributes)?;
    // SAFETY: the kernel has just made this descriptor for us; nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The address of something as the kernel wants it: 64 bits wide.
pub(super) fn address<T: ?Sized>(pointer: *const T) -> u64 {
    pointer.cast::<u8>() as usize as u64
}
