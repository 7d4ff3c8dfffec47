//! A TCP SYN as bytes, for the packet that no honest pod sends.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use porin_testbed::Mac;

/// Protocol number of TCP (RFC 9293, IANA).
const TCP: u8 = 6;

/// The port that the frame claims to come from.
const SOURCE_PORT: u16 = 41000;

/// An Ethernet frame with the first segment of a TCP connection; `None` when the addresses are
/// of two families.
pub(crate) fn syn(
    from: Mac,
    to: Mac,
    source: IpAddr,
    destination: IpAddr,
    port: u16,
) -> Option<Vec<u8>> {
    let segment = segment(port);
    let (ether_type, packet) = match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            (0x0800_u16, ipv4(source, destination, &segment))
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            (0x86dd, ipv6(source, destination, &segment))
        }
        _ => return None,
    };
    let header = [&to.0[..], &from.0, &ether_type.to_be_bytes()].concat();
    Some([header, packet].concat())
}

/// A SYN without options. Its checksum stays empty: it is not meant to reach a socket.
fn segment(port: u16) -> [u8; 20] {
    let mut segment = [0; 20];
    let [source, target, ..] = segment.as_chunks_mut::<2>().0 else {
        return segment;
    };
    *source = SOURCE_PORT.to_be_bytes();
    *target = port.to_be_bytes();
    // Data offset of five words, the SYN flag, a window (RFC 9293 §3.1).
    if let Some(rest) = segment.get_mut(12..16) {
        rest.copy_from_slice(&[0x50, 0x02, 0xff, 0xff]);
    }
    segment
}

/// RFC 791 §3.1: a header without options.
fn ipv4(source: Ipv4Addr, destination: Ipv4Addr, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(20 + payload.len()).unwrap_or(u16::MAX);
    let mut header = vec![0x45, 0];
    header.extend(length.to_be_bytes());
    header.extend([0, 0, 0x40, 0, 64, TCP, 0, 0]);
    header.extend(source.octets());
    header.extend(destination.octets());
    let sum = checksum(&header);
    if let Some(field) = header.get_mut(10..12) {
        field.copy_from_slice(&sum.to_be_bytes());
    }
    header.extend(payload);
    header
}

/// RFC 8200 §3.
fn ipv6(source: Ipv6Addr, destination: Ipv6Addr, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).unwrap_or(u16::MAX);
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend(length.to_be_bytes());
    packet.extend([TCP, 64]);
    packet.extend(source.octets());
    packet.extend(destination.octets());
    packet.extend(payload);
    packet
}

/// The Internet checksum (RFC 1071) of an even number of bytes.
fn checksum(bytes: &[u8]) -> u16 {
    let (words, _) = bytes.as_chunks::<2>();
    let sum: u32 = words
        .iter()
        .map(|word| u32::from(u16::from_be_bytes(*word)))
        .sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    let folded = (folded & 0xffff) + (folded >> 16);
    !u16::try_from(folded).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FROM: Mac = Mac([2, 0, 0, 0, 0, 1]);
    const TO: Mac = Mac([2, 0, 0, 0, 0, 2]);

    #[test]
    fn the_header_checks_to_nothing() {
        let frame = syn(FROM, TO, [10, 1, 0, 1].into(), [10, 1, 0, 2].into(), 8080).unwrap();
        assert_eq!(frame.len(), 14 + 20 + 20);
        assert_eq!(checksum(&frame[14..34]), 0);
        assert_eq!(&frame[36..38], &8080_u16.to_be_bytes());
    }

    #[test]
    fn families_do_not_mix() {
        assert!(
            syn(
                FROM,
                TO,
                [10, 1, 0, 1].into(),
                Ipv6Addr::LOCALHOST.into(),
                80
            )
            .is_none()
        );
    }
}
