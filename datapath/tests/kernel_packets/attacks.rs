//! Attacks by frames that no decent host would send, over the wire between pods.
//!
//! Each frame leaves one pod by a packet socket, with the node's device as its next station. It is
//! seen where it arrives, or the reason is told for which it was dropped; nothing waits for silence.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use nix::sys::socket::{setsockopt, sockopt};
use porin_datapath::{Config, Frame};
use porin_flow::{DropReason, Outcome, TcpFlags};
use porin_identity::IdentityId;
use porin_policy::{Direction, Protocol};
use porin_testbed::{PacketSocket, suite};

use crate::common::Failure;
use crate::scene::{Pod, Scene, allow, allow_egress, client, policy};
use crate::traffic::{COMES, unspecified};

const OPEN: u16 = 8080;
const SHUT: u16 = 9090;
const IP: usize = 14;

const DENIED: Option<DropReason> = Some(DropReason::POLICY_DENIED);
const MALFORMED: Option<DropReason> = Some(DropReason::INVALID_PACKET_DROPPED);
const TRUNCATED: Option<DropReason> = Some(DropReason::CT_TRUNCATED_OR_INVALID_HEADER);
const EXTENSION: Option<DropReason> = Some(DropReason::INVALID_IPV6_EXTENSION_HEADER);
const FORGED: Option<DropReason> = Some(DropReason::INVALID_SOURCE_IP);
const NO_FIRST: Option<DropReason> = Some(DropReason::FIRST_LOGICAL_DATAGRAM_FRAGMENT_NOT_FOUND);
const NO_FLOW: Option<DropReason> = Some(DropReason::UNKNOWN_CONNECTION_TRACKING_STATE);
const UNKNOWN_L4: Option<DropReason> = Some(DropReason::UNKNOWN_L4_PROTOCOL);
const TAGGED: Option<DropReason> = Some(DropReason::UNSUPPORTED_L2_PROTOCOL);

/// A friend, a server that lets him use one port, and a stranger.
struct Field {
    scene: Scene,
    wires: Vec<PacketSocket>,
}

const FRIEND: usize = 0;
const SERVER: usize = 1;
const STRANGER: usize = 2;

impl Field {
    fn new(config: &Config) -> Result<Self, Failure> {
        let mut scene = Scene::new(config, 3)?;
        let friend = scene.pods[FRIEND].identity;
        let ports = [Protocol::TCP, Protocol::UDP, Protocol::SCTP];
        let mut rules: Vec<_> = ports
            .map(|protocol| allow(friend, protocol, OPEN, 101))
            .into();
        rules.push(allow(friend, Protocol::ICMP, 8, 102));
        rules.push(allow(friend, Protocol::ICMPV6, 128, 103));
        let sender = client();
        scene.ready(&[&sender, &policy(rules), &sender])?;
        let wire = |pod: &Pod| PacketSocket::open(&pod.namespace, "eth0");
        let wires = scene.pods.iter().map(wire).collect::<Result<_, _>>()?;
        let mut field = Self { scene, wires };
        // Everybody's station is known from here on.
        for v6 in [false, true] {
            for (from, to) in [(FRIEND, SERVER), (STRANGER, FRIEND)] {
                let hello = Frame::udp(field.at(from, v6, 1), field.at(to, v6, OPEN));
                field.fate(from, to, &hello)?;
            }
        }
        Ok(field)
    }

    fn at(&self, pod: usize, v6: bool, port: u16) -> SocketAddr {
        self.scene.pods[pod].at(v6, port)
    }

    fn ip(&self, pod: usize, v6: bool) -> IpAddr {
        self.at(pod, v6, 0).ip()
    }

