//! TCX links: programs at a device's hooks, held by a descriptor.

use std::fmt;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use super::bpf::{Attributes, CallError, Command, address, bpf, bpf_fd};
use super::map::is_anonymous_inode;
use super::object::{get_pinned, info, pin};
use super::pod::Pod;

/// `BPF_F_BEFORE`; without a neighbour it means first.
const BEFORE: u32 = 1 << 3;
/// `BPF_F_AFTER`; without a neighbour it means last.
const AFTER: u32 = 1 << 4;
/// `BPF_LINK_TYPE_CGROUP`
const CGROUP: u32 = 3;
/// `BPF_LINK_TYPE_TCX`
const TCX: u32 = 11;

/// The two hooks of a device, as the device sees packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TcxHook {
    /// Packets that come in by the device (`BPF_TCX_INGRESS`).
    Ingress,
    /// Packets that go out by the device (`BPF_TCX_EGRESS`).
    Egress,
}

impl TcxHook {
    const fn attach_type(self) -> u32 {
        match self {
            Self::Ingress => 46,
            Self::Egress => 47,
        }
    }
}

impl fmt::Display for TcxHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ingress => "ingress",
            Self::Egress => "egress",
        })
    }
}

/// The hooks of a cgroup that the programs here are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CgroupHook {
    /// Packets that its sockets receive (`BPF_CGROUP_INET_INGRESS`).
    Ingress,
    /// Packets that they send (`BPF_CGROUP_INET_EGRESS`).
    Egress,
    /// `connect(2)` over IPv4 (`BPF_CGROUP_INET4_CONNECT`).
    Connect4,
    /// `connect(2)` over IPv6 (`BPF_CGROUP_INET6_CONNECT`).
    Connect6,
    /// `sendmsg(2)` of datagrams over IPv4 (`BPF_CGROUP_UDP4_SENDMSG`).
    SendMsg4,
    /// The same over IPv6 (`BPF_CGROUP_UDP6_SENDMSG`).
    SendMsg6,
}

impl CgroupHook {
    const fn attach_type(self) -> u32 {
        match self {
            Self::Ingress => 0,
            Self::Egress => 1,
            Self::Connect4 => 10,
            Self::Connect6 => 11,
            Self::SendMsg4 => 14,
            Self::SendMsg6 => 15,
        }
    }
}

/// Where in the chain of a hook a program goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LinkPosition {
    /// Before all others: it sees every packet.
    #[default]
    First,
    /// After all others: it sees what they let through.
    Last,
}

/// `struct { prog_fd; target_ifindex; attach_type; flags; relative_fd; …; expected_revision; }`
#[repr(C)]
struct CreateAttributes {
    program: u32,
    ifindex: u32,
    attach_type: u32,
    flags: u32,
    relative: u32,
    pad: u32,
    revision: u64,
}

// SAFETY: mirrors the kernel's layout, no pointers.
unsafe impl Attributes for CreateAttributes {}

/// `struct { prog_fd; target_fd; attach_type; flags; }`
#[repr(C)]
struct CgroupAttributes {
    program: u32,
    cgroup: u32,
    attach_type: u32,
    flags: u32,
}

// SAFETY: mirrors the kernel's layout, no pointers.
unsafe impl Attributes for CgroupAttributes {}

/// `struct { link_fd; new_prog_fd; flags; old_prog_fd; }`
#[repr(C)]
struct UpdateAttributes {
    link: u32,
    program: u32,
    flags: u32,
    old_program: u32,
}

// SAFETY: mirrors the kernel's layout, no pointers.
unsafe impl Attributes for UpdateAttributes {}

/// `struct { link_fd; }`
#[repr(C)]
struct DetachAttributes {
    link: u32,
}

// SAFETY: mirrors the kernel's layout, no pointers.
unsafe impl Attributes for DetachAttributes {}

/// What `BPF_PROG_QUERY` reads and writes.
#[repr(C)]
struct QueryAttributes {
    ifindex: u32,
    attach_type: u32,
    query_flags: u32,
    attach_flags: u32,
    program_ids: u64,
    count: u32,
    pad: u32,
    program_flags: u64,
    link_ids: u64,
    link_flags: u64,
    revision: u64,
}

// SAFETY: mirrors the kernel's layout; the arrays have room for `count` numbers.
unsafe impl Attributes for QueryAttributes {}

