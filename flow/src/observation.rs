//! What the datapath reports: one fixed-size, numeric record per event.

use std::fmt;

use porin_identity::IdentityId;
use porin_policy::{Direction, RuleCookie};

use crate::drop_reason::DropReason;
use crate::time::Timestamp;
use crate::totals::Totals;
use crate::tuple::Tuple;

/// The number of an endpoint on its node; 0 names no local endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct EndpointId(u32);

impl EndpointId {
    /// No local endpoint.
    pub const NONE: Self = Self(0);

    /// The endpoint with this number.
    #[must_use]
    pub const fn new(id: u32) -> Self {
        Self(id)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl fmt::Display for EndpointId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What happened to a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It went on.
    Forward,
    /// It went to a proxy.
    Redirect,
    /// It was dropped, for this reason.
    Drop(DropReason),
    /// It would have been dropped, and went on because only an audit is asked for.
    Audit,
}

/// At which occasion an [`Observation`] was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ObservationKind {
    /// Policy judged a packet: the first of a connection, or one judged anew after a change.
    Verdict,
    /// A packet was dropped for a cause other than policy.
    Drop,
    /// A packet passed.
    Trace,
    /// A connection ended.
    Close,
}

/// Which parts of the policy key the deciding entry fixed.
///
/// The numbers are those of Hubble's `policy_match_type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(u8)]
pub enum PolicyMatch {
    /// No entry matched.
    #[default]
    None = 0,
    /// Identity only.
    L3 = 1,
    /// Identity, protocol and port.
    L3L4 = 2,
    /// Protocol and port of any peer.
    L4 = 3,
    /// An entry for everything.
    All = 4,
    /// Identity and protocol.
    L3Proto = 5,
    /// Protocol of any peer.
    Proto = 6,
}

impl PolicyMatch {
    /// Every kind of match, in the order of the numbers.
    pub const ALL_KINDS: [Self; 7] = [
        Self::None,
        Self::L3,
        Self::L3L4,
        Self::L4,
        Self::All,
        Self::L3Proto,
        Self::Proto,
    ];

    /// Hubble's number.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The match with this number.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL_KINDS.get(usize::from(number)).copied()
    }

    /// The match of an entry that fixes these parts of the key.
    #[must_use]
    pub const fn of(identity: bool, protocol: bool, port: bool) -> Self {
        match (identity, protocol, port) {
            (true, _, true) => Self::L3L4,
            (true, true, false) => Self::L3Proto,
            (true, false, false) => Self::L3,
            (false, _, true) => Self::L4,
            (false, true, false) => Self::Proto,
            (false, false, false) => Self::All,
        }
    }
}

impl fmt::Display for PolicyMatch {
    /// The text of `hubble observe`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::L3 => "L3-Only",
            Self::L3L4 => "L3-L4",
            Self::L4 => "L4-Only",
            Self::All => "all",
            Self::L3Proto => "L3-Proto",
            Self::Proto => "Proto-Only",
        })
    }
}

/// One event of the datapath, before names are put to its numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Observation {
    /// When.
    pub time: Timestamp,
    /// At which occasion.
    pub kind: ObservationKind,
    /// The hook: egress leaves the endpoint, ingress goes to it. Direction of the packet.
    pub direction: Direction,
    /// The local endpoint whose program reports.
    pub endpoint: EndpointId,
    /// Identity of the sender; 0 when it was not found out.
    pub source: IdentityId,
    /// Identity of the receiver; 0 when it was not found out.
    pub destination: IdentityId,
    /// The headers.
    pub tuple: Tuple,
    /// What happened.
    pub outcome: Outcome,
    /// Whether the packet answers; `None` when connection tracking did not say.
    pub reply: Option<bool>,
    /// The entry that decided; names a rule together with the policy of `endpoint`.
    pub cookie: RuleCookie,
    /// What the deciding entry fixed.
    pub match_kind: PolicyMatch,
    /// Policy epoch of the endpoint at that moment.
    pub epoch: u32,
    /// Index of the network interface.
    pub ifindex: u32,
    /// Length of the packet in bytes.
    pub length: u32,
    /// What the connection came to: where it ended, or its producer reports it as a whole.
    pub totals: Option<Totals>,
}
