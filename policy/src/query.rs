use std::fmt;

use porin_identity::IdentityId;

use crate::{Direction, Protocol};

/// A question: may this peer and the subject talk, in this direction, on this protocol and port?
///
/// ```
/// use porin_identity::IdentityId;
/// use porin_policy::Query;
/// let query = Query::ingress(IdentityId::WORLD).tcp(8080);
/// assert_eq!(query.to_string(), "ingress from 2 TCP/8080");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Query {
    /// Which way the connection is opened.
    pub direction: Direction,
    /// The other side: the source on ingress, the destination on egress.
    pub peer: IdentityId,
    /// The protocol of the packet.
    pub protocol: Protocol,
    /// The destination port; for ICMP the message type.
    pub port: u16,
}

impl Query {
    /// A question about somebody who connects to the subject; TCP port 0 until more is said.
    #[must_use]
    pub const fn ingress(peer: IdentityId) -> Self {
        Self {
            direction: Direction::Ingress,
            peer,
            protocol: Protocol::TCP,
            port: 0,
        }
    }

    /// A question about somebody the subject connects to; TCP port 0 until more is said.
    #[must_use]
    pub const fn egress(peer: IdentityId) -> Self {
        Self {
            direction: Direction::Egress,
            peer,
            protocol: Protocol::TCP,
            port: 0,
        }
    }

    /// The same question about a protocol and a destination port.
    #[must_use]
    pub const fn on(self, protocol: Protocol, port: u16) -> Self {
        Self {
            protocol,
            port,
            ..self
        }
    }

    /// The same question about a TCP port.
    #[must_use]
    pub const fn tcp(self, port: u16) -> Self {
        self.on(Protocol::TCP, port)
    }

    /// The same question about a UDP port.
    #[must_use]
    pub const fn udp(self, port: u16) -> Self {
        self.on(Protocol::UDP, port)
    }

    /// The same question about an SCTP port.
    #[must_use]
    pub const fn sctp(self, port: u16) -> Self {
        self.on(Protocol::SCTP, port)
    }

    /// The same question about an ICMP (IPv4) message type.
    #[must_use]
    pub const fn icmp(self, kind: u8) -> Self {
        self.on(Protocol::ICMP, kind as u16)
    }
}

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let preposition = match self.direction {
            Direction::Ingress => "from",
            Direction::Egress => "to",
        };
        write!(
            f,
            "{} {preposition} {} {}/{}",
            self.direction, self.peer, self.protocol, self.port
        )
    }
}
