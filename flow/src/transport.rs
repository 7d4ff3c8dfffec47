//! The transport header of a flow and how its summary calls it.

use std::fmt;

use porin_policy::Protocol;

use crate::tuple::{Icmp, TcpFlags, Tuple};

/// The transport header: Hubble's `flow.Layer4`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Transport {
    /// TCP; `flags` is `None` where no packet was seen.
    Tcp {
        /// Port of the sender.
        source_port: u16,
        /// Port of the receiver.
        destination_port: u16,
        /// Flags of the packet.
        flags: Option<TcpFlags>,
    },
    /// UDP.
    Udp {
        /// Port of the sender.
        source_port: u16,
        /// Port of the receiver.
        destination_port: u16,
    },
    /// SCTP.
    Sctp {
        /// Port of the sender.
        source_port: u16,
        /// Port of the receiver.
        destination_port: u16,
    },
    /// ICMP.
    Icmpv4(Icmp),
    /// ICMPv6.
    Icmpv6(Icmp),
}

impl Transport {
    /// The header that `tuple` describes; `None` for protocols that Hubble's schema has no place for.
    #[must_use]
    pub fn of(tuple: &Tuple) -> Option<Self> {
        let (source_port, destination_port) = (tuple.source_port, tuple.destination_port);
        let icmp = tuple.icmp.unwrap_or_default();
        match tuple.protocol {
            Protocol::TCP => Some(Self::Tcp {
                source_port,
                destination_port,
                flags: Some(tuple.tcp_flags),
            }),
            Protocol::UDP => Some(Self::Udp {
                source_port,
                destination_port,
            }),
            Protocol::SCTP => Some(Self::Sctp {
                source_port,
                destination_port,
            }),
            Protocol::ICMP => Some(Self::Icmpv4(icmp)),
            Protocol::ICMPV6 => Some(Self::Icmpv6(icmp)),
            _ => None,
        }
    }

    /// Source and destination port, for the protocols that have ports.
    #[must_use]
    pub const fn ports(self) -> Option<(u16, u16)> {
        match self {
            Self::Tcp {
                source_port,
                destination_port,
                ..
            }
            | Self::Udp {
                source_port,
                destination_port,
            }
            | Self::Sctp {
                source_port,
                destination_port,
            } => Some((source_port, destination_port)),
            Self::Icmpv4(_) | Self::Icmpv6(_) => None,
        }
    }
}

impl fmt::Display for Transport {
    /// Hubble's summary: `TCP Flags: SYN`, `UDP`, `ICMPv4 EchoRequest`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp {
                flags: Some(flags), ..
            } => write!(f, "TCP Flags: {flags}"),
            Self::Tcp { flags: None, .. } => f.write_str("TCP"),
            Self::Udp { .. } => f.write_str("UDP"),
            Self::Sctp { .. } => f.write_str("SCTP"),
            Self::Icmpv4(icmp) => message(f, "ICMPv4", *icmp, icmpv4(icmp.kind)),
            Self::Icmpv6(icmp) => message(f, "ICMPv6", *icmp, icmpv6(icmp.kind)),
        }
    }
}

type Message = Option<(&'static str, &'static [&'static str])>;

fn message(f: &mut fmt::Formatter<'_>, family: &str, icmp: Icmp, known: Message) -> fmt::Result {
    let Icmp { kind, code } = icmp;
    let Some((name, codes)) = known else {
        return write!(f, "{family} {kind}({code})");
    };
    match codes.get(usize::from(code)) {
        Some(text) => write!(f, "{family} {name}({text})"),
        None if codes.is_empty() && code == 0 => write!(f, "{family} {name}"),
        None => write!(f, "{family} {name}(Code: {code})"),
    }
}

/// Types of RFC 792 and its successors with the names of their codes, spelled as Hubble prints them.
fn icmpv4(kind: u8) -> Message {
    const UNREACHABLE: &[&str] = &[
        "Net",
        "Host",
        "Protocol",
        "Port",
        "FragmentationNeeded",
        "SourceRoutingFailed",
        "NetUnknown",
        "HostUnknown",
        "SourceIsolated",
        "NetAdminProhibited",
        "HostAdminProhibited",
        "NetTOS",
        "HostTOS",
        "CommAdminProhibited",
        "HostPrecedence",
        "PrecedenceCutoff",
    ];
    Some(match kind {
        0 => ("EchoReply", &[]),
        3 => ("DestinationUnreachable", UNREACHABLE),
        4 => ("SourceQuench", &[]),
        5 => ("Redirect", &["Network", "Host", "TOS+Network", "TOS+Host"]),
        8 => ("EchoRequest", &[]),
        9 => ("RouterAdvertisement", &[]),
        10 => ("RouterSolicitation", &[]),
        11 => (
            "TimeExceeded",
            &["TTLExceeded", "FragmentReassemblyTimeExceeded"],
        ),
        12 => (
            "ParameterProblem",
            &["PointerIndicatesError", "MissingOption", "BadLength"],
        ),
        13 => ("TimestampRequest", &[]),
        14 => ("TimestampReply", &[]),
        15 => ("InfoRequest", &[]),
        16 => ("InfoReply", &[]),
        17 => ("AddressMaskRequest", &[]),
        18 => ("AddressMaskReply", &[]),
        _ => return None,
    })
}

/// Types of RFC 4443, RFC 4861 and multicast listener discovery.
fn icmpv6(kind: u8) -> Message {
    const UNREACHABLE: &[&str] = &[
        "NoRouteToDst",
        "AdminProhibited",
        "BeyondScopeOfSrc",
        "AddressUnreachable",
        "PortUnreachable",
        "SrcAddressFailedPolicy",
        "RejectRouteToDst",
    ];
    const PROBLEM: &[&str] = &[
        "ErroneousHeader",
        "UnrecognizedNextHeader",
        "UnrecognizedIPv6Option",
    ];
    Some(match kind {
        1 => ("DestinationUnreachable", UNREACHABLE),
        2 => ("PacketTooBig", &[]),
        3 => (
            "TimeExceeded",
            &["HopLimitExceeded", "FragmentReassemblyTimeExceeded"],
        ),
        4 => ("ParameterProblem", PROBLEM),
        128 => ("EchoRequest", &[]),
        129 => ("EchoReply", &[]),
        130 => ("MLDv1MulticastListenerQueryMessage", &[]),
        131 => ("MLDv1MulticastListenerReportMessage", &[]),
        132 => ("MLDv1MulticastListenerDoneMessage", &[]),
        133 => ("RouterSolicitation", &[]),
        134 => ("RouterAdvertisement", &[]),
        135 => ("NeighborSolicitation", &[]),
        136 => ("NeighborAdvertisement", &[]),
        137 => ("Redirect", &[]),
        143 => ("MLDv2MulticastListenerReportMessageV2", &[]),
        _ => return None,
    })
}
