//! What can go wrong, one type per family of operations.
//!
//! None of these errors weakens what is in force: an operation that fails
//! leaves the programs, links and tables as they were before it.

use std::io;
use std::net::IpAddr;
use std::path::PathBuf;

use ipnet::IpNet;
use porin_flow::EndpointId;
use porin_identity::IdentityId;

use crate::backend::Loader;
use crate::probe::Missing;
use crate::sys::{CallError, TcxHook};

/// A map is not what was expected, is full, or an operation on it failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MapError {
    /// The kernel's map differs from what this build needs.
    #[error("map `{map}` has {field} {found}, needed is {expected}")]
    Mismatch {
        /// The map's name.
        map: String,
        /// What differs.
        field: &'static str,
        /// What is needed.
        expected: u32,
        /// What is there.
        found: u32,
    },
    /// There is no room for one more entry.
    #[error("map `{map}` is full: it holds {capacity} entries at most")]
    Full {
        /// The map's name.
        map: String,
        /// How many entries it can hold.
        capacity: u32,
    },
    /// A buffer does not have the length of the map's keys or values.
    #[error("{what} for map `{map}` has {found} bytes, needed are {expected}")]
    Length {
        /// The map's name.
        map: String,
        /// Which buffer.
        what: &'static str,
        /// The length needed, in bytes.
        expected: usize,
        /// The length given, in bytes.
        found: usize,
    },
    /// The kernel refused the operation.
    #[error("operation on map `{map}` failed")]
    Call {
        /// The map's name.
        map: String,
        /// What the kernel answered.
        source: CallError,
    },
}

impl MapError {
    pub(crate) fn call(map: &str, source: CallError) -> Self {
        Self::Call {
            map: map.to_owned(),
            source,
        }
    }

    /// The errno, if the kernel refused the operation.
    #[must_use]
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::Call { source, .. } => source.errno(),
            _ => None,
        }
    }
}

