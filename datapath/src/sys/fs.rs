//! The BPF file system.

use std::ffi::CString;
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::bpf::{CallError, Command};

/// `BPF_FS_MAGIC` of `include/uapi/linux/magic.h`.
pub const BPF_FS_MAGIC: i64 = 0xcafe_4a11;

/// Whether `path` lies in a bpffs.
///
/// # Errors
///
/// If the path does not exist or cannot be reached.
pub fn is_bpffs(path: &Path) -> Result<bool, CallError> {
    let path = c_path(Command::StatFs, path)?;
    let mut answer = MaybeUninit::<libc::statfs>::zeroed();
    // SAFETY: a C string and a buffer of the right type, both alive during the call.
    if unsafe { libc::statfs(path.as_ptr(), answer.as_mut_ptr()) } != 0 {
        return Err(CallError::last(Command::StatFs));
    }
    // SAFETY: the call succeeded, and every pattern of bytes was valid before it too.
    let answer = unsafe { answer.assume_init() };
    #[allow(
        clippy::unnecessary_cast,
        reason = "the field's type differs between architectures"
    )]
    let magic = answer.f_type as i64;
    Ok(magic & 0xffff_ffff == BPF_FS_MAGIC)
}

/// Mounts a new, empty bpffs at the directory `path`.
///
/// # Errors
///
/// The kernel's refusal: `EPERM` without `CAP_SYS_ADMIN`.
pub fn mount_bpffs(path: &Path) -> Result<(), CallError> {
    let path = c_path(Command::Mount, path)?;
    let flags = libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;
    // SAFETY: C strings that are alive during the call.
    let result = unsafe {
        libc::mount(
            c"bpffs".as_ptr(),
            path.as_ptr(),
            c"bpf".as_ptr(),
            flags,
            c"mode=0700".as_ptr().cast(),
        )
    };
    if result != 0 {
        return Err(CallError::last(Command::Mount));
    }
    Ok(())
}

fn c_path(command: Command, path: &Path) -> Result<CString, CallError> {
    CString::new(path.as_os_str().as_bytes())
        .map_err(|_| CallError::from_errno(command, libc::EINVAL))
}
