//! What the kernel must allow before any of this works.

use std::fmt;
use std::fs;

use crate::namespace::Namespace;

/// A capability of a Linux process (`capabilities(7)`), as far as this project asks for one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Capability {
    /// Links, routes, attaching programs.
    NetAdmin,
    /// Packet sockets.
    NetRaw,
    /// New namespaces, mounts.
    SysAdmin,
    /// Loading programs with access to packet data.
    Perfmon,
    /// Maps and programs.
    Bpf,
}

impl Capability {
    /// Its bit in a capability set, as `linux/capability.h` numbers them.
    const fn bit(self) -> u32 {
        match self {
            Self::NetAdmin => 12,
            Self::NetRaw => 13,
            Self::SysAdmin => 21,
            Self::Perfmon => 38,
            Self::Bpf => 39,
        }
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NetAdmin => "CAP_NET_ADMIN",
            Self::NetRaw => "CAP_NET_RAW",
            Self::SysAdmin => "CAP_SYS_ADMIN",
            Self::Perfmon => "CAP_PERFMON",
            Self::Bpf => "CAP_BPF",
        })
    }
}

/// What the process lacks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Missing {
    /// Capabilities that are not in the effective set.
    #[error("missing {}: run as root, or grant them to the program", list(.0))]
    Capabilities(Vec<Capability>),
    /// The capabilities are there, and the kernel or a sandbox still refuses.
    #[error("the capabilities are there, but the system refuses a network namespace: {0}")]
    Refused(String),
    /// `/proc/self/status` cannot be read.
    #[error("cannot read the capabilities of this process: {0}")]
    Unreadable(String),
}

fn list(missing: &[Capability]) -> String {
    let names: Vec<String> = missing.iter().map(Capability::to_string).collect();
    names.join(", ")
}

/// Whether the process holds all of `wanted`.
///
/// `CAP_SYS_ADMIN` stands in for [`Capability::Bpf`] and [`Capability::Perfmon`], as it does in
/// the kernel.
///
/// # Errors
/// [`Missing`] names every capability that is not held.
pub fn require(wanted: &[Capability]) -> Result<(), Missing> {
    let status = fs::read_to_string("/proc/self/status")
        .map_err(|error| Missing::Unreadable(error.to_string()))?;
    let held = effective(&status)
        .ok_or_else(|| Missing::Unreadable("`CapEff` is not in its status".to_owned()))?;
    let missing: Vec<Capability> = wanted
        .iter()
        .copied()
        .filter(|&capability| !holds(held, capability))
        .collect();
    if missing.is_empty() {
        Ok(())
    } else {
        Err(Missing::Capabilities(missing))
    }
}

/// Whether namespaces, links, packet sockets and BPF programs can be had.
///
/// # Errors
/// [`Missing`] names what stands in the way.
pub fn privileges() -> Result<(), Missing> {
    require(&[
        Capability::SysAdmin,
        Capability::NetAdmin,
        Capability::NetRaw,
        Capability::Bpf,
        Capability::Perfmon,
    ])?;
    // A sandbox may refuse what the capabilities allow.
    Namespace::new()
        .map(drop)
        .map_err(|error| Missing::Refused(error.to_string()))
}

/// The effective set in the text of `/proc/self/status`.
fn effective(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

fn holds(held: u64, capability: Capability) -> bool {
    let has = |capability: Capability| held >> capability.bit() & 1 == 1;
    match capability {
        Capability::Bpf | Capability::Perfmon => has(capability) || has(Capability::SysAdmin),
        _ => has(capability),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_effective_set_is_read_from_the_status() {
        let status = "Name:\tx\nCapPrm:\t0000000000000000\nCapEff:\t0000000000003000\n";
        let held = effective(status).unwrap();
        assert!(holds(held, Capability::NetAdmin));
        assert!(holds(held, Capability::NetRaw));
        assert!(!holds(held, Capability::SysAdmin));
        assert!(!holds(held, Capability::Bpf));
    }

    #[test]
    fn the_older_capability_stands_in_for_the_newer_ones() {
        let held = 1 << Capability::SysAdmin.bit();
        assert!(holds(held, Capability::Bpf));
        assert!(holds(held, Capability::Perfmon));
        assert!(!holds(held, Capability::NetAdmin));
    }

    #[test]
    fn the_message_names_what_is_missing() {
        let missing = Missing::Capabilities(vec![Capability::NetAdmin, Capability::Bpf]);
        let text = missing.to_string();
        assert!(text.contains("CAP_NET_ADMIN, CAP_BPF"), "{text}");
    }
}
