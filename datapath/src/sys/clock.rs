//! The clocks that the programs and their measurements go by.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Time since an unspecified point that does not jump (`CLOCK_MONOTONIC`); what
/// `bpf_ktime_get_ns` and, within a tick of the kernel, `bpf_ktime_get_coarse_ns` say.
#[must_use]
pub fn monotonic() -> Duration {
    read(libc::CLOCK_MONOTONIC)
}

/// What must be added to [`monotonic`] to get the time since the Unix epoch, now.
#[must_use]
pub fn monotonic_to_unix() -> Duration {
    let unix = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    unix.saturating_sub(monotonic())
}

/// Time that this thread has had a processor for (`CLOCK_THREAD_CPUTIME_ID`).
#[must_use]
pub fn thread_time() -> Duration {
    read(libc::CLOCK_THREAD_CPUTIME_ID)
}

fn read(clock: libc::clockid_t) -> Duration {
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: writes one `timespec`, which lives on this stack.
    let result = unsafe { libc::clock_gettime(clock, &raw mut now) };
    if result != 0 {
        return Duration::ZERO;
    }
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(now.tv_nsec).unwrap_or(0))
}
