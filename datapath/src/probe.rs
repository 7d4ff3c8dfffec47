//! What the kernel can do and what this process may do, asked before anything is changed.

use std::fmt;
use std::path::Path;

use crate::sys::{CallError, Link, Map, MapFlags, MapKind, MapShape, Program, TcxHook};
use crate::sys::{is_bpffs, kernel_release};

/// A Linux capability that the datapath needs (`capabilities(7)`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Capability {
    /// Make maps and load programs.
    Bpf,
    /// Attach programs to devices.
    NetAdmin,
    /// Load programs without the verifier's guards against speculation, which refuse some of ours.
    Perfmon,
    /// Mount a BPF file system, open a map by its number.
    SysAdmin,
}

impl Capability {
    /// The capability's bit in the sets of `/proc/PID/status`.
    const fn bit(self) -> u32 {
        match self {
            Self::NetAdmin => 12,
            Self::SysAdmin => 21,
            Self::Perfmon => 38,
            Self::Bpf => 39,
        }
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bpf => "CAP_BPF",
            Self::NetAdmin => "CAP_NET_ADMIN",
            Self::Perfmon => "CAP_PERFMON",
            Self::SysAdmin => "CAP_SYS_ADMIN",
        })
    }
}

/// Why enforcement in the kernel is not possible here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Missing {
    /// The process lacks capabilities.
    #[error("missing {}: run as root, or give the program {}", names(.0), if .0.len() == 1 { "this capability" } else { "these capabilities" })]
    Capabilities(Vec<Capability>),
    /// The process has the capabilities, and something else forbids it.
    #[error(
        "the system forbids {action} in spite of the capabilities: a security module, `kernel.unprivileged_bpf_disabled` or a container's seccomp filter is in the way"
    )]
    Forbidden {
        /// What is forbidden.
        action: &'static str,
    },
    /// The kernel lacks something.
    #[error("kernel `{kernel}` has no {feature}: it needs {option}")]
    Feature {
        /// The running kernel.
        kernel: String,
        /// What it lacks.
        feature: &'static str,
        /// Since which kernel and with which option it has it.
        option: &'static str,
    },
}

fn names(capabilities: &[Capability]) -> String {
    let names: Vec<_> = capabilities.iter().map(ToString::to_string).collect();
    names.join(", ")
}

impl Missing {
    /// What explains `error` of an action that needs `needed`: lacking
    /// capabilities, or a prohibition. `None` if it is neither.
    pub(crate) fn explain(
        error: &CallError,
        action: &'static str,
        needed: &[Capability],
    ) -> Option<Self> {
        if !(error.is(libc::EPERM) || error.is(libc::EACCES)) {
            return None;
        }
        let lacking = lacking(needed);
        Some(if lacking.is_empty() {
            Self::Forbidden { action }
        } else {
            Self::Capabilities(lacking)
        })
    }

    /// The kernel has no TCX links.
    pub(crate) fn tcx() -> Self {
        Self::feature("TCX links", "6.6 or newer, or the attach mode `clsact`")
    }

    fn feature(feature: &'static str, option: &'static str) -> Self {
        Self::Feature {
            kernel: kernel_release(),
            feature,
            option,
        }
    }
}

/// What [`probe`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Support {
    /// The running kernel's release.
    pub kernel: String,
    /// Whether programs attach by TCX links (kernel 6.6); otherwise clsact filters are used.
    pub tcx: bool,
    /// Whether `/sys/fs/bpf` is a BPF file system, the usual place for pins.
    pub bpffs: bool,
}

/// Finds out whether this process can enforce on this kernel.
///
/// Loads one program of two instructions and makes one small map of each kind
/// that the tables need; all of it is gone again when the function returns.
/// Nothing is attached.
///
/// ```no_run
/// match porin_datapath::probe::probe() {
///     Ok(support) => println!("kernel {}: TCX {}", support.kernel, support.tcx),
///     Err(missing) => eprintln!("cannot enforce here: {missing}"),
/// }
/// ```
///
/// # Errors
///
/// [`Missing`] names the first thing that stands in the way.
pub fn probe() -> Result<Support, Missing> {
    let needed = [Capability::Bpf, Capability::NetAdmin, Capability::Perfmon];
    let lacking = lacking(&needed);
    if !lacking.is_empty() {
        return Err(Missing::Capabilities(lacking));
    }
    Program::constant("porin_probe", -1).map_err(|error| {
        Missing::explain(&error, "loading a BPF program", &needed).unwrap_or_else(|| {
            Missing::feature(
                "BPF classifiers",
                "CONFIG_BPF_SYSCALL and CONFIG_NET_CLS_ACT",
            )
        })
    })?;
    probe_maps()?;
    Ok(Support {
        kernel: kernel_release(),
        tcx: has_tcx(),
        bpffs: is_bpffs(Path::new("/sys/fs/bpf")).unwrap_or(false),
    })
}

