//! ICMP: echoes that belong to their flow, errors that quote one, and what keeps a link alive.

use std::net::IpAddr;

use porin_datapath::{Frame, Loader};
use porin_flow::{DropReason, TcpFlags};
use porin_identity::IdentityId;
use porin_policy::{Direction, EntryAction, MapState, PortPrefix, Protocol};
use porin_testbed::suite::Outcome;

use crate::node::{A, B, ID_A, ID_B, at, entry, everything, nothing, open, tcp_port, v4, v6};

const DENIED: Option<DropReason> = Some(DropReason::POLICY_DENIED);
const NO_FLOW: Option<DropReason> = Some(DropReason::UNKNOWN_CONNECTION_TRACKING_STATE);

fn may_ping(direction: Direction, peer: IdentityId) -> MapState {
    let echo = |protocol, kind| {
        let what = (protocol, PortPrefix::exact(kind));
        entry(direction, peer, what, EntryAction::Allow, 20)
    };
    [echo(Protocol::ICMP, 8), echo(Protocol::ICMPV6, 128)]
        .into_iter()
        .collect()
}

fn echo(from: IpAddr, to: IpAddr, request: bool, id: u8) -> Frame {
    let kind = match (from.is_ipv4(), request) {
        (true, true) => 8,
        (true, false) => 0,
        (false, true) => 128,
        (false, false) => 129,
    };
    Frame::icmp(from, to, kind, 0, &[0, id, 0, 1])
}

pub(crate) fn echoes(loader: Loader) -> Outcome {
    open(loader, |node| {
        let (asks, asked) = (
            may_ping(Direction::Egress, ID_B),
            may_ping(Direction::Ingress, ID_A),
        );
        node.datapath.install(&[(A, &asks), (B, &asked)])?;
        for (a, b) in [(v4(A), v4(B)), (v6(A), v6(B))] {
            assert_eq!(
                node.cross(B, &echo(b, a, false, 1)).reason(),
                DENIED,
                "nobody asked"
            );
            assert_eq!(node.cross(A, &echo(a, b, true, 1)).reason(), None);
            let answer = node.cross(B, &echo(b, a, false, 1));
            assert_eq!((answer.reason(), answer.seen.len()), (None, 0));
            assert_eq!(
                node.cross(B, &echo(b, a, false, 2)).reason(),
                DENIED,
                "another echo"
            );
            // Also with the identifier 0, where both ends of the flow have the same "port".
            assert_eq!(node.cross(A, &echo(a, b, true, 0)).reason(), None);
            for id in [0, 1] {
                assert_eq!(
                    node.cross(B, &echo(b, a, true, id)).reason(),
                    DENIED,
                    "a request back"
                );
                assert_eq!(node.cross(B, &echo(b, a, false, id)).reason(), None);
            }
        }
        // An answer that nobody asked for opens nothing, even where it may pass.
        node.datapath
            .install(&[(A, &nothing()), (B, &everything(30))])?;
        assert_eq!(node.leave(B, &echo(v4(B), v4(A), false, 9)).reason(), None);
        assert_eq!(node.leave(A, &echo(v4(A), v4(B), true, 9)).reason(), DENIED);
        // Other messages have no answer.
        let stamp = |from, to, kind| Frame::icmp(from, to, kind, 0, &[0; 16]);
        assert_eq!(node.leave(B, &stamp(v4(B), v4(A), 13)).reason(), None);
        assert_eq!(node.leave(A, &stamp(v4(A), v4(B), 14)).reason(), DENIED);
        Ok(())
    })
}

/// With the identifier 0 both ends of an echo look alike: who asks may still not answer.
pub(crate) fn nobody_answers_himself(loader: Loader) -> Outcome {
    open(loader, |node| {
        let (asks, asked) = (
            may_ping(Direction::Egress, ID_B),
            may_ping(Direction::Ingress, ID_A),
        );
        node.datapath.install(&[(A, &asks), (B, &asked)])?;
        for (a, b) in [(v4(A), v4(B)), (v6(A), v6(B))] {
            for id in [0, 1] {
                assert_eq!(node.cross(A, &echo(a, b, true, id)).reason(), None);
                assert_eq!(node.cross(A, &echo(a, b, false, id)).reason(), DENIED);
                assert_eq!(node.cross(B, &echo(b, a, false, id)).reason(), None);
            }
        }
        Ok(())
    })
}

/// An error of `from` to `to` about `quoted`.
fn error(from: IpAddr, to: IpAddr, quoted: &Frame, keep: usize) -> Frame {
    let kind = if from.is_ipv4() { 3 } else { 1 };
    let packet = quoted.packet();
    let head = packet.get(..keep).unwrap_or(packet);
    Frame::icmp(from, to, kind, 3, &[&[0; 4], head].concat())
}

