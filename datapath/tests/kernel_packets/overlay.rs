//! Two nodes, each with a datapath of its own, and a real VXLAN between them.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

use ipnet::IpNet;
use nix::sys::socket::{setsockopt, sockopt::Mark};
use porin_datapath::{ApplyError, AttachError, Config, Datapath, Frame, HostSpec, OverlaySpec};
use porin_flow::{DropReason, EndpointId, Observation, Outcome};
use porin_identity::IdentityId;
use porin_policy::{Direction, MapState, Protocol};
use porin_testbed::{Namespace, suite};

use crate::common::{Failure, listing, with_bpffs};
use crate::lifetime::pinned;
use crate::scene::{Log, Pod, allow, allow_egress, client, node, policy};
use crate::traffic::{Datagrams, Echo, Stream, Talk, unspecified};

const VXLAN: u16 = 4789;
const PORT: u16 = 8080;

/// The ends of the wire between the nodes, IPv4 and IPv6.
const ENDS: [Ipv4Addr; 2] = [Ipv4Addr::new(172, 20, 0, 1), Ipv4Addr::new(172, 20, 0, 2)];

/// A node with one pod, and a tunnel to the other.
struct Site {
    node: Namespace,
    pod: Pod,
    datapath: Datapath,
    log: Log,
}

/// Two of them. The pods' identities are 1001 and 1002.
struct Pair {
    here: Site,
    there: Site,
}

/// The addresses of the pod of this place, as the other node routes them.
fn prefixes(place: u8) -> Result<[IpNet; 2], Failure> {
    Ok([
        format!("10.1.{place}.0/24").parse()?,
        format!("fd00:{place}::/64").parse()?,
    ])
}

fn ends(v6: bool) -> Result<[IpAddr; 2], Failure> {
    Ok(match v6 {
        false => ENDS.map(IpAddr::from),
        true => ["fd20::1".parse()?, "fd20::2".parse()?],
    })
}

impl Site {
    fn new(config: &Config, node: Namespace, place: u8, v6: bool) -> Result<Self, Failure> {
        let pod = Pod::new(&node, place, place)?;
        let other = 3 - place;
        let vxlan = node.vxlan("vx0", VXLAN)?;
        node.up("vx0")?;
        for prefix in prefixes(other)? {
            node.add_route(prefix, "vx0", None)?;
        }
        let mut datapath = node.run(|| Datapath::open(config))??;
        let spec = OverlaySpec {
            ifindex: vxlan,
            port: VXLAN,
        };
        node.run(|| datapath.attach_overlay(spec))??;
        node.run(|| datapath.add_endpoint(pod.spec()))??;
        let far = ends(v6)?[usize::from(other) - 1];
        datapath.set_node(far, prefixes(other)?)?;
        let log = Log::new(&mut datapath)?;
        Ok(Self {
            node,
            pod,
            datapath,
            log,
        })
    }

    fn ready(&mut self, policy: &MapState) -> Result<(), Failure> {
        self.datapath.install(&[(self.pod.id, policy)])?;
        self.datapath.set_ready(self.pod.id)?;
        Ok(())
    }

    /// Who the node's tables say is at the addresses of the other's pod.
    fn knows(&mut self, far: &Pod, identity: IdentityId) -> Result<(), Failure> {
        let named = far
            .addresses()
            .map(|address| (IpNet::from(address), Some(identity)));
        Ok(self.datapath.apply_prefixes(&named)?)
    }
}

impl Pair {
    /// Nodes whose tunnels run over IPv4 or IPv6; `there` has a server for the first pod alone.
    fn new(config: &Config, v6: bool) -> Result<Self, Failure> {
        let nodes = [node()?, node()?];
        nodes[0].veth("wire", &nodes[1], "wire")?;
        for (place, node) in nodes.iter().enumerate() {
            node.add_address("wire", format!("{}/24", ENDS[place]).parse()?)?;
            node.add_address("wire", format!("{}/64", ends(true)?[place]).parse()?)?;
            node.up("wire")?;
        }
        let [here, there] = nodes;
        let mut pair = Self {
            here: Site::new(config, here, 1, v6)?,
            there: Site::new(config, there, 2, v6)?,
        };
        pair.here.knows(&pair.there.pod, pair.there.pod.identity)?;
        let only = |protocol| allow(pair.here.pod.identity, protocol, PORT, 101);
        let server = policy([only(Protocol::TCP), only(Protocol::UDP)]);
        pair.here
            .ready(&policy([allow_egress(pair.there.pod.identity)]))?;
        pair.there.ready(&server)?;
        Ok(pair)
    }

