//! What the headers of a packet say.

use std::fmt;
use std::net::IpAddr;

use porin_policy::Protocol;

/// The nine flag bits of a TCP header (RFC 9293 §3.1; NS of RFC 3540 as bit 8).
///
/// `Display` lists the names in the order of Hubble's summary: SYN ACK RST FIN PSH URG ECE CWR NS.
///
/// ```
/// use porin_flow::TcpFlags;
///
/// assert_eq!((TcpFlags::SYN | TcpFlags::ACK).to_string(), "SYN, ACK");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct TcpFlags(u16);

impl TcpFlags {
    /// No flag.
    pub const NONE: Self = Self(0);
    /// No more data from the sender.
    pub const FIN: Self = Self(0x001);
    /// Synchronise sequence numbers.
    pub const SYN: Self = Self(0x002);
    /// Reset the connection.
    pub const RST: Self = Self(0x004);
    /// Push.
    pub const PSH: Self = Self(0x008);
    /// The acknowledgement field counts.
    pub const ACK: Self = Self(0x010);
    /// The urgent pointer counts.
    pub const URG: Self = Self(0x020);
    /// ECN echo (RFC 3168).
    pub const ECE: Self = Self(0x040);
    /// Congestion window reduced (RFC 3168).
    pub const CWR: Self = Self(0x080);
    /// ECN nonce (RFC 3540, historic).
    pub const NS: Self = Self(0x100);

    /// Every flag with its name, in the order in which Hubble lists them.
    pub const NAMED: [(Self, &'static str); 9] = [
        (Self::SYN, "SYN"),
        (Self::ACK, "ACK"),
        (Self::RST, "RST"),
        (Self::FIN, "FIN"),
        (Self::PSH, "PSH"),
        (Self::URG, "URG"),
        (Self::ECE, "ECE"),
        (Self::CWR, "CWR"),
        (Self::NS, "NS"),
    ];

    /// The flags of the low nine bits of `bits`; higher bits are dropped.
    #[must_use]
    pub const fn from_bits(bits: u16) -> Self {
        Self(bits & 0x1ff)
    }

    /// The bits, NS being bit 8.
    #[must_use]
    pub const fn bits(self) -> u16 {
        self.0
    }

    /// Whether every flag of `other` is set here.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether no flag is set.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl std::ops::BitOr for TcpFlags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl fmt::Display for TcpFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (flag, name) in Self::NAMED {
            if self.contains(flag) {
                write!(f, "{separator}{name}")?;
                separator = ", ";
            }
        }
        Ok(())
    }
}

/// Type and code of an ICMP or ICMPv6 message (RFC 792, RFC 4443).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Icmp {
    /// Type of the message.
    pub kind: u8,
    /// Code within the type.
    pub code: u8,
}

/// The addresses, protocol and ports of one packet, as seen on the wire.
///
/// Ports are zero for protocols without ports; ICMP carries [`Icmp`] instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tuple {
    /// Source address; of the same family as `destination`.
    pub source: IpAddr,
    /// Destination address.
    pub destination: IpAddr,
    /// The transport protocol.
    pub protocol: Protocol,
    /// Source port in host byte order.
    pub source_port: u16,
    /// Destination port in host byte order.
    pub destination_port: u16,
    /// Flags of a TCP header, else none.
    pub tcp_flags: TcpFlags,
    /// Type and code of an ICMP or ICMPv6 message.
    pub icmp: Option<Icmp>,
}