/// The capabilities of `needed` that this process does not have in effect.
///
/// `CAP_SYS_ADMIN` stands for `CAP_BPF` and `CAP_PERFMON` too.
#[must_use]
pub fn lacking(needed: &[Capability]) -> Vec<Capability> {
    let effective = std::fs::read_to_string("/proc/thread-self/status")
        .ok()
        .and_then(|status| effective_set(&status))
        .unwrap_or(0);
    let has = |capability: Capability| effective & 1 << capability.bit() != 0;
    let implied = |capability| matches!(capability, Capability::Bpf | Capability::Perfmon);
    needed
        .iter()
        .copied()
        .filter(|capability| !has(*capability))
        .filter(|capability| !(implied(*capability) && has(Capability::SysAdmin)))
        .collect()
}

fn effective_set(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

fn probe_maps() -> Result<(), Missing> {
    let hash = MapShape::of::<u32, u32>(MapKind::Hash, 1, MapFlags::NO_PREALLOC);
    let ring = MapShape {
        kind: MapKind::RingBuffer,
        key_size: 0,
        value_size: 0,
        max_entries: 64 * 1024,
        flags: MapFlags::NONE,
    };
    let kinds = [
        (hash, "hash maps", "CONFIG_BPF_SYSCALL"),
        (
            MapShape::of::<u32, u64>(MapKind::LruHash, 1, MapFlags::NONE),
            "LRU hash maps",
            "4.10 or newer",
        ),
        (
            MapShape::of::<[u32; 5], u32>(MapKind::LpmTrie, 1, MapFlags::NO_PREALLOC),
            "prefix tries",
            "4.11 or newer",
        ),
        (
            MapShape::of::<u32, u64>(MapKind::Array, 1, MapFlags::MMAPABLE),
            "mappable arrays",
            "5.5 or newer",
        ),
        (ring, "BPF ring buffers", "5.8 or newer"),
    ];
    for (shape, feature, option) in kinds {
        Map::create("porin_probe", &shape).map_err(|error| refused(&error, feature, option))?;
    }
    let outer = MapShape::of::<u32, u32>(MapKind::ArrayOfMaps, 1, MapFlags::NONE);
    Map::create("porin_probe", &hash)
        .and_then(|inner| Map::create_outer("porin_probe", &outer, &inner))
        .map_err(|error| refused(&error, "maps of maps", "4.12 or newer"))?;
    Ok(())
}

fn refused(error: &crate::error::MapError, feature: &'static str, option: &'static str) -> Missing {
    match error.errno() {
        Some(libc::EPERM | libc::EACCES) => Missing::Forbidden {
            action: "making a BPF map",
        },
        _ => Missing::feature(feature, option),
    }
}

/// Asks the kernel itself: one that knows TCX looks for the device first.
pub(crate) fn has_tcx() -> bool {
    // No device has this index, so that nothing can be changed or shown.
    const NOBODY: u32 = i32::MAX as u32;
    match Link::query(NOBODY, TcxHook::Ingress) {
        Ok(_) => true,
        Err(error) => error.is(libc::ENODEV),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_effective_set_is_read_from_the_status() {
        let status = "Name:\tx\nCapPrm:\t0000000000000000\nCapEff:\t000001ffffffffff\n";
        assert_eq!(effective_set(status), Some(0x1ff_ffff_ffff));
        assert_eq!(effective_set("Name:\tx\n"), None);
    }

    #[test]
    fn what_is_missing_is_named() {
        let missing = Missing::Capabilities(vec![Capability::Bpf, Capability::NetAdmin]);
        assert_eq!(
            missing.to_string(),
            "missing CAP_BPF, CAP_NET_ADMIN: run as root, or give the program these capabilities"
        );
    }
}
