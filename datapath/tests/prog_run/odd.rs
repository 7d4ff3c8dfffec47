//! Frames that are not what they should be. The page of the programs has the same table.

use porin_datapath::{Frame, Loader};
use porin_flow::{DropReason, TcpFlags};
use porin_identity::IdentityId;
use porin_policy::{Direction, EntryAction, Protocol};
use porin_testbed::suite::Outcome;

use crate::node::{A, ANY_PORT, B, Node, at, entry, open, tcp_port, v4, v6};

const IPV4: usize = 14;
const IPV6: usize = 14;

/// What a case expects: passed, or dropped for this reason.
type Expected = Option<DropReason>;

fn syn4() -> Frame {
    Frame::tcp(at(v4(A), 4000), at(v4(B), 80), TcpFlags::SYN)
}

fn syn6() -> Frame {
    Frame::tcp(at(v6(A), 4000), at(v6(B), 80), TcpFlags::SYN)
}

fn spoiled(mut frame: Frame, spoil: impl FnOnce(&mut Vec<u8>)) -> Frame {
    spoil(frame.bytes_mut());
    frame
}

/// An IPv6 packet whose extension headers are these octets, before a TCP header.
fn extended(first: u8, headers: &[u8]) -> Frame {
    let tcp = syn6().packet()[40..].to_vec();
    let payload: Vec<u8> = headers.iter().copied().chain(tcp).collect();
    Frame::ip(v6(A), v6(B), Protocol::new(first), &payload)
}

fn options4(options: &[u8]) -> Frame {
    spoiled(syn4(), |bytes| {
        let words = u8::try_from(5 + options.len() / 4).expect("few");
        bytes[IPV4] = 0x40 | words;
        bytes[IPV4 + 3] += u8::try_from(options.len()).expect("few");
        bytes.splice(34..34, options.iter().copied());
    })
}

fn link_layer() -> Vec<(&'static str, Frame, Expected)> {
    let vlan = |kind: u16| {
        let mut payload = vec![0, 5, 8, 0];
        payload.extend(syn4().packet());
        Frame::ethernet(kind, &payload)
    };
    let l2 = Some(DropReason::UNSUPPORTED_L2_PROTOCOL);
    let l3 = Some(DropReason::UNSUPPORTED_L3_PROTOCOL);
    vec![
        ("VLAN tag", vlan(0x8100), l2),
        ("QinQ tag", vlan(0x88a8), l2),
        ("802.3 length", Frame::ethernet(60, &[0; 60]), l2),
        ("LLDP", Frame::ethernet(0x88cc, &[0; 46]), l3),
        ("MPLS", Frame::ethernet(0x8847, &[0; 46]), l3),
    ]
}

fn ipv4() -> Vec<(&'static str, Frame, Expected)> {
    let malformed = Some(DropReason::INVALID_PACKET_DROPPED);
    let truncated = Some(DropReason::CT_TRUNCATED_OR_INVALID_HEADER);
    let cut = |length: usize| spoiled(syn4(), |bytes| bytes.truncate(length));
    let short = |total: u8| spoiled(syn4(), move |bytes| bytes[IPV4 + 3] = total);
    vec![
        ("whole", syn4(), None),
        ("ends in the TCP header", cut(50), malformed),
        ("states more than there is", short(80), malformed),
        ("states less than its header", short(19), malformed),
        ("TCP header in the padding", short(39), truncated),
        (
            "version 5",
            spoiled(syn4(), |bytes| bytes[IPV4] = 0x55),
            malformed,
        ),
        (
            "header of 16 octets",
            spoiled(syn4(), |bytes| bytes[IPV4] = 0x44),
            malformed,
        ),
        (
            "TCP data offset 4",
            spoiled(syn4(), |bytes| bytes[34 + 12] = 0x40),
            malformed,
        ),
        ("router alert", options4(&[148, 4, 0, 0]), None),
        ("padding options", options4(&[1, 1, 1, 0]), None),
        (
            "loose source route",
            options4(&[131, 7, 4, 10, 0, 0, 9, 0]),
            malformed,
        ),
        (
            "strict source route after a nop",
            options4(&[1, 137, 7, 4, 10, 0, 0, 9]),
            malformed,
        ),
        (
            "option without an end",
            options4(&[148, 40, 0, 0]),
            malformed,
        ),
        ("option of length 0", options4(&[7, 0, 0, 0]), malformed),
        (
            "trailing octets",
            spoiled(syn4(), |bytes| bytes.extend([0; 6])),
            None,
        ),
    ]
}