    /// Sends a frame from one pod toward another: `None` if it arrives, else why it was dropped.
    fn fate(
        &mut self,
        from: usize,
        to: usize,
        frame: &Frame,
    ) -> Result<Option<DropReason>, Failure> {
        let Scene {
            log, pods, node, ..
        } = &mut self.scene;
        log.clear();
        while self.wires[to].receive(Duration::ZERO)?.is_some() {}
        let mut bytes = frame.bytes().to_vec();
        bytes[..6].copy_from_slice(&node.mac(&format!("pod{}", from + 1))?.0);
        bytes[6..12].copy_from_slice(&pods[from].namespace.mac("eth0")?.0);
        seal(&mut bytes);
        self.wires[from].send(&bytes)?;
        let [sender, receiver] = [pods[from].id, pods[to].id];
        let end = Instant::now() + COMES;
        while Instant::now() < end {
            let told = log.all().iter().find_map(|seen| match seen.outcome {
                Outcome::Drop(reason) if [sender, receiver].contains(&seen.endpoint) => {
                    Some(reason)
                }
                _ => None,
            });
            if told.is_some() {
                return Ok(told);
            }
            if let Some(came) = self.wires[to].receive(Duration::from_millis(1))?
                && payload(&came) == payload(&bytes)
            {
                return Ok(None);
            }
        }
        Err(format!("a frame vanished: {bytes:02x?}").into())
    }

    /// Sends every frame of a table from one pod to another.
    fn fates(
        &mut self,
        from: usize,
        to: usize,
        table: Vec<(&str, Frame, Option<DropReason>)>,
    ) -> Result<(), Failure> {
        for (name, frame, expected) in table {
            assert_eq!(self.fate(from, to, &frame)?, expected, "{name}");
        }
        Ok(())
    }
}

/// The checksum of an IPv4 header, which routers look at.
fn seal(bytes: &mut [u8]) {
    if bytes[12..14] != [0x08, 0x00] {
        return;
    }
    let end = (IP + 4 * usize::from(bytes[IP] & 0xf)).min(bytes.len());
    bytes[IP + 10..IP + 12].fill(0);
    let words = bytes[IP..end].chunks_exact(2);
    let sum: u32 = words
        .map(|word| u32::from(u16::from_be_bytes([word[0], word[1]])))
        .sum();
    let fold = |sum: u32| (sum & 0xffff) + (sum >> 16);
    let sum = !u16::try_from(fold(fold(sum))).unwrap_or_default();
    bytes[IP + 10..IP + 12].copy_from_slice(&sum.to_be_bytes());
}

/// What routers leave as it is: the addresses and what follows them.
fn payload(bytes: &[u8]) -> &[u8] {
    let at = if bytes.get(12) == Some(&0x08) { 26 } else { 22 };
    bytes.get(at..).unwrap_or_default()
}

fn fragment4(whole: &Frame, id: u8, at: u16, more: bool) -> Frame {
    let mut frame = whole.clone();
    let bytes = frame.bytes_mut();
    bytes[IP + 5] = id;
    let field = (at / 8) | if more { 0x2000 } else { 0 };
    bytes[IP + 6..IP + 8].copy_from_slice(&field.to_be_bytes());
    frame
}

/// Behind these headers, of which the first has this number.
fn behind(from: IpAddr, to: IpAddr, first: u8, headers: &[u8], message: &[u8]) -> Frame {
    Frame::ip(from, to, Protocol::new(first), &[headers, message].concat())
}

