//! What a frame is, read by the table of odd packets (`bpf/README.md`) and by nothing of the
//! programs: header by header, by offsets into the bytes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use porin_flow::{DropReason, TcpFlags};

/// What was read, or why the frame cannot be.
pub(crate) type Read<T> = Result<T, DropReason>;

const IPV4: usize = 14;
const IPV6: usize = 14;
const MALFORMED: DropReason = DropReason::INVALID_PACKET_DROPPED;
const TRUNCATED: DropReason = DropReason::CT_TRUNCATED_OR_INVALID_HEADER;
const EXTENSION: DropReason = DropReason::INVALID_IPV6_EXTENSION_HEADER;
const NO_FLOW: DropReason = DropReason::UNKNOWN_CONNECTION_TRACKING_STATE;

#[derive(Clone, Debug)]
pub(crate) enum Reading {
    /// Operation and sender's address, if it is Ethernet over IPv4 and whole.
    Arp(Option<(u16, Ipv4Addr)>),
    Ip(Packet),
}

#[derive(Clone, Debug)]
pub(crate) struct Packet {
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    pub(crate) hop_limit: u8,
    /// `None`: behind the first fragment, which alone says it.
    pub(crate) message: Option<Message>,
    /// To be remembered once it is allowed.
    pub(crate) first: bool,
    /// What the fragments of a datagram have in common, beside their addresses.
    pub(crate) datagram: (u32, u8),
}

#[derive(Clone, Debug)]
pub(crate) enum Message {
    Plain(Plain),
    /// An ICMP error of this type, and the packet that it is about.
    Error(u8, Read<Quote>),
}