    fn talk(&self, v6: bool) -> Result<Datagrams, Failure> {
        let to = self.there.pod.at(v6, PORT);
        Datagrams::udp(&self.here.pod, unspecified(v6), to)
    }
}

/// The receiver knows who sends by the tunnel, whatever its own tables say or do not say.
pub(crate) fn identity(config: &Config) -> suite::Outcome {
    for outer in [false, true] {
        let mut pair = Pair::new(config, outer)?;
        let _echo = Echo::start(&pair.there.pod, &[PORT])?;
        for v6 in [false, true] {
            let mut talk = pair.talk(v6)?;
            assert!(talk.answers(1)?, "the tables there do not know the sender");
            let at = pair.there.pod.id;
            let is_first = |seen: &Observation| {
                seen.endpoint == at
                    && seen.tuple.source == pair.here.pod.addresses()[usize::from(v6)]
            };
            let seen = pair.there.log.expect("the first packet", is_first)?;
            assert_eq!(seen.source, pair.here.pod.identity);
            let mut stream = Stream::connect(&pair.here.pod, pair.there.pod.at(v6, PORT))?;
            assert!(stream.answers(2)?);

            // Another name takes hold of what runs, at the other node as well.
            let id = pair.here.pod.id;
            pair.here.datapath.set_identity(id, IdentityId::new(1999))?;
            assert!(stream.is_silent(3)? && talk.is_silent(3)?);
            let denied = |seen: &Observation| {
                seen.source == IdentityId::new(1999)
                    && seen.outcome == Outcome::Drop(DropReason::POLICY_DENIED)
            };
            pair.there.log.expect("the renamed pod's drop", denied)?;
            pair.here
                .datapath
                .set_identity(id, pair.here.pod.identity)?;
            assert!(stream.answers(4)? && talk.answers(4)?);
            pair.there.log.clear();
        }
    }
    Ok(())
}

/// A name that only one node knows stays there: the other asks its own tables.
pub(crate) fn local_names(config: &Config) -> suite::Outcome {
    let mut pair = Pair::new(config, false)?;
    let _echo = Echo::start(&pair.there.pod, &[PORT])?;
    let id = pair.here.pod.id;
    let (own, local) = (pair.here.pod.identity, IdentityId::new(1 << 24 | 7));
    pair.here.datapath.set_identity(id, local)?;
    let mut talk = pair.talk(false)?;
    assert!(talk.is_silent(1)?, "nobody there knows it");
    let reason = DropReason::INVALID_IDENTITY;
    let none = EndpointId::NONE;
    pair.there
        .log
        .expect_drop(none, Direction::Ingress, reason)?;
    pair.there.knows(&pair.here.pod, own)?;
    assert!(talk.answers(2)?);
    // The host itself is a node to others.
    let from_host = Pod {
        namespace: pair.here.node.try_clone()?,
        ..Pod::new(&pair.here.node, 9, 9)?
    };
    let gateway: IpAddr = "10.1.1.1".parse()?;
    let visit = Datagrams::udp(&from_host, gateway, pair.there.pod.at(false, PORT))?;
    visit.send(3)?;
    let denied = |seen: &Observation| {
        seen.tuple.source == gateway && seen.outcome == Outcome::Drop(DropReason::POLICY_DENIED)
    };
    let seen = pair.there.log.expect("the host's packet", denied)?;
    assert_eq!(seen.source.get(), 6);
    // Where nobody is known nothing goes.
    pair.here.datapath.remove_node(ENDS[1].into())?;
    assert!(talk.is_silent(4)?);
    let reason = DropReason::NO_TUNNEL_OR_ENCAPSULATION_ENDPOINT;
    pair.here.log.expect_drop(none, Direction::Egress, reason)?;
    Ok(())
}