/// Fragments in every wrong order and size, and headers before the one that counts.
pub(crate) fn fragments(config: &Config) -> suite::Outcome {
    let mut field = Field::new(config)?;
    let (a, b) = (field.ip(FRIEND, false), field.ip(SERVER, false));
    let udp = |port| Frame::udp(SocketAddr::new(a, 4000), SocketAddr::new(b, port));
    let rest = |protocol, length| Frame::ip(a, b, protocol, &vec![7; length]);
    let later = fragment4(&rest(Protocol::UDP, 16), 1, 8, false);
    let tiny = fragment4(&rest(Protocol::TCP, 8), 2, 0, true);
    let over = fragment4(&rest(Protocol::TCP, 16), 2, 8, false);
    let overlap = Some(DropReason::IP_FRAGMENTATION_NOT_SUPPORTED);
    field.fates(
        FRIEND,
        SERVER,
        vec![
            ("only the last, or out of order", later.clone(), NO_FIRST),
            ("tiny first", tiny, TRUNCATED),
            ("over the flags of TCP", over, overlap),
            (
                "first of a port that is shut",
                fragment4(&udp(SHUT), 1, 0, true),
                DENIED,
            ),
            ("its rest", later.clone(), DENIED),
            (
                "first of an open port",
                fragment4(&udp(OPEN), 3, 0, true),
                None,
            ),
            (
                "its rest",
                fragment4(&rest(Protocol::UDP, 16), 3, 8, false),
                None,
            ),
            (
                "a rest that overlaps",
                fragment4(&rest(Protocol::UDP, 24), 3, 8, false),
                None,
            ),
            (
                "another first over it, of a port that is shut",
                fragment4(&udp(SHUT), 3, 0, true),
                DENIED,
            ),
            (
                "a rest behind both",
                fragment4(&rest(Protocol::UDP, 16), 3, 8, false),
                DENIED,
            ),
            (
                "the rest of another",
                fragment4(&rest(Protocol::UDP, 16), 4, 8, false),
                NO_FIRST,
            ),
        ],
    )?;
    let (a, b) = (field.ip(FRIEND, true), field.ip(SERVER, true));
    let syn = |port| {
        let frame = Frame::tcp(
            SocketAddr::new(a, 4000),
            SocketAddr::new(b, port),
            TcpFlags::SYN,
        );
        frame.packet()[40..].to_vec()
    };
    let (open, shut) = (syn(OPEN), syn(SHUT));
    let atomic = [6, 0, 0, 0, 0, 0, 0, 9];
    let options = |next| [next, 0, 1, 4, 0, 0, 0, 0];
    let chain: Vec<u8> = [60, 60, 60, 60, 60, 60, 6]
        .iter()
        .flat_map(|next| options(*next))
        .collect();
    let routed = [options(43), [6, 0, 0, 1, 0, 0, 0, 0]].concat();
    field.fates(
        FRIEND,
        SERVER,
        vec![
            (
                "atomic fragment to an open port",
                behind(a, b, 44, &atomic, &open),
                None,
            ),
            (
                "atomic fragment to a shut port",
                behind(a, b, 44, &atomic, &shut),
                DENIED,
            ),
            (
                "one header to an open port",
                behind(a, b, 60, &options(6), &open),
                None,
            ),
            (
                "one header to a shut port",
                behind(a, b, 60, &options(6), &shut),
                DENIED,
            ),
            (
                "a chain of seven",
                behind(a, b, 60, &chain, &open),
                EXTENSION,
            ),
            (
                "hop-by-hop, then a source route",
                behind(a, b, 0, &routed, &open),
                EXTENSION,
            ),
        ],
    )?;
    Ok(())
}

/// Errors about packets that never were, and echoes where only one may ask.
pub(crate) fn icmp(config: &Config) -> suite::Outcome {
    let mut field = Field::new(config)?;
    for v6 in [false, true] {
        let [friend, server, stranger] = [FRIEND, SERVER, STRANGER].map(|pod| field.ip(pod, v6));
        let unreachable = if v6 { 1 } else { 3 };
        let error = |from, about: &Frame| {
            Frame::icmp(
                from,
                friend,
                unreachable,
                1,
                &[&[0; 4], about.packet()].concat(),
            )
        };
        let talk = |to, port| Frame::udp(SocketAddr::new(friend, 4000), SocketAddr::new(to, port));
        let (real, never) = (talk(server, OPEN), talk(stranger, 5));
        assert_eq!(field.fate(FRIEND, SERVER, &real)?, None);
        field.fates(
            STRANGER,
            FRIEND,
            vec![
                (
                    "about what was never sent",
                    error(stranger, &never),
                    NO_FLOW,
                ),
                ("in another's name", error(server, &real), FORGED),
            ],
        )?;
        let [request, reply] = if v6 { [128, 129] } else { [8, 0] };
        let echo = |from, to, kind, id| Frame::icmp(from, to, kind, 0, &[0, id, 0, 1]);
        field.fates(
            SERVER,
            FRIEND,
            vec![
                (
                    "an answer before the question",
                    echo(server, friend, reply, 7),
                    DENIED,
                ),
                (
                    "a question by who may only answer",
                    echo(server, friend, request, 7),
                    DENIED,
                ),
            ],
        )?;
        for id in [0, 7] {
            assert_eq!(
                field.fate(FRIEND, SERVER, &echo(friend, server, request, id))?,
                None
            );
            field.fates(
                FRIEND,
                SERVER,
                vec![(
                    "an answer by who asked",
                    echo(friend, server, reply, id),
                    DENIED,
                )],
            )?;
            field.fates(
                SERVER,
                FRIEND,
                vec![
                    (
                        "a question on the same identifier",
                        echo(server, friend, request, id),
                        DENIED,
                    ),
                    (
                        "an answer to another",
                        echo(server, friend, reply, id + 1),
                        DENIED,
                    ),
                    ("the answer", echo(server, friend, reply, id), None),
                ],
            )?;
        }
    }
    Ok(())
}