pub(crate) fn errors(loader: Loader) -> Outcome {
    open(loader, |node| {
        let asks = [entry(
            Direction::Egress,
            ID_B,
            tcp_port(80),
            EntryAction::Allow,
            20,
        )];
        let asked = [entry(
            Direction::Ingress,
            ID_A,
            tcp_port(80),
            EntryAction::Allow,
            21,
        )];
        let (asks, asked): (MapState, MapState) =
            (asks.into_iter().collect(), asked.into_iter().collect());
        node.datapath.install(&[(A, &asks), (B, &asked)])?;
        let router: [(IpAddr, IpAddr, IpAddr); 2] = [
            (v4(A), v4(B), "192.0.2.254".parse()?),
            (v6(A), v6(B), "2001:db8::ff".parse()?),
        ];
        for (a, b, router) in router {
            let forth = Frame::tcp(at(a, 4000), at(b, 80), TcpFlags::ACK);
            let told = error(b, a, &forth, 64);
            assert_eq!(
                node.cross(B, &told).reason(),
                NO_FLOW,
                "of a flow that is not"
            );
            assert_eq!(node.cross(A, &forth).reason(), None);
            assert_eq!(node.cross(B, &told).reason(), None);
            let head = if a.is_ipv4() { 28 } else { 48 };
            assert_eq!(
                node.cross(B, &error(b, a, &forth, head)).reason(),
                None,
                "8 octets"
            );
            let short = Some(DropReason::CT_TRUNCATED_OR_INVALID_HEADER);
            assert_eq!(
                node.cross(B, &error(b, a, &forth, head - 1)).reason(),
                short
            );
            assert_eq!(
                node.arrive(A, &error(router, a, &forth, 64), 0).reason(),
                None
            );
            // About what A never sent, or what B never got.
            let other = Frame::tcp(at(a, 4000), at(b, 81), TcpFlags::ACK);
            assert_eq!(
                node.arrive(A, &error(router, a, &other, 64), 0).reason(),
                NO_FLOW
            );
            let foreign = Frame::tcp(at(b, 80), at(a, 4000), TcpFlags::ACK);
            assert_eq!(
                node.arrive(A, &error(router, a, &foreign, 64), 0).reason(),
                NO_FLOW
            );
            assert_eq!(
                node.leave(B, &error(b, router, &forth, 64)).reason(),
                NO_FLOW
            );
            // An error about an error.
            let about = error(a, b, &told, 64);
            assert_eq!(node.leave(A, &about).reason(), NO_FLOW);
        }
        // A flow that policy has stopped gives no excuse.
        node.datapath.install(&[(A, &nothing())])?;
        let forth = Frame::tcp(at(v4(A), 4000), at(v4(B), 80), TcpFlags::ACK);
        let told = error("192.0.2.254".parse()?, v4(A), &forth, 64);
        assert_eq!(node.arrive(A, &told, 0).reason(), NO_FLOW);
        Ok(())
    })
}

fn arp(operation: u8, sender: [u8; 4]) -> Frame {
    let mut packet = vec![0, 1, 8, 0, 6, 4, 0, operation, 2, 0, 0, 0, 0, 1];
    packet.extend(sender);
    packet.extend([0, 0, 0, 0, 0, 0, 10, 0, 0, 254]);
    Frame::ethernet(0x0806, &packet)
}

pub(crate) fn address_resolution(loader: Loader) -> Outcome {
    open(loader, |node| {
        node.datapath.install(&[(A, &nothing())])?;
        let spoofed = Some(DropReason::ARP_SPOOFED);
        for operation in [1, 2] {
            assert_eq!(node.leave(A, &arp(operation, [10, 0, 0, 1])).reason(), None);
            assert_eq!(
                node.leave(A, &arp(operation, [10, 0, 0, 2])).reason(),
                spoofed
            );
        }
        assert_eq!(node.leave(A, &arp(1, [0; 4])).reason(), None, "a probe");
        assert_eq!(node.leave(A, &arp(2, [0; 4])).reason(), spoofed);
        assert_eq!(node.arrive(A, &arp(2, [10, 0, 0, 254]), 0).reason(), None);
        let malformed = Some(DropReason::INVALID_PACKET_DROPPED);
        let short = Frame::ethernet(0x0806, &[0, 1, 8, 0, 6, 4, 0, 1]);
        assert_eq!(node.leave(A, &short).reason(), malformed);
        let mut odd = arp(1, [10, 0, 0, 1]);
        odd.bytes_mut()[18] = 8;
        assert_eq!(node.leave(A, &odd).reason(), malformed);
        Ok(())
    })
}