/// With the checksum of its IPv4 header (RFC 1071), which the stack asks for.
fn summed(mut frame: Frame) -> Frame {
    let header = &mut frame.bytes_mut()[14..34];
    header[10..12].fill(0);
    let words = header.chunks_exact(2);
    let sum: u32 = words
        .map(|word| u32::from(word[0]) << 8 | u32::from(word[1]))
        .sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    let sum = !(folded + (folded >> 16)) & 0xffff;
    header[10..12].copy_from_slice(&sum.to_be_bytes()[2..]);
    frame
}

/// A VXLAN packet made by hand: number and inner frame.
fn forged(vni: u32, inner: &Frame) -> Vec<u8> {
    let mut packet = vec![8, 0, 0, 0];
    packet.extend((vni << 8).to_be_bytes());
    packet.extend(inner.bytes());
    packet
}

/// What a tunnel packet may not say, and who may not send one: each is dropped for a reason of its own.
pub(crate) fn claims(config: &Config) -> suite::Outcome {
    let mut pair = Pair::new(config, false)?;
    let echo = pair
        .there
        .pod
        .namespace
        .run(|| UdpSocket::bind(pair.there.pod.at(false, PORT)))??;
    echo.set_read_timeout(Some(crate::traffic::COMES))?;
    let (pod, far) = (pair.here.pod.v4, pair.there.pod.v4);
    let none = EndpointId::NONE;
    // A third node, without a pod of its own.
    let stranger = Ipv4Addr::new(172, 20, 0, 9);
    pair.here
        .node
        .add_address("wire", format!("{stranger}/24").parse()?)?;
    let bind = |from: Ipv4Addr| -> Result<UdpSocket, Failure> {
        Ok(pair.here.node.run(|| UdpSocket::bind((from, 0)))??)
    };
    let (known, unknown) = (bind(ENDS[0])?, bind(stranger)?);
    let to = SocketAddr::from((ENDS[1], VXLAN));
    let frame = |source: IpAddr, destination: IpAddr| {
        let from = SocketAddr::new(source, 999);
        summed(Frame::udp(from, SocketAddr::new(destination, PORT)))
    };
    let sound = frame(pod, far);
    let other_node = "10.1.7.7".parse()?;
    let cases = [
        (&unknown, 1001, &sound, DropReason::UNKNOWN_SENDER),
        (&known, 0, &sound, DropReason::INVALID_IDENTITY),
        (&known, 1, &sound, DropReason::INVALID_IDENTITY),
        (&known, 7, &sound, DropReason::INVALID_IDENTITY),
        (&known, 9, &sound, DropReason::INVALID_IDENTITY),
        (&known, 13, &sound, DropReason::INVALID_IDENTITY),
        (&known, 40, &sound, DropReason::INVALID_IDENTITY),
        // An address that stands behind this node, of whom nobody there knows who it is.
        (&known, 2, &sound, DropReason::INVALID_IDENTITY),
        (
            &known,
            1001,
            &frame(far, far),
            DropReason::INVALID_SOURCE_IP,
        ),
        (
            &known,
            1001,
            &frame(other_node, far),
            DropReason::INVALID_SOURCE_IP,
        ),
        (
            &known,
            1001,
            &frame(pod, other_node),
            DropReason::UNKNOWN_L3_TARGET_ADDRESS,
        ),
        (
            &known,
            1001,
            &Frame::ethernet(0x0806, &[0; 46]),
            DropReason::UNSUPPORTED_L3_PROTOCOL,
        ),
    ];
    for (socket, vni, inner, reason) in cases {
        pair.there.log.clear();
        socket.send_to(&forged(vni, inner), to)?;
        let drop = pair.there.log.expect_drop(none, Direction::Ingress, reason);
        drop.map_err(|error| format!("number {vni}: {error}"))?;
    }
    // The same packet with nothing wrong about it arrives.
    known.send_to(&forged(1001, &sound), to)?;
    echo.recv(&mut [0; 16])?;
    // Another node may not speak for this one's addresses, once it is one.
    pair.there.log.clear();
    pair.there
        .datapath
        .set_node(stranger.into(), ["10.1.7.0/24".parse()?])?;
    unknown.send_to(&forged(1001, &sound), to)?;
    let reason = DropReason::INVALID_SOURCE_IP;
    pair.there
        .log
        .expect_drop(none, Direction::Ingress, reason)?;
    // The world outside may be forwarded, and is the world there as well.
    let world = frame("203.0.113.5".parse()?, far);
    known.send_to(&forged(2, &world), to)?;
    let reason = DropReason::POLICY_DENIED;
    let at = pair.there.pod.id;
    let seen = pair.there.log.expect_drop(at, Direction::Ingress, reason)?;
    assert_eq!(seen.source, IdentityId::WORLD_IPV4);
    known.send_to(&forged(1001, &world), to)?;
    let reason = DropReason::INVALID_SOURCE_IP;
    pair.there
        .log
        .expect_drop(none, Direction::Ingress, reason)?;
    Ok(())
}

