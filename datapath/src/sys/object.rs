//! Pins, information about kernel objects, and the kernel's own name.

use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::bpf::{Attributes, CallError, Command, address, bpf, bpf_fd};
use super::pod::{Pod, zeroed};

/// `struct { pathname; bpf_fd; file_flags; }`
#[repr(C)]
struct ObjectAttributes {
    path: u64,
    fd: u32,
    flags: u32,
}

// SAFETY: mirrors the kernel's layout; `path` points to a C string that outlives the call.
unsafe impl Attributes for ObjectAttributes {}

/// `struct { bpf_fd; info_len; info; }`
#[repr(C)]
struct InfoAttributes {
    fd: u32,
    length: u32,
    info: u64,
}

// SAFETY: mirrors the kernel's layout; `info` points to `length` writable bytes.
unsafe impl Attributes for InfoAttributes {}

/// `struct { id; next_id; open_flags; }`
#[repr(C)]
struct IdAttributes {
    id: u32,
    next: u32,
    flags: u32,
}

// SAFETY: mirrors the kernel's layout, no pointers.
unsafe impl Attributes for IdAttributes {}

fn c_path(command: Command, path: &Path) -> Result<CString, CallError> {
    CString::new(path.as_os_str().as_bytes())
        .map_err(|_| CallError::from_errno(command, libc::EINVAL))
}

/// Pins a map, program or link at `path`, which must lie in a bpffs.
///
/// # Errors
///
/// The kernel's refusal: `EEXIST` if the path is taken, `EPERM` without
/// `CAP_BPF`, `EINVAL` outside of a bpffs.
pub fn pin(object: BorrowedFd<'_>, path: &Path) -> Result<(), CallError> {
    let path = c_path(Command::ObjectPin, path)?;
    let mut attributes = ObjectAttributes {
        path: address(path.as_ptr()),
        fd: object.as_raw_fd().cast_unsigned(),
        flags: 0,
    };
    bpf(Command::ObjectPin, &mut attributes).map(drop)
}

/// Opens what is pinned at `path`.
///
/// # Errors
///
/// `ENOENT` if nothing is there, otherwise the kernel's refusal.
pub fn get_pinned(path: &Path) -> Result<OwnedFd, CallError> {
    let path = c_path(Command::ObjectGet, path)?;
    let mut attributes = ObjectAttributes {
        path: address(path.as_ptr()),
        fd: 0,
        flags: 0,
    };
    bpf_fd(Command::ObjectGet, &mut attributes)
}

/// What the kernel says about an object; fields it does not know stay zero.
pub(super) fn info<I: Pod>(object: BorrowedFd<'_>) -> Result<I, CallError> {
    let mut info = zeroed::<I>();
    let mut attributes = InfoAttributes {
        fd: object.as_fd().as_raw_fd().cast_unsigned(),
        length: u32::try_from(size_of::<I>())
            .map_err(|_| CallError::from_errno(Command::ObjectInfo, libc::EINVAL))?,
        info: address(std::ptr::from_mut(&mut info)),
    };
    bpf(Command::ObjectInfo, &mut attributes)?;
    Ok(info)
}

/// The object of a number that the kernel gave it.
pub(super) fn by_id(command: Command, id: u32) -> Result<OwnedFd, CallError> {
    let mut attributes = IdAttributes {
        id,
        next: 0,
        flags: 0,
    };
    bpf_fd(command, &mut attributes)
}

/// The first `MAX` bytes of `text` as a kernel object name: letters, digits, `_` and `.`.
pub(super) fn object_name(text: &str) -> [u8; 16] {
    let mut name = [0; 16];
    let good = text
        .bytes()
        .filter(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.'));
    for (slot, byte) in name.iter_mut().take(15).zip(good) {
        *slot = byte;
    }
    name
}

/// The text of a kernel object name.
pub(super) fn name_text(name: &[u8]) -> String {
    name.iter()
        .take_while(|byte| **byte != 0)
        .map(|byte| char::from(*byte))
        .collect()
}

/// The release of the running kernel, as `uname -r` prints it.
#[must_use]
pub fn kernel_release() -> String {
    std::fs::read_to_string("/proc/sys/kernel/osrelease")
        .map_or_else(|_| "unknown".to_owned(), |text| text.trim().to_owned())
}
