//! Which address families a node speaks; this decides what "the world" is called.

use std::net::IpAddr;

use crate::id::IdentityId;

/// An address family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// The family of an address.
    #[must_use]
    pub const fn of(address: &IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }
}

/// The address families a node speaks.
///
/// A node of one family calls everything outside of the cluster `reserved:world` (2); a node of
/// both tells `reserved:world-ipv4` (9) from `reserved:world-ipv6` (10), and nothing is plain
/// world any more (Cilium 1.20, `pkg/labels/cidr.go`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Families {
    /// IPv4 only.
    V4,
    /// IPv6 only.
    V6,
    /// Both.
    #[default]
    Dual,
}

impl Families {
    /// Does the node speak this family?
    #[must_use]
    pub const fn speaks(self, family: Family) -> bool {
        matches!(
            (self, family),
            (Self::Dual, _) | (Self::V4, Family::V4) | (Self::V6, Family::V6)
        )
    }

    /// The reserved identity of everything outside of the cluster in one family.
    #[must_use]
    pub const fn world(self, family: Family) -> IdentityId {
        match (self, family) {
            (Self::V4, Family::V4) | (Self::V6, Family::V6) => IdentityId::WORLD,
            (_, Family::V4) => IdentityId::WORLD_IPV4,
            (_, Family::V6) => IdentityId::WORLD_IPV6,
        }
    }

    /// The name behind `reserved:` of [`Families::world`].
    #[must_use]
    pub const fn world_name(self, family: Family) -> &'static str {
        match (self, family) {
            (Self::V4, Family::V4) | (Self::V6, Family::V6) => "world",
            (_, Family::V4) => "world-ipv4",
            (_, Family::V6) => "world-ipv6",
        }
    }
}