/// Tags, tunnels and transports: a rule, or a drop with a reason of its own.
pub(crate) fn protocols(config: &Config) -> suite::Outcome {
    let mut field = Field::new(config)?;
    for v6 in [false, true] {
        let (a, b) = (field.at(FRIEND, v6, 4000), field.at(SERVER, v6, OPEN));
        let inner = Frame::udp(a, b);
        let kind: &[u8] = if v6 { &[0x86, 0xdd] } else { &[0x08, 0x00] };
        let tagged = |tag| Frame::ethernet(tag, &[&[0, 5], kind, inner.packet()].concat());
        let priority = Frame::ethernet(0x8100, &[&[0xe0, 0], kind, inner.packet()].concat());
        let twice = [&[0, 5, 0x81, 0x00, 0, 6], kind, inner.packet()].concat();
        let of = |number, payload: &[u8]| Frame::ip(a.ip(), b.ip(), Protocol::new(number), payload);
        let chunks = |to| {
            let mut frame = Frame::sctp(a, to);
            // Two DATA chunks of four octets each.
            let chunk = [0, 3, 0, 20, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4];
            frame.bytes_mut().extend([chunk, chunk].concat());
            let length = if v6 { IP + 4..IP + 6 } else { IP + 2..IP + 4 };
            let total = frame.bytes().len() - IP - if v6 { 40 } else { 0 };
            let total = u16::try_from(total).expect("short");
            frame.bytes_mut()[length].copy_from_slice(&total.to_be_bytes());
            frame
        };
        let shut = SocketAddr::new(b.ip(), SHUT);
        field.fates(
            FRIEND,
            SERVER,
            vec![
                ("VLAN", tagged(0x8100), TAGGED),
                ("802.1ad", tagged(0x88a8), TAGGED),
                ("a priority, VLAN 0", priority, TAGGED),
                ("QinQ", Frame::ethernet(0x88a8, &twice), TAGGED),
                ("IP in IP", of(4, inner.packet()), UNKNOWN_L4),
                (
                    "GRE",
                    of(47, &[&[0, 0], kind, inner.packet()].concat()),
                    UNKNOWN_L4,
                ),
                ("UDP-Lite", of(136, &[0; 16]), UNKNOWN_L4),
                ("a protocol of nobody", of(253, &[0; 16]), UNKNOWN_L4),
                ("SCTP with two chunks, open", chunks(b), None),
                ("SCTP with two chunks, shut", chunks(shut), DENIED),
            ],
        )?;
    }
    Ok(())
}

/// Addresses that mean another, or nobody.
pub(crate) fn addresses(config: &Config) -> suite::Outcome {
    let mut field = Field::new(config)?;
    let (v4, v6) = (field.at(SERVER, false, OPEN), field.at(SERVER, true, OPEN));
    let from = |ip: &str| -> Result<SocketAddr, Failure> { Ok(SocketAddr::new(ip.parse()?, 4000)) };
    let own = field.at(FRIEND, true, 4000);
    // An IPv4 packet's addresses in an IPv6 packet.
    let mapped = |source: IpAddr, destination: IpAddr| {
        let message = Frame::udp(own, v6).packet()[40..].to_vec();
        Frame::ip(source, destination, Protocol::UDP, &message)
    };
    field.fates(
        FRIEND,
        SERVER,
        vec![
            (
                "mapped source",
                mapped(field.ip(FRIEND, false), v6.ip()),
                MALFORMED,
            ),
            ("mapped destination", mapped(own.ip(), v4.ip()), MALFORMED),
            (
                "link-local source",
                Frame::udp(from("fe80::1")?, v6),
                FORGED,
            ),
            ("no source", Frame::udp(from("0.0.0.0")?, v4), FORGED),
            ("unspecified source", Frame::udp(from("::")?, v6), FORGED),
            (
                "the node's loopback",
                Frame::udp(from("127.0.0.1")?, v4),
                FORGED,
            ),
            ("its loopback in IPv6", Frame::udp(from("::1")?, v6), FORGED),
            (
                "the node's own address",
                Frame::udp(from("10.1.1.1")?, v4),
                FORGED,
            ),
            (
                "the server's own, as in a hairpin",
                Frame::udp(SocketAddr::new(v4.ip(), 4000), v4),
                FORGED,
            ),
            (
                "the direct path",
                Frame::udp(field.at(FRIEND, false, 4000), v4),
                None,
            ),
        ],
    )?;
    Ok(())
}

