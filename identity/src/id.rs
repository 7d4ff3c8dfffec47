//! The number an identity has in the kernel, on the wire and in every table.

use std::fmt;
use std::str::FromStr;

use crate::error::ParseIdentityError;

/// The number of an identity: who a packet comes from or goes to.
///
/// | numbers | scope |
/// |---|---|
/// | 0 ..= 255 | reserved: the same on every node ([`IdentityId::HOST`], [`IdentityId::WORLD`] …) |
/// | 256 ..= 2²⁴−1 | cluster: workloads; derived from the labels, fits a VXLAN network identifier |
/// | bit 24 set | local to one node: CIDR blocks, DNS names, members told apart by address |
/// | bit 25 set | remote nodes |
///
/// The numbering is that of Cilium (`pkg/identity/numericidentity.go`), so that its tools
/// read our flows.
///
/// ```
/// use porin_identity::IdentityId;
/// assert_eq!(IdentityId::WORLD.reserved_name(), Some("world"));
/// assert!(IdentityId::new(0x0100_0007).is_local());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(transparent)]
pub struct IdentityId(u32);

/// Where an identity number means something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Fixed numbers below 256, equal everywhere.
    Reserved,
    /// Workloads; equal on every node.
    Cluster,
    /// CIDR blocks, DNS names, and members of workload identities that policies tell apart by their
    /// addresses; one node only.
    Local,
    /// Other nodes of the cluster.
    RemoteNode,
}

const RESERVED_NAMES: [&str; 11] = [
    "unknown",
    "host",
    "world",
    "unmanaged",
    "health",
    "init",
    "remote-node",
    "kube-apiserver",
    "ingress",
    "world-ipv4",
    "world-ipv6",
];

const LOCAL_BIT: u32 = 1 << 24;
const REMOTE_NODE_BIT: u32 = 1 << 25;

impl IdentityId {
    /// Nobody known. As the peer of a policy entry: any peer.
    pub const UNKNOWN: Self = Self(0);
    /// The node itself.
    pub const HOST: Self = Self(1);
    /// Everything outside of the cluster (in a node of one address family).
    pub const WORLD: Self = Self(2);
    /// An endpoint that nobody manages.
    pub const UNMANAGED: Self = Self(3);
    /// Health-check endpoints.
    pub const HEALTH: Self = Self(4);
    /// An endpoint whose labels are not known yet.
    pub const INIT: Self = Self(5);
    /// Another node of the cluster.
    pub const REMOTE_NODE: Self = Self(6);
    /// The Kubernetes API server.
    pub const KUBE_APISERVER: Self = Self(7);
    /// The ingress proxy.
    pub const INGRESS: Self = Self(8);
    /// Everything outside of the cluster that is reached over IPv4 (dual stack).
    pub const WORLD_IPV4: Self = Self(9);
    /// Everything outside of the cluster that is reached over IPv6 (dual stack).
    pub const WORLD_IPV6: Self = Self(10);
    /// The lowest number of a workload.
    pub const MIN_CLUSTER: Self = Self(256);
    /// The highest number of a workload: 2²⁴ − 1.
    pub const MAX_CLUSTER: Self = Self(LOCAL_BIT - 1);

    /// The identity with this number.
    #[must_use]
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }

    /// Where the number means something.
    #[must_use]
    pub const fn scope(self) -> Scope {
        if self.0 < Self::MIN_CLUSTER.0 {
            Scope::Reserved
        } else if self.0 & REMOTE_NODE_BIT != 0 {
            Scope::RemoteNode
        } else if self.0 & LOCAL_BIT != 0 {
            Scope::Local
        } else {
            Scope::Cluster
        }
    }

    /// Below 256.
    #[must_use]
    pub const fn is_reserved(self) -> bool {
        matches!(self.scope(), Scope::Reserved)
    }

    /// A CIDR block, a DNS name or a member told apart by its address, known on one node only.
    #[must_use]
    pub const fn is_local(self) -> bool {
        matches!(self.scope(), Scope::Local)
    }

    /// Another node.
    #[must_use]
    pub const fn is_remote_node(self) -> bool {
        matches!(self.scope(), Scope::RemoteNode)
    }

    /// The name behind `reserved:`, for the numbers that have one.
    #[must_use]
    pub fn reserved_name(self) -> Option<&'static str> {
        RESERVED_NAMES.get(self.0 as usize).copied()
    }

    /// The number of a reserved name (`world` → 2).
    #[must_use]
    pub fn from_reserved_name(name: &str) -> Option<Self> {
        let number = RESERVED_NAMES.iter().position(|known| *known == name)?;
        u32::try_from(number).ok().map(Self)
    }

    /// The candidate of `bits` in the node-local space.
    pub(crate) const fn local(bits: u32) -> Self {
        Self(LOCAL_BIT | (bits & (LOCAL_BIT - 1)))
    }

    /// The candidate of `bits` in the space of remote nodes.
    pub(crate) const fn remote_node(bits: u32) -> Self {
        Self(REMOTE_NODE_BIT | (bits & (LOCAL_BIT - 1)))
    }
}

impl fmt::Display for IdentityId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A decimal number, or a reserved name with or without `reserved:`.
impl FromStr for IdentityId {
    type Err = ParseIdentityError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(number) = text.parse() {
            return Ok(Self(number));
        }
        let name = text.strip_prefix("reserved:").unwrap_or(text);
        Self::from_reserved_name(name).ok_or_else(|| ParseIdentityError::Unknown {
            text: text.to_owned(),
        })
    }
}

impl From<IdentityId> for u32 {
    fn from(id: IdentityId) -> Self {
        id.0
    }
}

impl From<u32> for IdentityId {
    fn from(number: u32) -> Self {
        Self(number)
    }
}