/// The programs and maps did not come into the kernel.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The loader asked for is not part of this build.
    #[error("loader `{0}` is not part of this build: enable the feature `{0}`")]
    LoaderAbsent(Loader),
    /// The process may not, or the kernel cannot.
    #[error(transparent)]
    Missing(#[from] Missing),
    /// The loader does not understand the object.
    #[error("loader `{loader}` refused the object")]
    Object {
        /// Which loader.
        loader: Loader,
        /// What it says.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The kernel's verifier refused a program.
    #[error("kernel `{kernel}` refused program `{program}`: {}", last_line(log))]
    Program {
        /// The running kernel.
        kernel: String,
        /// Which program; `*` where the loader does not say.
        program: String,
        /// Everything the verifier said.
        log: String,
        /// What the kernel answered.
        source: io::Error,
    },
    /// The object lacks a program, map or constant that was asked for.
    #[error("the object has no {what} `{name}`")]
    Absent {
        /// What is lacking: `program`, `map` or `constant`.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// A map could not be made, or is not what it should be.
    #[error("the tables could not be made")]
    Map(#[from] MapError),
    /// Something about the pins.
    #[error("the pins could not be used")]
    Pin(#[from] PinError),
    /// A pinned link could not be taken over.
    #[error("what is attached could not be taken over")]
    Attach(#[from] AttachError),
}

impl LoadError {
    /// Everything that the verifier said, if it was the verifier that refused.
    #[must_use]
    pub fn verifier_log(&self) -> Option<&str> {
        match self {
            Self::Program { log, .. } => Some(log),
            _ => None,
        }
    }
}

/// The line of a verifier log that says why: the last one that is not statistics.
fn last_line(log: &str) -> &str {
    log.lines()
        .map(str::trim)
        .rev()
        .find(|line| {
            !line.is_empty()
                && !line.starts_with("processed ")
                && !line.starts_with("verification time")
                && !line.starts_with("stack depth")
                && !line.starts_with("-- ")
                && !line.starts_with("libbpf:")
        })
        .unwrap_or("the verifier gave no reason")
}

/// An endpoint could not be attached or taken over.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AttachError {
    /// The device is not in the calling thread's network namespace.
    #[error(
        "device {ifindex} is not in this thread's network namespace: attach from a thread that is in it"
    )]
    NoDevice {
        /// The device's index.
        ifindex: u32,
    },
    /// The process may not, or the kernel cannot.
    #[error(transparent)]
    Missing(#[from] Missing),
    /// The program is at this hook already.
    #[error("the program is at the {hook} hook of device {ifindex} already")]
    Taken {
        /// The device's index.
        ifindex: u32,
        /// The hook.
        hook: TcxHook,
    },
    /// A pinned link belongs to another device, or its device is gone.
    #[error("the link pinned at `{}` is not at device {ifindex}: remove it and attach anew", path.display())]
    Stale {
        /// The pin.
        path: PathBuf,
        /// The device it should be at.
        ifindex: u32,
    },
    /// This endpoint is there already.
    #[error("endpoint {0} is there already: remove it first")]
    Duplicate(EndpointId),
    /// There is no such endpoint.
    #[error("there is no endpoint {0}")]
    UnknownEndpoint(EndpointId),
    /// The endpoint's number is 0, or its identity is 0 or has more than 25 bits.
    #[error(
        "an endpoint with identity {0} cannot be: identities of endpoints are 1 to 33554431, their numbers start at 1"
    )]
    Identity(IdentityId),
    /// An endpoint has at most one address of each family, none of them unspecified or mapped.
    #[error(
        "an endpoint has at most one IPv4 and one IPv6 address, and no IPv4 address in IPv6 form"
    )]
    Addresses,
    /// Another endpoint has this address.
    #[error("address {0} is another endpoint's: remove that first")]
    AddressTaken(IpAddr),
    /// There are as many endpoints as the tables hold.
    #[error("there are {capacity} endpoints already: raise the limit")]
    Capacity {
        /// How many there may be.
        capacity: usize,
    },
    /// The loopback device leads nowhere: what the node tells itself is not judged.
    #[error(
        "the host is not judged at the loopback device: name devices that lead out of the node"
    )]
    Loopback,
    /// The directory of a cgroup cannot be read.
    #[error("the cgroup cannot be read")]
    Cgroup(#[source] io::Error),
    /// The kernel does not attach a program to a cgroup, or take it off.
    #[error("a hook of the cgroup refused: is it one of cgroup version 2?")]
    CgroupHook(#[source] CallError),
    /// The tunnels have a device already.
    #[error("device {0} is the overlay's already: detach it first")]
    OverlayTaken(u32),
    /// A table is too small, or refused.
    #[error("the endpoint's addresses could not be recorded")]
    Apply(#[from] ApplyError),
    /// The endpoint could not be recorded.
    #[error("the endpoint could not be recorded")]
    Map(#[from] MapError),
    /// The link could not be pinned.
    #[error("the link could not be pinned")]
    Pin(#[from] PinError),
    /// The kernel refused.
    #[error("the {hook} hook of device {ifindex} refused")]
    Call {
        /// The device's index.
        ifindex: u32,
        /// The hook.
        hook: TcxHook,
        /// What the kernel answered.
        source: CallError,
    },
}

/// A policy, identity or prefix could not be brought into the tables; what was
/// in force before is in force still.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApplyError {
    /// There is no such endpoint.
    #[error("there is no endpoint {0}")]
    UnknownEndpoint(EndpointId),
    /// The endpoint has no policy yet.
    #[error("endpoint {0} has no policy yet: install one first")]
    NoPolicy(EndpointId),
    /// The host is not under a policy.
    #[error("the host is not under a policy: attach it first")]
    NoHost,
    /// No policy of the host is on trial.
    #[error(
        "no policy of the host is on trial: it was confirmed, or its time is over and the one before it is in force again"
    )]
    NoTrial,
    /// The addresses stand behind another node.
    #[error("{prefix} stands behind node {node}: remove it there first")]
    RouteTaken {
        /// The addresses.
        prefix: IpNet,
        /// The other node.
        node: IpAddr,
    },
    /// An identity that an endpoint cannot have.
    #[error("an endpoint cannot have identity {0}: it is not between 1 and 33554431")]
    Identity(IdentityId),
    /// The tables are too small for this.
    #[error("{what} needs {needed} entries, there is room for {capacity}: raise the limit")]
    Capacity {
        /// What needs room.
        what: &'static str,
        /// How much it needs.
        needed: usize,
        /// How much there is.
        capacity: usize,
    },
    /// A table refused.
    #[error("a table refused")]
    Map(#[from] MapError),
}

/// Pins could not be made, found or taken over.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PinError {
    /// The directory is not in a BPF file system.
    #[error(
        "`{}` is not in a BPF file system: mount one with `mount -t bpf bpf DIR`, or choose a directory below /sys/fs/bpf",
        .0.display()
    )]
    NotBpfFs(PathBuf),
    /// Another process uses these pins.
    #[error("the pins in `{}` are in use by another process: stop it or choose another directory", .0.display())]
    InUse(PathBuf),
    /// A pinned map is not what this build needs.
    #[error(
        "the map pinned at `{}` is of another build or configuration: remove the pins (this ends what they enforce) or start the build that made them",
        path.display()
    )]
    Incompatible {
        /// The pin.
        path: PathBuf,
        /// What differs.
        source: MapError,
    },
    /// What is pinned speaks another version of the tables.
    #[error(
        "what is pinned in `{}` has table version {found}, this build has {expected}: remove the pins (this ends what they enforce) or start the build that made them",
        path.display()
    )]
    Version {
        /// The directory of the pins.
        path: PathBuf,
        /// The version of this build.
        expected: u32,
        /// The version that is pinned.
        found: u32,
    },
    /// Something is pinned there already.
    #[error("`{}` holds pins already: adopt them, remove them, or choose another directory", .0.display())]
    Occupied(PathBuf),
    /// Some of the pins are there and some are not.
    #[error(
        "`{}` lacks pin `{name}` while others are there: remove the pins (this ends what they enforce)",
        path.display()
    )]
    Incomplete {
        /// The directory of the pins.
        path: PathBuf,
        /// The pin that is lacking.
        name: String,
    },
    /// A directory or file operation failed.
    #[error("`{}` could not be used", path.display())]
    Io {
        /// The path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The kernel refused.
    #[error("pin `{}` could not be used", path.display())]
    Call {
        /// The pin.
        path: PathBuf,
        /// What the kernel answered.
        source: CallError,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_in_a_verifier_log_is_found() {
        let log = "0: R1=ctx()\nR0 !read_ok\nprocessed 1 insns (limit 1000000) max_states 0\n\n";
        assert_eq!(last_line(log), "R0 !read_ok");
        assert_eq!(last_line(""), "the verifier gave no reason");
    }
}