/// Segments that no connection begins with, or that belong to none.
pub(crate) fn segments(config: &Config) -> suite::Outcome {
    let mut field = Field::new(config)?;
    for v6 in [false, true] {
        let at = |field: &Field, pod, port| field.at(pod, v6, port);
        let (a, open) = (at(&field, FRIEND, 4000), at(&field, SERVER, OPEN));
        let shut = at(&field, SERVER, SHUT);
        let reset = TcpFlags::RST | TcpFlags::ACK;
        let data = |to| {
            let mut frame = Frame::tcp(a, to, TcpFlags::SYN);
            frame.bytes_mut().extend(b"data");
            let last = if v6 { IP + 5 } else { IP + 3 };
            frame.bytes_mut()[last] += 4;
            frame
        };
        field.fates(
            FRIEND,
            SERVER,
            vec![
                (
                    "SYN and FIN, shut",
                    Frame::tcp(a, shut, TcpFlags::SYN | TcpFlags::FIN),
                    DENIED,
                ),
                ("SYN with data, shut", data(shut), DENIED),
                (
                    "the midst of a stream, shut",
                    Frame::tcp(a, shut, TcpFlags::ACK),
                    DENIED,
                ),
                (
                    "a reset of nothing, shut",
                    Frame::tcp(a, shut, reset),
                    DENIED,
                ),
                (
                    "no flags, shut",
                    Frame::tcp(a, shut, TcpFlags::NONE),
                    DENIED,
                ),
            ],
        )?;
        field.fates(
            SERVER,
            FRIEND,
            vec![(
                "an answer to nothing",
                Frame::tcp(open, a, TcpFlags::SYN | TcpFlags::ACK),
                DENIED,
            )],
        )?;
        assert_eq!(field.fate(FRIEND, SERVER, &data(open))?, None);
        field.fates(
            STRANGER,
            FRIEND,
            vec![(
                "a reset in the server's name",
                Frame::tcp(open, a, reset),
                FORGED,
            )],
        )?;
        // The same ports after a change.
        let server = field.scene.pods[SERVER].id;
        let before = field.scene.datapath.policy(server)?.into_iter().collect();
        let none = policy([allow(IdentityId::new(1999), Protocol::TCP, OPEN, 104)]);
        field.scene.install(SERVER, &none)?;
        field.fates(
            FRIEND,
            SERVER,
            vec![
                (
                    "the stream goes on",
                    Frame::tcp(a, open, TcpFlags::ACK),
                    DENIED,
                ),
                ("it begins anew", Frame::tcp(a, open, TcpFlags::SYN), DENIED),
            ],
        )?;
        field.scene.install(SERVER, &before)?;
    }
    Ok(())
}

/// A pod writes the mark of another into its packets: the hook writes over it.
pub(crate) fn mark(config: &Config) -> suite::Outcome {
    let mut scene = Scene::new(config, 3)?;
    let chosen = scene.pods[STRANGER].identity;
    let everybody = policy([allow_egress(IdentityId::UNKNOWN)]);
    let server = policy([allow(chosen, Protocol::UDP, OPEN, 101)]);
    scene.ready(&[&everybody, &server, &everybody])?;
    let forged = scene
        .datapath
        .mark(scene.pods[STRANGER].id)
        .ok_or("known")?;
    for v6 in [false, true] {
        // With the bit by which the sender's hook vouches for the receiver's, and without.
        for mark in [forged, forged | 0x20, 0] {
            scene.log.clear();
            let pod = &scene.pods[FRIEND];
            let socket = pod
                .namespace
                .run(|| UdpSocket::bind((unspecified(v6), 0)))??;
            setsockopt(&socket, sockopt::Mark, &mark)?;
            socket.send_to(b"x", scene.pods[SERVER].at(v6, OPEN))?;
            let (at, identity) = (scene.pods[SERVER].id, pod.identity);
            let seen = scene
                .log
                .expect_drop(at, Direction::Ingress, DropReason::POLICY_DENIED)?;
            assert_eq!(seen.source, identity, "known as who it is");
        }
    }
    Ok(())
}
