//! How a datapath is set up.

use std::time::Duration;

use porin_identity::{Families, Family, IdentityId};

use crate::abi::{FLOW_CLOCK_SHIFT, FLOW_WAYS};
use crate::backend::Loader;
use crate::link::AttachMode;
use crate::pin::Pins;

/// How a [`Datapath`](crate::Datapath) is loaded and attached.
///
/// ```
/// use porin_datapath::{Config, Limits};
///
/// let config = Config { limits: Limits { endpoints: 64, ..Limits::default() }, ..Config::default() };
/// assert_eq!(config.limits.endpoints, 64);
/// ```
#[derive(Clone, Debug)]
pub struct Config {
    /// Where maps and links are pinned.
    pub pins: Pins,
    /// Sizes of the tables. Adopted tables must have been made with the same.
    pub limits: Limits,
    /// How programs are attached.
    pub attach: AttachMode,
    /// Which library loads the object.
    pub loader: Loader,
    /// Which address families the node speaks: what the world is called depends on it.
    pub families: Families,
    /// How much is told of flows that go on.
    pub aggregation: Aggregation,
}

/// How much is told of a flow that goes on, beside its first verdict, changed verdicts, drops and its
/// end: those are always told.
///
/// What a flow came to so far goes with each report. A flow between two endpoints of the node is
/// reported where it leaves the sender.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Aggregation {
    /// Nothing.
    #[default]
    Flows,
    /// A report whenever so much time has passed, on its next packet, and when the flow is answered,
    /// established or half closed. In steps of 1.07 s, at least one.
    Interval(Duration),
    /// Every packet: for finding faults. The ring fills quickly.
    Packets,
}

impl Aggregation {
    /// `trace_ticks` of the programs.
    pub(crate) fn ticks(self) -> u32 {
        match self {
            Self::Flows => 0,
            Self::Interval(every) => {
                let ticks = every.as_nanos() >> FLOW_CLOCK_SHIFT;
                u32::try_from(ticks)
                    .unwrap_or(u32::MAX)
                    .clamp(1, u32::MAX - 1)
            }
            Self::Packets => u32::MAX,
        }
    }
}

impl Default for Config {
    /// Nothing pinned, default limits, TCX if there is one, both families.
    fn default() -> Self {
        Self {
            pins: Pins::default(),
            limits: Limits::default(),
            attach: AttachMode::default(),
            loader: Loader::default(),
            families: Families::Dual,
            aggregation: Aggregation::Flows,
        }
    }
}

impl Config {
    /// Identities of unknown IPv4 and IPv6 addresses: `world` where only one
    /// family is spoken, and one name per family otherwise. A family that is
    /// not spoken keeps its own name, so that no rule for the other picks it.
    #[must_use]
    pub const fn worlds(&self) -> (IdentityId, IdentityId) {
        (
            self.families.world(Family::V4),
            self.families.world(Family::V6),
        )
    }
}

/// Sizes of the tables, in entries unless said otherwise. Memory is taken as
/// entries come, except for flows (120 bytes each) and the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Endpoints of the node, at most 65,535.
    pub endpoints: u32,
    /// Distinct policy tables, at most 32767; endpoints with equal policy
    /// share one. While policies change, old and new ones need room.
    pub policies: u32,
    /// Entries of one policy table.
    pub policy_entries: u32,
    /// Exact addresses, endpoints' own included.
    pub addresses: u32,
    /// Address prefixes.
    pub prefixes: u32,
    /// Groups of processes.
    pub groups: u32,
    /// Other nodes that tunnels end at.
    pub nodes: u32,
    /// Address prefixes behind other nodes.
    pub routes: u32,
    /// Tracked flows, rounded up to a power of two. When more than three quarters are taken, flows
    /// begin to give way: those that would end first.
    pub flows: u32,
    /// Datagrams of which a first fragment is remembered.
    pub fragments: u32,
    /// Bytes of the event ring: a power of two, at least a page.
    pub ring_bytes: u32,
    /// Bytes of pending events from which on the reader is woken at once.
    pub wakeup_bytes: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            endpoints: 1024,
            policies: 2047,
            policy_entries: 65_536,
            addresses: 65_536,
            prefixes: 65_536,
            groups: 1024,
            nodes: 1024,
            routes: 4096,
            flows: 262_144,
            fragments: 8192,
            ring_bytes: 1 << 20,
            wakeup_bytes: 64 * 1024,
        }
    }
}

impl Limits {
    /// Which bits of a device's number are the slot that its endpoint has if nobody was there
    /// first: slots are at least as many.
    pub(crate) const fn endpoint_mask(&self) -> u32 {
        match self.endpoints.checked_ilog2() {
            Some(bits) => (1 << bits) - 1,
            None => 0,
        }
    }

    /// Buckets of the flow table.
    pub(crate) const fn flow_buckets(&self) -> u32 {
        // More would not fit into the kernel's map either.
        let most = 1 << 26;
        let wanted = self.flows.div_ceil(FLOW_WAYS as u32);
        if wanted > most {
            most
        } else {
            wanted.next_power_of_two()
        }
    }
}
