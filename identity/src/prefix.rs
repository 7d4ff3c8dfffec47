//! A claim on a prefix: who says that a block of addresses is an identity.

use std::fmt;

use ipnet::IpNet;

use crate::id::IdentityId;

/// Who makes a claim. The stronger source wins a prefix that several claim; the order here is from
/// weak to strong, so that what somebody merely wrote or learnt never hides what is attached here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// The world: every address that nobody claims.
    World,
    /// A block named in a policy.
    Policy,
    /// An answer of DNS.
    Dns,
    /// Another node, through the shared store.
    Remote,
    /// The orchestrator.
    Orchestrator,
    /// A node of the cluster.
    Node,
    /// An endpoint attached on this node.
    Local,
}

/// Whoever makes claims: an endpoint, a policy set, a remote node. The numbers are the caller's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OwnerId(u64);

impl OwnerId {
    /// The owner with this number.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

/// How often an owner has claimed anew. A late delete of an old claim carries the old generation
/// and leaves the new claim alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Generation(u64);

impl Generation {
    /// The generation with this number.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The one after it.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.wrapping_add(1))
    }
}

/// A claim on a prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PrefixEntry {
    /// Whom the prefix leads to.
    pub identity: IdentityId,
    /// Who says so.
    pub source: Source,
    /// Which one of them.
    pub owner: OwnerId,
    /// For the how-manyeth time.
    pub generation: Generation,
}

/// Where a prefix leads, for a kernel table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Binding {
    /// To this identity.
    Identity(IdentityId),
    /// Nowhere yet: the address had another owner a moment ago. Its packets are to be dropped.
    Quarantined,
    /// The prefix is not claimed any more; shorter ones decide.
    Unbound,
}

impl fmt::Display for Binding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Identity(id) => id.fmt(f),
            Self::Quarantined => f.write_str("quarantined"),
            Self::Unbound => f.write_str("unbound"),
        }
    }
}

/// A prefix that leads elsewhere since the last [`PrefixTable::take_delta`](crate::PrefixTable::take_delta).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PrefixChange {
    /// The prefix.
    pub prefix: IpNet,
    /// Where it leads now.
    pub to: Binding,
}