/// A packet as an error quotes it.
#[derive(Clone, Debug)]
pub(crate) struct Quote {
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    pub(crate) plain: Plain,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Plain {
    Ports {
        protocol: u8,
        source: u16,
        destination: u16,
        flags: TcpFlags,
    },
    /// A request for an echo, by identifier.
    Request {
        protocol: u8,
        id: u16,
    },
    Reply {
        protocol: u8,
        id: u16,
    },
    /// An ICMP message that has no answer; the address it is about, if there is room for one.
    OneWay {
        protocol: u8,
        kind: u8,
        code: u8,
        target: Option<Ipv6Addr>,
    },
    /// A protocol of which nobody knows ports.
    Portless {
        protocol: u8,
    },
}

/// Of the frame from its Ethernet header on.
pub(crate) fn read(frame: &[u8]) -> Read<Reading> {
    match number(frame, 12) {
        0x0800 => ipv4(frame).map(Reading::Ip),
        0x86dd => ipv6(frame).map(Reading::Ip),
        0x0806 => Ok(Reading::Arp(arp(frame))),
        0..0x600 | 0x8100 | 0x88a8 => Err(DropReason::UNSUPPORTED_L2_PROTOCOL),
        _ => Err(DropReason::UNSUPPORTED_L3_PROTOCOL),
    }
}

fn number(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

fn refuse_unless(condition: bool, reason: DropReason) -> Read<()> {
    if condition { Ok(()) } else { Err(reason) }
}

fn arp(frame: &[u8]) -> Option<(u16, Ipv4Addr)> {
    let message = frame.get(14..42)?;
    let sender: [u8; 4] = message[14..18].try_into().ok()?;
    let sound = message.starts_with(&[0, 1, 8, 0, 6, 4]);
    sound.then(|| (number(message, 6), sender.into()))
}

fn ipv4(frame: &[u8]) -> Read<Packet> {
    refuse_unless(frame.len() >= IPV4 + 20, MALFORMED)?;
    let words = usize::from(frame[IPV4] & 0xf);
    refuse_unless(frame[IPV4] >> 4 == 4 && words >= 5, MALFORMED)?;
    let (at, end) = (
        IPV4 + 4 * words,
        IPV4 + usize::from(number(frame, IPV4 + 2)),
    );
    refuse_unless(at <= end && end <= frame.len(), MALFORMED)?;
    refuse_unless(options_are_harmless(&frame[IPV4 + 20..at]), MALFORMED)?;
    let (protocol, field) = (frame[IPV4 + 9], number(frame, IPV4 + 6));
    let (more, offset) = (field & 0x2000 != 0, 8 * usize::from(field & 0x1fff));
    let mut packet = Packet {
        source: ipv4_at(frame, IPV4 + 12),
        destination: ipv4_at(frame, IPV4 + 16),
        hop_limit: frame[IPV4 + 8],
        message: None,
        first: more && offset == 0,
        datagram: (number(frame, IPV4 + 4).into(), protocol),
    };
    if offset > 0 {
        refuse_overwriting(protocol, offset)?;
    } else {
        packet.message = Some(message(&frame[at..end], protocol, 4)?);
    }
    Ok(packet)
}

fn ipv4_at(bytes: &[u8], at: usize) -> IpAddr {
    let [a, b, c, d] = [0, 1, 2, 3].map(|n| bytes[at + n]);
    Ipv4Addr::new(a, b, c, d).into()
}

fn ipv6_at(bytes: &[u8], at: usize) -> Ipv6Addr {
    let mut octets = [0; 16];
    octets.copy_from_slice(&bytes[at..at + 16]);
    octets.into()
}

/// A later fragment that could write over the flags of a TCP header (RFC 3128).
fn refuse_overwriting(protocol: u8, offset: usize) -> Read<()> {
    let harmless = protocol != 6 || offset >= 20;
    refuse_unless(harmless, DropReason::IP_FRAGMENTATION_NOT_SUPPORTED)
}

/// No source route, and each option ends within the header.
fn options_are_harmless(mut options: &[u8]) -> bool {
    loop {
        options = match options {
            [] | [0, ..] => return true,
            [1, rest @ ..] => rest,
            [131 | 137, ..] | [_] => return false,
            [_, length, ..] if *length < 2 => return false,
            [_, length, ..] => match options.get(usize::from(*length)..) {
                Some(rest) => rest,
                None => return false,
            },
        };
    }
}

fn ipv6(frame: &[u8]) -> Read<Packet> {
    refuse_unless(frame.len() >= IPV6 + 40, MALFORMED)?;
    refuse_unless(frame[IPV6] >> 4 == 6, MALFORMED)?;
    let (source, destination) = (ipv6_at(frame, IPV6 + 8), ipv6_at(frame, IPV6 + 24));
    let mapped = [source, destination]
        .iter()
        .any(|address| address.to_ipv4_mapped().is_some());
    refuse_unless(!mapped, MALFORMED)?;
    let at = IPV6 + 40;
    let end = at + usize::from(number(frame, IPV6 + 4));
    refuse_unless(end <= frame.len(), MALFORMED)?;
    let mut packet = Packet {
        source: source.into(),
        destination: destination.into(),
        hop_limit: frame[IPV6 + 7],
        message: None,
        first: false,
        datagram: (0, 0),
    };
    behind_extensions(&frame[at..end], frame[IPV6 + 6], &mut packet)?;
    Ok(packet)
}

/// Walks at most six headers; what follows them is the message, unless it stands in the first fragment.
fn behind_extensions(mut rest: &[u8], mut kind: u8, packet: &mut Packet) -> Read<()> {
    for place in 0..7 {
        if !matches!(kind, 0 | 43 | 44 | 51 | 60) {
            refuse_unless(kind != 59, EXTENSION)?;
            packet.message = Some(message(rest, kind, 6)?);
            return Ok(());
        }
        refuse_unless(place < 6 && (kind != 0 || place == 0), EXTENSION)?;
        let [next, length, a, b, id @ ..] = rest else {
            return Err(MALFORMED);
        };
        let [c, d, e, f, ..] = *id else {
            return Err(MALFORMED);
        };
        let units = usize::from(*length);
        let size = match kind {
            43 if *a == 0 || *b != 0 => return Err(EXTENSION),
            44 => 8,
            51 => 4 * (units + 2),
            _ => 8 * (units + 1),
        };
        if kind == 44 {
            let field = u16::from_be_bytes([*a, *b]);
            packet.datagram = (u32::from_be_bytes([c, d, e, f]), *next);
            if field & 0xfff8 != 0 {
                return refuse_overwriting(*next, usize::from(field & 0xfff8));
            }
            packet.first |= field & 1 != 0;
        }
        kind = *next;
        rest = rest.get(size..).ok_or(MALFORMED)?;
    }
    Err(EXTENSION)
}

fn message(bytes: &[u8], protocol: u8, family: u8) -> Read<Message> {
    let long_enough = |length| refuse_unless(bytes.len() >= length, TRUNCATED);
    let mut flags = TcpFlags::default();
    match (protocol, family) {
        (6, _) => {
            long_enough(20)?;
            refuse_unless(bytes[12] >> 4 >= 5, MALFORMED)?;
            flags = TcpFlags::from_bits(bytes[13].into());
        }
        (17, _) => long_enough(8)?,
        (132, _) => long_enough(12)?,
        (1, 4) | (58, 6) => {
            long_enough(8)?;
            let plain = icmp(bytes, protocol, family);
            let error = is_error(bytes[0], family);
            return Ok(match error {
                true => Message::Error(bytes[0], quoted(&bytes[8..], family)),
                false => Message::Plain(plain),
            });
        }
        _ => return Ok(Message::Plain(Plain::Portless { protocol })),
    }
    Ok(Message::Plain(ports(bytes, protocol, flags)))
}

fn ports(bytes: &[u8], protocol: u8, flags: TcpFlags) -> Plain {
    Plain::Ports {
        protocol,
        source: number(bytes, 0),
        destination: number(bytes, 2),
        flags,
    }
}

fn is_error(kind: u8, family: u8) -> bool {
    match family {
        4 => matches!(kind, 3 | 11 | 12),
        _ => matches!(kind, 1..=4),
    }
}

fn icmp(bytes: &[u8], protocol: u8, family: u8) -> Plain {
    let (request, reply) = if protocol == 1 { (8, 0) } else { (128, 129) };
    let id = number(bytes, 4);
    match bytes[0] {
        kind if kind == request => Plain::Request { protocol, id },
        kind if kind == reply => Plain::Reply { protocol, id },
        kind => Plain::OneWay {
            protocol,
            kind,
            code: bytes[1],
            target: (family == 6 && bytes.len() >= 24).then(|| ipv6_at(bytes, 8)),
        },
    }
}

/// The head of a packet; eight octets of its message must be there (RFC 792, RFC 4443).
fn quoted(bytes: &[u8], family: u8) -> Read<Quote> {
    let header = if family == 4 { 20 } else { 40 };
    refuse_unless(bytes.len() >= header, TRUNCATED)?;
    refuse_unless(bytes[0] >> 4 == family, NO_FLOW)?;
    let (source, destination, protocol, at) = if family == 4 {
        let words = usize::from(bytes[0] & 0xf);
        let whole = number(bytes, 6) & 0x1fff == 0;
        refuse_unless(words >= 5 && whole, NO_FLOW)?;
        let (source, destination) = (ipv4_at(bytes, 12), ipv4_at(bytes, 16));
        (source, destination, bytes[9], 4 * words)
    } else {
        let (source, destination) = (ipv6_at(bytes, 8), ipv6_at(bytes, 24));
        (source.into(), destination.into(), bytes[6], 40)
    };
    let head = bytes.get(at..at + 8).ok_or(TRUNCATED)?;
    let plain = match protocol {
        6 | 17 | 132 => ports(head, protocol, TcpFlags::default()),
        // An error about an error is none.
        1 | 58 if is_error(head[0], family) => return Err(NO_FLOW),
        1 | 58 => icmp(head, protocol, family),
        _ => Plain::Portless { protocol },
    };
    Ok(Quote {
        source,
        destination,
        plain,
    })
}
