use std::fmt;

use porin_identity::IdentityId;

use crate::{
    AuthMode, Direction, PortPrefix, Precedence, Protocol, Query, Redirect, RuleCookie, Verdict,
};

/// What a kernel policy entry is found by.
///
/// Keys order by direction, identity, protocol and port block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MapKey {
    /// Which way the connection is opened.
    pub direction: Direction,
    /// The peer; [`IdentityId::UNKNOWN`] stands for any peer.
    pub identity: IdentityId,
    /// The protocol; [`Protocol::ANY`] stands for every protocol, and then `port` is every port.
    pub protocol: Protocol,
    /// The block of destination ports.
    pub port: PortPrefix,
}

impl MapKey {
    /// How much of protocol and port the key fixes, in bits: 0 for any protocol, 8 for a protocol
    /// with all its ports, 8 + n for an n-bit block of ports.
    #[must_use]
    pub const fn prefix_len(&self) -> u8 {
        if self.protocol.is_any() {
            0
        } else {
            8 + self.port.bits()
        }
    }

    /// Whether the key fits a question's direction, protocol and port, and names its peer or any peer.
    #[must_use]
    pub fn covers(&self, query: &Query) -> bool {
        self.direction == query.direction
            && (self.identity == IdentityId::UNKNOWN || self.identity == query.peer)
            && (self.protocol.is_any()
                || (self.protocol == query.protocol && self.port.covers(query.port)))
    }
}

impl fmt::Display for MapKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {} {}:{}",
            self.direction, self.identity, self.protocol, self.port
        )
    }
}

/// What an entry does with the packets it covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EntryAction {
    /// Let them pass.
    Allow,
    /// Drop them.
    Deny,
    /// Hand them to a proxy.
    Redirect(Redirect),
}

impl EntryAction {
    /// The verdict alone.
    #[must_use]
    pub const fn verdict(self) -> Verdict {
        match self {
            Self::Allow => Verdict::Allow,
            Self::Deny => Verdict::Deny,
            Self::Redirect(_) => Verdict::Redirect,
        }
    }

    /// Where a redirected packet goes.
    #[must_use]
    pub const fn redirect(self) -> Option<Redirect> {
        match self {
            Self::Redirect(redirect) => Some(redirect),
            Self::Allow | Self::Deny => None,
        }
    }
}

/// What a kernel policy entry says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MapEntry {
    /// What happens.
    pub action: EntryAction,
    /// What the connection has to prove before it passes; without meaning for a denial.
    pub auth: AuthMode,
    /// How strong it is against the entry of the other chain.
    pub precedence: Precedence,
    /// The rule that asked for it.
    pub cookie: RuleCookie,
}