/// A neighbour discovery message with this hop limit, about `target`.
fn neighbour(from: IpAddr, to: IpAddr, kind: u8, target: IpAddr, hops: u8) -> Frame {
    let IpAddr::V6(target) = target else {
        unreachable!("an IPv6 address");
    };
    let mut frame = Frame::icmp(from, to, kind, 0, &[&[0; 4], &target.octets()[..]].concat());
    frame.bytes_mut()[21] = hops;
    frame
}

pub(crate) fn neighbour_discovery(loader: Loader) -> Outcome {
    open(loader, |node| {
        node.datapath.install(&[(A, &nothing())])?;
        let host: IpAddr = "fd00::fe".parse()?;
        node.datapath
            .upsert_prefix(ipnet::IpNet::from(host), IdentityId::HOST)?;
        let (link, any): (IpAddr, IpAddr) = ("fe80::1".parse()?, "::".parse()?);
        let (solicited, all): (IpAddr, IpAddr) = ("ff02::1:ff00:2".parse()?, "ff02::1".parse()?);
        let far: IpAddr = "2001:db8::1".parse()?;
        let (own, other) = (v6(A), v6(B));
        let forbidden = Some(DropReason::FORBIDDEN_ICMPV6_MESSAGE);
        let forged = Some(DropReason::INVALID_SOURCE_IP);
        let spoofed = Some(DropReason::ARP_SPOOFED);
        let cases = [
            ("solicits", neighbour(own, solicited, 135, other, 255), None),
            (
                "solicits from its link address",
                neighbour(link, solicited, 135, other, 255),
                None,
            ),
            (
                "checks that an address is free",
                neighbour(any, solicited, 135, own, 255),
                None,
            ),
            ("asks the host", neighbour(own, host, 135, host, 255), None),
            (
                "asks a neighbour again",
                neighbour(own, other, 135, other, 255),
                None,
            ),
            (
                "asks for a router",
                neighbour(link, all, 133, any, 255),
                None,
            ),
            (
                "answers for itself",
                neighbour(own, host, 136, own, 255),
                None,
            ),
            (
                "answers for its link address",
                neighbour(link, host, 136, link, 255),
                None,
            ),
            (
                "answers for another",
                neighbour(own, host, 136, other, 255),
                spoofed,
            ),
            (
                "answers in another's name",
                neighbour(other, host, 136, own, 255),
                forged,
            ),
            (
                "asks in another's name",
                neighbour(other, solicited, 135, own, 255),
                forged,
            ),
            (
                "asks through a router",
                neighbour(own, solicited, 135, other, 254),
                DENIED,
            ),
            (
                "asks somebody far away",
                neighbour(own, far, 135, far, 255),
                DENIED,
            ),
            (
                "plays router",
                neighbour(link, all, 134, any, 255),
                forbidden,
            ),
            ("redirects", neighbour(own, other, 137, far, 255), forbidden),
            (
                "asks who listens",
                neighbour(link, all, 130, any, 1),
                forbidden,
            ),
            ("reports a group", neighbour(link, all, 143, any, 1), None),
            (
                "reports a group afar",
                neighbour(own, far, 143, any, 1),
                DENIED,
            ),
        ];
        for (name, frame, expected) in cases {
            assert_eq!(node.leave(A, &frame).reason(), expected, "{name}");
        }
        let mark = node.datapath.mark(B).ok_or("known")?;
        let cases = [
            ("is solicited", neighbour(host, own, 135, own, 255), 0, None),
            (
                "is solicited by all",
                neighbour(host, solicited, 135, own, 255),
                0,
                None,
            ),
            (
                "hears a router",
                neighbour(link, all, 134, any, 255),
                0,
                None,
            ),
            (
                "hears a neighbour",
                neighbour(other, own, 136, other, 255),
                mark,
                None,
            ),
            (
                "hears a forged one",
                neighbour(other, own, 136, other, 255),
                0,
                forged,
            ),
            (
                "is asked what it listens to",
                neighbour(link, all, 130, any, 1),
                0,
                None,
            ),
            (
                "is asked that from afar",
                neighbour(host, own, 130, any, 255),
                0,
                DENIED,
            ),
            (
                "hears one from afar",
                neighbour(host, own, 136, host, 254),
                0,
                DENIED,
            ),
        ];
        for (name, frame, mark, expected) in cases {
            assert_eq!(node.arrive(A, &frame, mark).reason(), expected, "{name}");
        }
        Ok(())
    })
}