/// The head of the kernel's `struct bpf_link_info`, for a TCX link.
#[repr(C)]
#[derive(Clone, Copy)]
struct RawInfo {
    kind: u32,
    id: u32,
    program: u32,
    pad: u32,
    ifindex: u32,
    attach_type: u32,
}

// SAFETY: `repr(C)`, six 32-bit fields: no padding.
unsafe impl Pod for RawInfo {}

/// What the kernel says about a TCX link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkInfo {
    /// Its number, unique while the link lives.
    pub id: u32,
    /// The number of the program it runs.
    pub program: u32,
    /// The device, in the device's own namespace; 0 once the device is gone or the link detached.
    pub ifindex: u32,
    /// The hook; `None` if the kernel named one that is not TCX.
    pub hook: Option<TcxHook>,
}

/// The chain of programs at a hook.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TcxState {
    /// Grows with every change of the chain.
    pub revision: u64,
    /// The numbers of the programs, in their order.
    pub programs: Vec<u32>,
    /// The numbers of their links; 0 where a program has none.
    pub links: Vec<u32>,
}

/// A TCX link: keeps its program attached while a descriptor or a pin of it exists.
#[derive(Debug)]
pub struct Link {
    fd: OwnedFd,
}

impl Link {
    /// Attaches a program to a device of the calling thread's network namespace.
    ///
    /// # Errors
    ///
    /// `ENODEV` for an unknown device, `EEXIST` if this program is attached
    /// there already, `EINVAL` on kernels before 6.6, `EPERM` without
    /// `CAP_NET_ADMIN`.
    pub fn attach(
        program: BorrowedFd<'_>,
        ifindex: u32,
        hook: TcxHook,
        position: LinkPosition,
    ) -> Result<Self, CallError> {
        let mut attributes = CreateAttributes {
            program: program.as_raw_fd().cast_unsigned(),
            ifindex,
            attach_type: hook.attach_type(),
            flags: match position {
                LinkPosition::First => BEFORE,
                LinkPosition::Last => AFTER,
            },
            relative: 0,
            pad: 0,
            revision: 0,
        };
        bpf_fd(Command::LinkCreate, &mut attributes).map(|fd| Self { fd })
    }

    /// Takes over a descriptor.
    ///
    /// # Errors
    ///
    /// `EBADF` if it is not one of a TCX link.
    pub fn from_fd(fd: OwnedFd) -> Result<Self, CallError> {
        let wrong = || CallError::from_errno(Command::ObjectInfo, libc::EBADF);
        if !is_anonymous_inode(fd.as_fd(), "bpf_link")
            && !is_anonymous_inode(fd.as_fd(), "bpf-link")
        {
            return Err(wrong());
        }
        let raw: RawInfo = info(fd.as_fd())?;
        if raw.kind == TCX {
            Ok(Self { fd })
        } else {
            Err(wrong())
        }
    }

    /// Opens the link pinned at `path`.
    ///
    /// # Errors
    ///
    /// `ENOENT` if nothing is pinned there, `EBADF` if it is not a TCX link.
    pub fn from_pin(path: &Path) -> Result<Self, CallError> {
        Self::from_fd(get_pinned(path)?)
    }

    /// Replaces the program, with no packet between the two.
    ///
    /// # Errors
    ///
    /// `ENOLINK` if the device is gone or the link was detached.
    pub fn update(&self, program: BorrowedFd<'_>) -> Result<(), CallError> {
        update(self.fd.as_fd(), program)
    }

    /// Takes the program off its hook, now: when the call returns, no new
    /// packet meets it. Detaching twice is no error.
    ///
    /// # Errors
    ///
    /// The kernel's refusal.
    pub fn detach(&self) -> Result<(), CallError> {
        detach(self.fd.as_fd())
    }

    /// Pins the link at `path` in a bpffs: it stays attached without this process.
    ///
    /// # Errors
    ///
    /// As [`pin`].
    pub fn pin(&self, path: &Path) -> Result<(), CallError> {
        pin(self.fd.as_fd(), path)
    }

    /// What the kernel says about the link.
    ///
    /// # Errors
    ///
    /// If the kernel does not tell.
    pub fn info(&self) -> Result<LinkInfo, CallError> {
        let raw: RawInfo = info(self.fd.as_fd())?;
        Ok(LinkInfo {
            id: raw.id,
            program: raw.program,
            ifindex: raw.ifindex,
            hook: match raw.attach_type {
                46 => Some(TcxHook::Ingress),
                47 => Some(TcxHook::Egress),
                _ => None,
            },
        })
    }

