//! The embedded object: its bytes, and the one place where its names stand.

use crate::abi;
use crate::config::Limits;
use crate::sys::{CgroupHook, MapFlags, MapKind, MapShape};

/// The programs and tables, compiled from `bpf/` for little-endian machines.
pub const BYTES: &[u8] = include_bytes!("object/porin.bpf.o");

/// Program at the ingress of an endpoint's device: what the endpoint sends.
pub const FROM_ENDPOINT: &str = "from_endpoint";
/// Program at the egress of an endpoint's device: what it is to receive.
pub const TO_ENDPOINT: &str = "to_endpoint";
/// Program at the ingress of a device that leads out of the node: what the host is to receive.
pub const FROM_NETWORK: &str = "from_network";
/// Program at the egress of such a device: what the host sends.
pub const TO_NETWORK: &str = "to_network";
/// Program at the ingress of the tunnels' device: what other nodes send.
pub const FROM_OVERLAY: &str = "from_overlay";
/// Program at its egress: what goes to other nodes.
pub const TO_OVERLAY: &str = "to_overlay";
/// Programs at a group of processes, with the hooks that they are for.
pub const GROUP: [(&str, CgroupHook); 6] = [
    ("group_egress", CgroupHook::Egress),
    ("group_ingress", CgroupHook::Ingress),
    ("group_connect4", CgroupHook::Connect4),
    ("group_connect6", CgroupHook::Connect6),
    ("group_sendmsg4", CgroupHook::SendMsg4),
    ("group_sendmsg6", CgroupHook::SendMsg6),
];
/// Every program.
pub const PROGRAMS: &[&str] = &[
    FROM_ENDPOINT,
    TO_ENDPOINT,
    FROM_NETWORK,
    TO_NETWORK,
    FROM_OVERLAY,
    TO_OVERLAY,
    "group_egress",
    "group_ingress",
    "group_connect4",
    "group_connect6",
    "group_sendmsg4",
    "group_sendmsg6",
];

/// Constant: identity of an IPv4 address that no table knows.
pub(crate) const WORLD_IPV4: &str = "world_ipv4";
/// Constant: the same for IPv6.
pub(crate) const WORLD_IPV6: &str = "world_ipv6";
/// Constant: bytes pending in the ring from which on the reader is woken.
pub(crate) const WAKEUP_BYTES: &str = "wakeup_bytes";
/// Constant: buckets of flows, less one.
pub(crate) const FLOW_MASK: &str = "flow_mask";
/// Constant: ticks between two reports of a flow.
pub(crate) const TRACE_TICKS: &str = "trace_ticks";
/// Constant: which bits of a device's number are its own slot.
pub(crate) const ENDPOINT_MASK: &str = "endpoint_mask";

/// The tables of the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Table {
    /// Version stamp: pinned last, read first.
    Abi,
    /// Facts of the node.
    Node,
    /// Device to endpoint slot.
    Devices,
    /// Endpoint records.
    Endpoints,
    /// The host's record.
    Host,
    /// Records of groups of processes.
    Groups,
    /// Exact addresses.
    Addresses,
    /// Address prefixes.
    Prefixes,
    /// Other nodes.
    Nodes,
    /// Prefix to node.
    Routes,
    /// Policy tables by slot.
    Policies,
    /// Connection tracking.
    Flows,
    /// First fragments.
    Fragments,
    /// Ring of events.
    Events,
    /// Events that found no room.
    Lost,
    /// Dropped packets.
    Drops,
}

impl Table {
    /// Every table; the version stamp last.
    pub const ALL: [Self; 16] = [
        Self::Node,
        Self::Devices,
        Self::Endpoints,
        Self::Host,
        Self::Groups,
        Self::Addresses,
        Self::Prefixes,
        Self::Nodes,
        Self::Routes,
        Self::Policies,
        Self::Flows,
        Self::Fragments,
        Self::Events,
        Self::Lost,
        Self::Drops,
        Self::Abi,
    ];

    /// Its name in the object and among the pins.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Abi => "abi",
            Self::Node => "node",
            Self::Devices => "devices",
            Self::Endpoints => "endpoints",
            Self::Host => "host",
            Self::Groups => "groups",
            Self::Addresses => "addresses",
            Self::Prefixes => "prefixes",
            Self::Nodes => "nodes",
            Self::Routes => "routes",
            Self::Policies => "tables",
            Self::Flows => "flows",
            Self::Fragments => "fragments",
            Self::Events => "events",
            Self::Lost => "lost",
            Self::Drops => "drops",
        }
    }

    /// Its shape under these limits.
    #[must_use]
    pub const fn shape(self, limits: &Limits) -> MapShape {
        let none = MapFlags::NONE;
        let lazy = MapFlags::NO_PREALLOC;
        match self {
            Self::Abi => MapShape::of::<u32, abi::Abi>(MapKind::Array, 1, none),
            Self::Node => MapShape::of::<u32, abi::Node>(MapKind::Array, 1, MapFlags::MMAPABLE),
            Self::Devices => MapShape::of::<u32, u32>(MapKind::Hash, limits.endpoints, none),
            Self::Endpoints => MapShape::of::<u32, abi::Endpoint>(
                MapKind::Array,
                limits.endpoints,
                MapFlags::MMAPABLE,
            ),
            Self::Host => MapShape::of::<u32, abi::Host>(MapKind::Array, 1, MapFlags::MMAPABLE),
            Self::Groups => MapShape::of::<u64, abi::Endpoint>(MapKind::Hash, limits.groups, lazy),
            Self::Addresses => {
                MapShape::of::<abi::Address, abi::Owner>(MapKind::Hash, limits.addresses, lazy)
            }
            Self::Prefixes => {
                MapShape::of::<abi::Prefix, abi::Owner>(MapKind::LpmTrie, limits.prefixes, lazy)
            }
            Self::Nodes => {
                MapShape::of::<abi::Address, abi::Remote>(MapKind::Hash, limits.nodes, lazy)
            }
            Self::Routes => {
                MapShape::of::<abi::Prefix, abi::Address>(MapKind::LpmTrie, limits.routes, lazy)
            }
            Self::Policies => {
                MapShape::of::<u32, u32>(MapKind::ArrayOfMaps, limits.policies + 1, none)
            }
            Self::Flows => MapShape::of::<u32, abi::FlowBucket>(
                MapKind::Array,
                limits.flow_buckets(),
                MapFlags::MMAPABLE,
            ),
            Self::Fragments => MapShape::of::<abi::FragmentKey, abi::Fragment>(
                MapKind::LruHash,
                limits.fragments,
                none,
            ),
            Self::Events => MapShape {
                kind: MapKind::RingBuffer,
                key_size: 0,
                value_size: 0,
                max_entries: limits.ring_bytes,
                flags: none,
            },
            Self::Lost => MapShape::of::<u32, u64>(MapKind::PerCpuArray, abi::EVENT_KINDS, none),
            Self::Drops => {
                MapShape::of::<u32, abi::Counter>(MapKind::PerCpuArray, abi::COUNTERS, none)
            }
        }
    }
}

/// The shape of one policy table of `entries` entries.
#[must_use]
pub const fn policy_table(entries: u32) -> MapShape {
    MapShape::of::<abi::PolicyKey, abi::PolicyEntry>(
        MapKind::LpmTrie,
        if entries == 0 { 1 } else { entries },
        MapFlags::NO_PREALLOC,
    )
}