fn ipv6() -> Vec<(&'static str, Frame, Expected)> {
    let malformed = Some(DropReason::INVALID_PACKET_DROPPED);
    let truncated = Some(DropReason::CT_TRUNCATED_OR_INVALID_HEADER);
    let refused = Some(DropReason::INVALID_IPV6_EXTENSION_HEADER);
    let options = |next: u8| [next, 0, 1, 4, 0, 0, 0, 0];
    let many = |count: usize| {
        let mut headers = Vec::new();
        for left in (0..count).rev() {
            headers.extend(options(if left == 0 { 6 } else { 60 }));
        }
        extended(60, &headers)
    };
    let mapped = Frame::ip(v4(A), v6(B), Protocol::TCP, &syn6().packet()[40..]);
    let mapped_target = Frame::ip(v6(A), v4(B), Protocol::TCP, &syn6().packet()[40..]);
    vec![
        ("whole", syn6(), None),
        (
            "states more than there is",
            spoiled(syn6(), |bytes| bytes[IPV6 + 5] = 21),
            malformed,
        ),
        (
            "TCP header in the padding",
            spoiled(syn6(), |bytes| bytes[IPV6 + 5] = 19),
            truncated,
        ),
        (
            "version 4",
            spoiled(syn6(), |bytes| bytes[IPV6] = 0x40),
            malformed,
        ),
        ("mapped source", mapped, malformed),
        ("mapped destination", mapped_target, malformed),
        ("hop-by-hop", extended(0, &options(6)), None),
        (
            "hop-by-hop, destination",
            extended(0, &[options(60), options(6)].concat()),
            None,
        ),
        (
            "hop-by-hop second",
            extended(60, &[options(0), options(6)].concat()),
            refused,
        ),
        ("six headers", many(6), None),
        ("seven headers", many(7), refused),
        ("no next header", extended(59, &[]), refused),
        (
            "authentication header",
            extended(51, &[6, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1]),
            None,
        ),
        (
            "routing header 0",
            extended(43, &[6, 0, 0, 0, 0, 0, 0, 0]),
            refused,
        ),
        (
            "segment routing, arrived",
            extended(43, &[6, 0, 4, 0, 0, 0, 0, 0]),
            None,
        ),
        (
            "segment routing, under way",
            extended(43, &[6, 0, 4, 1, 0, 0, 0, 0]),
            refused,
        ),
        (
            "header beyond the packet",
            extended(60, &[6, 200, 1, 4, 0, 0, 0, 0]),
            malformed,
        ),
        (
            "atomic fragment",
            extended(44, &[6, 0, 0, 0, 0, 0, 0, 9]),
            None,
        ),
    ]
}