    /// The chain at a hook of a device of the calling thread's network namespace.
    ///
    /// # Errors
    ///
    /// `ENODEV` for an unknown device, `EINVAL` on kernels before 6.6.
    pub fn query(ifindex: u32, hook: TcxHook) -> Result<TcxState, CallError> {
        // The kernel's chain holds at most 64 programs (BPF_MPROG_MAX).
        let mut programs = vec![0_u32; 64];
        let mut links = vec![0_u32; 64];
        let mut attributes = QueryAttributes {
            ifindex,
            attach_type: hook.attach_type(),
            query_flags: 0,
            attach_flags: 0,
            program_ids: address(programs.as_mut_ptr()),
            count: 64,
            pad: 0,
            program_flags: 0,
            link_ids: address(links.as_mut_ptr()),
            link_flags: 0,
            revision: 0,
        };
        bpf(Command::ProgramQuery, &mut attributes)?;
        programs.truncate(attributes.count as usize);
        links.truncate(attributes.count as usize);
        Ok(TcxState {
            revision: attributes.revision,
            programs,
            links,
        })
    }
}

/// A program at a hook of a cgroup: attached while a descriptor or a pin of it exists. Programs of
/// others at the same hook, and at cgroups above and below, run as well.
#[derive(Debug)]
pub struct CgroupLink {
    fd: OwnedFd,
}

impl CgroupLink {
    /// Attaches a program.
    ///
    /// # Errors
    ///
    /// `EBADF` if `cgroup` is none of the second version, `EPERM` without `CAP_NET_ADMIN`.
    pub fn attach(
        program: BorrowedFd<'_>,
        cgroup: BorrowedFd<'_>,
        hook: CgroupHook,
    ) -> Result<Self, CallError> {
        let mut attributes = CgroupAttributes {
            program: program.as_raw_fd().cast_unsigned(),
            cgroup: cgroup.as_raw_fd().cast_unsigned(),
            attach_type: hook.attach_type(),
            flags: 0,
        };
        bpf_fd(Command::LinkCreate, &mut attributes).map(|fd| Self { fd })
    }

    /// Opens the link pinned at `path`.
    ///
    /// # Errors
    ///
    /// `ENOENT` if nothing is pinned there, `EBADF` if it is not a link of a cgroup.
    pub fn from_pin(path: &Path) -> Result<Self, CallError> {
        let fd = get_pinned(path)?;
        let raw: RawInfo = info(fd.as_fd())?;
        match raw.kind {
            CGROUP => Ok(Self { fd }),
            _ => Err(CallError::from_errno(Command::ObjectInfo, libc::EBADF)),
        }
    }

    /// Replaces the program, with no packet between the two.
    ///
    /// # Errors
    ///
    /// `ENOLINK` if the cgroup is gone.
    pub fn update(&self, program: BorrowedFd<'_>) -> Result<(), CallError> {
        update(self.fd.as_fd(), program)
    }

    /// Takes the program off its hook, now. Detaching twice is no error.
    ///
    /// # Errors
    ///
    /// The kernel's refusal.
    pub fn detach(&self) -> Result<(), CallError> {
        detach(self.fd.as_fd())
    }

    /// Pins the link at `path` in a bpffs: it stays attached without this process.
    ///
    /// # Errors
    ///
    /// As [`pin`].
    pub fn pin(&self, path: &Path) -> Result<(), CallError> {
        pin(self.fd.as_fd(), path)
    }
}

impl AsFd for Link {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn update(link: BorrowedFd<'_>, program: BorrowedFd<'_>) -> Result<(), CallError> {
    let mut attributes = UpdateAttributes {
        link: link.as_raw_fd().cast_unsigned(),
        program: program.as_raw_fd().cast_unsigned(),
        flags: 0,
        old_program: 0,
    };
    bpf(Command::LinkUpdate, &mut attributes).map(drop)
}

fn detach(link: BorrowedFd<'_>) -> Result<(), CallError> {
    let mut attributes = DetachAttributes {
        link: link.as_raw_fd().cast_unsigned(),
    };
    match bpf(Command::LinkDetach, &mut attributes) {
        Err(error) if !error.is(libc::ENOLINK) => Err(error),
        _ => Ok(()),
    }
}