/// A pod neither sends tunnel traffic of its own, nor writes a mark that counts.
pub(crate) fn from_inside(config: &Config) -> suite::Outcome {
    let mut pair = Pair::new(config, false)?;
    let _echo = Echo::start(&pair.there.pod, &[PORT])?;
    pair.here.ready(&client())?;
    let id = pair.here.pod.id;
    let inner = Frame::udp(
        SocketAddr::new(pair.here.pod.v4, 999),
        pair.there.pod.at(false, PORT),
    );
    let socket = pair
        .here
        .pod
        .namespace
        .run(|| UdpSocket::bind("0.0.0.0:0"))??;
    let targets: [IpAddr; 4] = [
        ENDS[1].into(),
        ENDS[0].into(),
        "10.1.1.1".parse()?,
        "203.0.113.5".parse()?,
    ];
    for target in targets {
        pair.here.log.clear();
        socket.send_to(&forged(1001, &inner), (target, VXLAN))?;
        let reason = DropReason::ENCAPSULATION_TRAFFIC_IS_PROHIBITED;
        let seen = pair.here.log.expect_drop(id, Direction::Egress, reason)?;
        assert_eq!(seen.tuple.destination, target);
    }
    // Another port, or to a workload: an ordinary packet.
    pair.here.log.clear();
    socket.send_to(b"x", (ENDS[1], VXLAN + 1))?;
    socket.send_to(b"x", (pair.there.pod.v4, VXLAN))?;
    let passed = |port| {
        move |seen: &Observation| {
            seen.endpoint == id
                && seen.tuple.destination_port == port
                && seen.outcome == Outcome::Forward
        }
    };
    pair.here.log.expect("another port", passed(VXLAN + 1))?;
    pair.here.log.expect("to a workload", passed(VXLAN))?;

    // Who is not allowed there remains who he is, whatever mark he writes.
    pair.here.datapath.set_identity(id, IdentityId::new(1999))?;
    let friend = porin_datapath::abi::mark_of(pair.here.pod.identity.get());
    let tunnelled = friend ^ 0x5e ^ 0x5c;
    for mark in [friend, tunnelled, friend | 0x20] {
        setsockopt(&socket, Mark, &mark)?;
        pair.there.log.clear();
        socket.send_to(b"x", pair.there.pod.at(false, PORT))?;
        let reason = DropReason::POLICY_DENIED;
        let at = pair.there.pod.id;
        let seen = pair.there.log.expect_drop(at, Direction::Ingress, reason)?;
        assert_eq!(seen.source, IdentityId::new(1999), "mark {mark:x}");
    }
    Ok(())
}