fn check(node: &mut Node, cases: Vec<(&'static str, Frame, Expected)>) {
    for (name, frame, expected) in cases {
        let left = node.leave(A, &frame);
        assert_eq!(left.reason(), expected, "leaving: {name}");
        let mark = node.datapath.mark(A).expect("known");
        assert_eq!(
            node.arrive(B, &frame, mark).reason(),
            expected,
            "arriving: {name}"
        );
    }
}

pub(crate) fn headers(loader: Loader) -> Outcome {
    open(loader, |node| {
        check(node, link_layer());
        check(node, ipv4());
        check(node, ipv6());
        Ok(())
    })
}

/// What states a protocol has that protocol's whole header.
pub(crate) fn short_transport_headers(loader: Loader) -> Outcome {
    open(loader, |node| {
        let truncated = Some(DropReason::CT_TRUNCATED_OR_INVALID_HEADER);
        for (number, whole) in [(6, 20), (17, 8), (132, 12), (1, 8), (58, 8)] {
            let (a, b) = match number {
                58 => (v6(A), v6(B)),
                _ => (v4(A), v4(B)),
            };
            let of = |length| Frame::ip(a, b, Protocol::new(number), &vec![0x50; length]);
            let name = |length| format!("{length} octets of protocol {number}");
            assert_eq!(node.cross(A, &of(whole)).reason(), None, "{}", name(whole));
            for length in [0, whole - 1] {
                let reason = node.leave(A, &of(length)).reason();
                assert_eq!(reason, truncated, "{}", name(length));
            }
        }
        Ok(())
    })
}

/// Protocols without ports are allowed by an entry for every protocol alone.
pub(crate) fn unknown_protocols(loader: Loader) -> Outcome {
    open(loader, |node| {
        let (gre, esp, udplite) = (Protocol::new(47), Protocol::new(50), Protocol::new(136));
        let frames = |payload: &[u8]| {
            [gre, esp, udplite].map(|protocol| Frame::ip(v4(A), v4(B), protocol, payload))
        };
        for frame in frames(&[0; 20]).iter().chain(&frames(&[])) {
            assert_eq!(node.cross(A, frame).reason(), None, "everything is open");
        }
        let back = Frame::ip(v4(B), v4(A), gre, &[1; 8]);
        let answer = node.cross(B, &back);
        assert_eq!((answer.reason(), answer.seen.len()), (None, 0), "one flow");
        let any = IdentityId::UNKNOWN;
        let some = entry(Direction::Egress, any, tcp_port(80), EntryAction::Allow, 20);
        node.datapath
            .install(&[(A, &[some].into_iter().collect())])?;
        for frame in frames(&[0; 20]) {
            let reason = node.leave(A, &frame).reason();
            assert_eq!(reason, Some(DropReason::UNKNOWN_L4_PROTOCOL));
        }
        let shut = entry(Direction::Egress, any, ANY_PORT, EntryAction::Deny, 21);
        node.datapath
            .install(&[(A, &[some, shut].into_iter().collect())])?;
        for frame in frames(&[0; 20]) {
            assert_eq!(
                node.leave(A, &frame).reason(),
                Some(DropReason::POLICY_DENY)
            );
        }
        // ICMP of the other family is no ICMP.
        let frame = Frame::ip(v6(A), v6(B), Protocol::ICMP, &[8, 0, 0, 0, 0, 1, 0, 1]);
        assert_eq!(
            node.leave(A, &frame).reason(),
            Some(DropReason::POLICY_DENY)
        );
        Ok(())
    })
}

fn fragment4(frame: &Frame, id: u8, at: u16, more: bool) -> Frame {
    spoiled(frame.clone(), |bytes| {
        bytes[IPV4 + 5] = id;
        let field = (at / 8) | if more { 0x2000 } else { 0 };
        bytes[IPV4 + 6..IPV4 + 8].copy_from_slice(&field.to_be_bytes());
    })
}

fn fragment6(payload: &[u8], id: u8, at: u16, more: bool) -> Frame {
    let [high, low] = (at | u16::from(more)).to_be_bytes();
    let header = [17, 0, high, low, 0, 0, 0, id];
    Frame::ip(
        v6(A),
        v6(B),
        Protocol::new(44),
        &[&header, payload].concat(),
    )
}

pub(crate) fn fragments(loader: Loader) -> Outcome {
    open(loader, |node| {
        let udp = |a, b| Frame::udp(at(a, 53), at(b, 5353));
        let rest = Frame::ip(v4(A), v4(B), Protocol::UDP, &[7; 16]);
        let (first, other) = (udp(v4(A), v4(B)), udp(v6(A), v6(B)));
        let other = &other.packet()[40..];
        let later = |id| {
            [
                fragment4(&rest, id, 8, false),
                fragment6(&[7; 16], id, 8, false),
            ]
        };
        let lost = Some(DropReason::FIRST_LOGICAL_DATAGRAM_FRAGMENT_NOT_FOUND);
        for frame in later(1) {
            assert_eq!(node.cross(A, &frame).reason(), lost, "before its first");
        }
        for first in [fragment4(&first, 1, 0, true), fragment6(other, 1, 0, true)] {
            assert_eq!(node.cross(A, &first).reason(), None);
        }
        for frame in later(1) {
            let crossed = node.cross(A, &frame);
            assert_eq!(
                (crossed.reason(), crossed.seen.len()),
                (None, 0),
                "after its first"
            );
        }
        for frame in later(2) {
            assert_eq!(node.cross(A, &frame).reason(), lost, "of another datagram");
        }
        // A policy that shuts the port shuts the later ones as well.
        let any = IdentityId::UNKNOWN;
        let tcp = entry(Direction::Egress, any, tcp_port(80), EntryAction::Allow, 20);
        node.datapath
            .install(&[(A, &[tcp].into_iter().collect())])?;
        for frame in later(1) {
            assert_eq!(
                node.leave(A, &frame).reason(),
                Some(DropReason::POLICY_DENIED)
            );
        }
        let small = Frame::ip(v4(A), v4(B), Protocol::TCP, &[0; 8]);
        let truncated = Some(DropReason::CT_TRUNCATED_OR_INVALID_HEADER);
        assert_eq!(
            node.leave(A, &fragment4(&small, 3, 0, true)).reason(),
            truncated
        );
        let over = fragment4(&small, 3, 8, false);
        let refused = Some(DropReason::IP_FRAGMENTATION_NOT_SUPPORTED);
        assert_eq!(
            node.leave(A, &over).reason(),
            refused,
            "over the flags of TCP"
        );
        Ok(())
    })
}
