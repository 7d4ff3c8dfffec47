//! Ethernet frames made by hand, for [`Datapath::run`](crate::Datapath::run).

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use porin_flow::TcpFlags;
use porin_policy::Protocol;

/// Length of an Ethernet header.
const ETHERNET: usize = 14;

/// An Ethernet frame with one IP packet, as a probe of what the programs do with it.
///
/// Checksums are left zero: the programs do not look at them, hosts do.
///
/// ```
/// use porin_datapath::Frame;
/// use porin_flow::TcpFlags;
///
/// let syn = Frame::tcp("10.0.0.1:4000".parse()?, "10.0.0.2:80".parse()?, TcpFlags::SYN);
/// assert_eq!(syn.bytes().len(), 14 + 20 + 20);
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    bytes: Vec<u8>,
}

impl Frame {
    /// A frame of any EtherType.
    #[must_use]
    pub fn ethernet(kind: u16, payload: &[u8]) -> Self {
        let mut bytes = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];
        bytes.extend(kind.to_be_bytes());
        bytes.extend(payload);
        Self { bytes }
    }

    /// An IP packet: IPv4 if both addresses are, else IPv6 (an IPv4 address mapped into it).
    #[must_use]
    pub fn ip(source: IpAddr, destination: IpAddr, protocol: Protocol, payload: &[u8]) -> Self {
        let length = |header: usize| {
            let length = u16::try_from(payload.len() + header).unwrap_or(u16::MAX);
            length.to_be_bytes()
        };
        let mut packet = Vec::with_capacity(40 + payload.len());
        let kind = match (source, destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                packet.extend([0x45, 0]);
                packet.extend(length(20));
                packet.extend([0, 0, 0x40, 0, 64, protocol.get(), 0, 0]);
                packet.extend(source.octets());
                packet.extend(destination.octets());
                0x0800
            }
            _ => {
                packet.extend([0x60, 0, 0, 0]);
                packet.extend(length(0));
                packet.extend([protocol.get(), 64]);
                packet.extend(in_ipv6(source).octets());
                packet.extend(in_ipv6(destination).octets());
                0x86dd
            }
        };
        packet.extend(payload);
        Self::ethernet(kind, &packet)
    }

    /// A TCP segment without data.
    #[must_use]
    pub fn tcp(source: SocketAddr, destination: SocketAddr, flags: TcpFlags) -> Self {
        let mut header = ports(source, destination).to_vec();
        let [_, low] = flags.bits().to_be_bytes();
        header.extend([0, 0, 0, 1, 0, 0, 0, 1, 5 << 4, low, 0xff, 0xff, 0, 0, 0, 0]);
        Self::ip(source.ip(), destination.ip(), Protocol::TCP, &header)
    }

    /// An empty UDP datagram.
    #[must_use]
    pub fn udp(source: SocketAddr, destination: SocketAddr) -> Self {
        let mut header = ports(source, destination).to_vec();
        header.extend([0, 8, 0, 0]);
        Self::ip(source.ip(), destination.ip(), Protocol::UDP, &header)
    }

    /// An SCTP packet without chunks.
    #[must_use]
    pub fn sctp(source: SocketAddr, destination: SocketAddr) -> Self {
        let mut header = ports(source, destination).to_vec();
        header.extend([0; 8]);
        Self::ip(source.ip(), destination.ip(), Protocol::SCTP, &header)
    }

    /// An ICMP or, between IPv6 addresses, ICMPv6 message; `rest` follows its
    /// checksum (at least four bytes; of an echo: identifier, sequence number).
    #[must_use]
    pub fn icmp(source: IpAddr, destination: IpAddr, kind: u8, code: u8, rest: &[u8]) -> Self {
        let protocol = if source.is_ipv4() && destination.is_ipv4() {
            Protocol::ICMP
        } else {
            Protocol::ICMPV6
        };
        let mut message = vec![kind, code, 0, 0];
        message.extend(rest);
        Self::ip(source, destination, protocol, &message)
    }

    /// The frame from its Ethernet header on.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The bytes, to spoil them.
    pub fn bytes_mut(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// The IP packet: what follows the Ethernet header.
    #[must_use]
    pub fn packet(&self) -> &[u8] {
        self.bytes.get(ETHERNET..).unwrap_or_default()
    }
}

fn in_ipv6(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    }
}

fn ports(source: SocketAddr, destination: SocketAddr) -> [u8; 4] {
    let ([a, b], [c, d]) = (
        source.port().to_be_bytes(),
        destination.port().to_be_bytes(),
    );
    [a, b, c, d]
}