/// A mark of the tunnel counts on what came through it, and on nothing else.
pub(crate) fn mark_of_the_tunnel(config: &Config) -> suite::Outcome {
    let mut pair = Pair::new(config, false)?;
    let _outside = Pod::new(&pair.there.node, 5, 5)?;
    pair.there.log.clear();
    let socket = pair
        .there
        .node
        .run(|| UdpSocket::bind((outside_gateway(), 0)))??;
    let friend = porin_datapath::abi::mark_of(pair.here.pod.identity.get()) ^ 0x5e ^ 0x5c;
    setsockopt(&socket, Mark, &friend)?;
    socket.send_to(b"x", pair.there.pod.at(false, PORT))?;
    let reason = DropReason::POLICY_DENIED;
    let at = pair.there.pod.id;
    let seen = pair.there.log.expect_drop(at, Direction::Ingress, reason)?;
    assert_ne!(seen.source, pair.here.pod.identity);
    Ok(())
}

fn outside_gateway() -> Ipv4Addr {
    Ipv4Addr::new(10, 1, 5, 1)
}

/// A host that lets nobody in lets the tunnels of its nodes in: what they carry is judged elsewhere.
pub(crate) fn through_the_host(config: &Config) -> suite::Outcome {
    let mut pair = Pair::new(config, false)?;
    let _echo = Echo::start(&pair.there.pod, &[PORT])?;
    for site in [&mut pair.here, &mut pair.there] {
        let spec = HostSpec {
            id: EndpointId::new(99),
            devices: [site.node.index("wire")?].into(),
        };
        let Site { node, datapath, .. } = site;
        node.run(|| datapath.attach_host(&spec, &policy([]), None))??;
    }
    assert!(pair.talk(false)?.answers(1)?);
    pair.there.datapath.remove_node(ENDS[0].into())?;
    pair.there.log.clear();
    assert!(pair.talk(false)?.is_silent(2)?);
    let reason = DropReason::POLICY_DENIED;
    let at = EndpointId::new(99);
    pair.there.log.expect_drop(at, Direction::Ingress, reason)?;
    Ok(())
}

/// Nodes and tunnels outlive the process, and go with the rest.
pub(crate) fn adopted(config: &Config) -> suite::Outcome {
    with_bpffs(|bpffs| {
        let config = pinned(config, &bpffs.join("porin"));
        let node = node()?;
        let vxlan = node.vxlan("vx0", VXLAN)?;
        let spec = |ifindex| OverlaySpec {
            ifindex,
            port: VXLAN,
        };
        let mut datapath = node.run(|| Datapath::open(&config))??;
        let absent = node.run(|| datapath.attach_overlay(spec(4711)))?;
        assert!(
            matches!(absent, Err(AttachError::NoDevice { .. })),
            "{absent:?}"
        );
        assert_eq!(datapath.overlay(), None);
        node.run(|| datapath.attach_overlay(spec(vxlan)))??;
        let [one, two] = ENDS.map(IpAddr::from);
        datapath.set_node(one, prefixes(1)?)?;
        let taken = datapath.set_node(two, prefixes(1)?);
        assert!(
            matches!(taken, Err(ApplyError::RouteTaken { .. })),
            "{taken:?}"
        );
        datapath.set_node(two, prefixes(2)?)?;
        datapath.set_node(two, [prefixes(2)?[0]])?;
        let nodes = datapath.nodes();
        assert_eq!(nodes[&two], [prefixes(2)?[0]].into());
        datapath.keep();
        let mut datapath = node.run(|| Datapath::open(&config))??;
        assert_eq!(
            (datapath.overlay(), datapath.nodes()),
            (Some(spec(vxlan)), nodes)
        );
        let other = node.run(|| datapath.attach_overlay(spec(vxlan + 1)))?;
        assert!(matches!(other, Err(AttachError::OverlayTaken(held)) if held == vxlan));
        datapath.remove_node(one)?;
        assert_eq!(datapath.nodes().len(), 1);
        datapath.keep();
        node.delete("vx0")?;
        let datapath = node.run(|| Datapath::open(&config))??;
        assert_eq!(datapath.overlay(), None);
        datapath.close()?;
        assert_eq!(listing(bpffs)?, Vec::<String>::new());
        Ok(())
    })
}
