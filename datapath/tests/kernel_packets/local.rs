//! Packets between two endpoints of one node: judged once, counted once, delivered either way.

use std::io::{ErrorKind, Write as _};
use std::net::UdpSocket;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use porin_datapath::{Config, FlowDump};
use porin_flow::DropReason;
use porin_identity::IdentityId;
use porin_policy::{Direction, MapState, Protocol};
use porin_testbed::{Namespace, suite};

use crate::common::random::Random;
use crate::common::{Failure, eventually, number};
use crate::scene::{Pod, Scene, allow, client, egress, policy};
use crate::traffic::{COMES, Datagrams, Echo, Stream, Talk, unspecified};

const PORT: u16 = 8080;
const OTHER: u16 = 8081;
const ROUNDS: u32 = 20;

/// Two pods: the first may ask the second at one port.
fn pair(config: &Config) -> Result<(Scene, Echo), Failure> {
    let mut scene = Scene::new(config, 2)?;
    let peer = scene.pods[0].identity;
    let server = policy([Protocol::TCP, Protocol::UDP].map(|what| allow(peer, what, PORT, 101)));
    scene.ready(&[&client(), &server])?;
    let echo = Echo::start(&scene.pods[1], &[PORT, OTHER])?;
    Ok((scene, echo))
}

fn flow(scene: &Scene, protocol: Protocol, v6: bool) -> Result<FlowDump, Failure> {
    let to = scene.pods[1].at(v6, PORT);
    let flows = scene.datapath.flows()?;
    let found = flows
        .iter()
        .find(|flow| flow.protocol == protocol && flow.responder == (to.ip(), to.port()));
    Ok(*found.ok_or_else(|| format!("no flow to {to} in {flows:#?}"))?)
}

/// A packet that crosses two hooks is one packet of its flow.
pub(crate) fn counted(config: &Config) -> suite::Outcome {
    let (scene, _echo) = pair(config)?;
    for v6 in [false, true] {
        let to = scene.pods[1].at(v6, PORT);
        let mut datagrams = Datagrams::udp(&scene.pods[0], unspecified(v6), to)?;
        for round in 0..ROUNDS {
            assert!(datagrams.answers(round.into())?);
        }
        let seen = flow(&scene, Protocol::UDP, v6)?;
        let frame = if v6 { 14 + 40 + 8 + 8 } else { 14 + 20 + 8 + 8 };
        for way in [seen.sent, seen.received] {
            assert_eq!(way.packets, ROUNDS);
            assert_eq!(way.bytes, u64::from(ROUNDS * frame));
        }
        assert_eq!(seen.handshake, None);

        let before = porin_datapath::sys::monotonic();
        let mut stream = Stream::connect(&scene.pods[0], to)?;
        assert!(stream.answers(1)?);
        let seen = flow(&scene, Protocol::TCP, v6)?;
        assert!(seen.handshake.is_some_and(|took| took < COMES));
        let tick = Duration::from_millis(10);
        let since = seen.opened.abs_diff(before);
        assert!(since < COMES && seen.opened + tick > before, "{seen:?}");
        assert!(seen.sent.packets >= 3 && seen.received.packets >= 2);
    }
    Ok(())
}

/// What the host has changed on the way is another packet, and is judged as what it is now.
pub(crate) fn altered(config: &Config) -> suite::Outcome {
    let (mut scene, _echo) = pair(config)?;
    let mut flows = Vec::new();
    for v6 in [false, true] {
        let to = scene.pods[1].at(v6, PORT);
        let mut datagrams = Datagrams::udp(&scene.pods[0], unspecified(v6), to)?;
        // Both sides have allowed it, so that the next packet bears a proof.
        assert!(datagrams.answers(1)? && datagrams.answers(2)?);
        flows.push(datagrams);
    }
    let rules = format!(
        "table inet porin {{
            chain change {{
                type filter hook forward priority -150;
                udp dport {PORT} udp dport set {OTHER}
            }}
        }}"
    );
    nft(&scene.node, &rules)?;
    let at = scene.pods[1].id;
    for mut datagrams in flows {
        scene.log.clear();
        assert!(datagrams.is_silent(3)?);
        let reason = DropReason::POLICY_DENIED;
        let seen = scene.log.expect_drop(at, Direction::Ingress, reason)?;
        assert_eq!(seen.tuple.destination_port, OTHER);
    }
    Ok(())
}

fn nft(node: &Namespace, rules: &str) -> Result<(), Failure> {
    let mut command = Command::new("nft");
    command.args(["-f", "-"]).stdin(Stdio::piped());
    let mut nft = node
        .spawn(command)
        .map_err(|error| format!("nftables is needed (`cargo xtask setup`): {error}"))?;
    let mut stdin = nft.stdin().ok_or("nft takes no input")?;
    stdin.write_all(rules.as_bytes())?;
    drop(stdin);
    match nft.wait_for(COMES)? {
        Some(status) if status.success() => Ok(()),
        other => Err(format!("nft has not taken the rules: {other:?}").into()),
    }
}

/// Past the stack of the host what runs goes on without its routes, takes a hop as it would on
/// them, and ends with the policy.
pub(crate) fn delivered(config: &Config) -> suite::Outcome {
    let (mut scene, _echo) = pair(config)?;
    for place in 0..2 {
        let mac = scene.pods[place].namespace.mac("eth0")?;
        let id = scene.pods[place].id;
        scene.datapath.set_delivery(id, Some(mac.0))?;
    }
    let limit = Duration::from_millis(200);
    for v6 in [false, true] {
        let to = scene.pods[1].at(v6, PORT);
        let mut stream = Stream::connect(&scene.pods[0], to)?;
        let mut datagrams = Datagrams::udp(&scene.pods[0], unspecified(v6), to)?;
        assert!(stream.answers(1)? && datagrams.answers(1)? && datagrams.answers(2)?);
        forwards(&scene.node, false)?;
        for mark in 3..10 {
            assert!(
                stream.answers(mark)? && datagrams.answers(mark)?,
                "past the routes"
            );
        }
        assert!(
            Stream::open(&scene.pods[0], to, limit)?.is_none(),
            "a first packet goes by them"
        );
        if !v6 {
            datagrams.hops(1)?;
            assert!(datagrams.is_silent(10)?, "the last hop was the host's");
            datagrams.hops(2)?;
            assert!(datagrams.answers(11)?);
        }
        forwards(&scene.node, true)?;
        let peer = scene.pods[0].identity;
        scene.log.clear();
        scene.install(1, &policy([allow(peer, Protocol::TCP, OTHER, 102)]))?;
        assert!(stream.is_silent(20)? && datagrams.is_silent(20)?);
        let (at, reason) = (scene.pods[1].id, DropReason::POLICY_DENIED);
        scene.log.expect_drop(at, Direction::Ingress, reason)?;
        let server = [Protocol::TCP, Protocol::UDP].map(|what| allow(peer, what, PORT, 101));
        scene.install(1, &policy(server))?;
        assert!(stream.answers(21)?);
        let alive = || datagrams.ask(22, limit).unwrap_or(false);
        assert!(eventually(alive));
    }
    Ok(())
}

/// Who may send to which of [`PORTS`], and get from there.
#[derive(Clone, Copy, Default)]
struct Open {
    egress: [bool; PORTS],
    ingress: [bool; PORTS],
}

const PORTS: usize = 3;

fn port(number: usize) -> u16 {
    PORT + u16::try_from(number).expect("small")
}

impl Open {
    fn drawn(random: &mut Random) -> Self {
        Self {
            egress: std::array::from_fn(|_| random.chance(70)),
            ingress: std::array::from_fn(|_| random.chance(70)),
        }
    }

    fn policy(self, peer: IdentityId) -> MapState {
        let all = 0..PORTS;
        let leaves = all.clone().filter(|number| self.egress[*number]);
        let leaves = leaves.map(|number| egress(peer, Protocol::UDP, port(number), 30));
        let comes = all.filter(|number| self.ingress[*number]);
        policy(leaves.chain(comes.map(|number| allow(peer, Protocol::UDP, port(number), 31))))
    }
}

/// Packets of running conversations pass by the policies of the moment, judged at one hook or at
/// two, through the stack or past it.
pub(crate) fn moment(config: &Config) -> suite::Outcome {
    let mut random = Random::announced("moment");
    let mut scene = Scene::new(config, 2)?;
    let peers = [scene.pods[1].identity, scene.pods[0].identity];
    let mut open = [Open::default(); 2];
    scene.ready(&[&open[0].policy(peers[0]), &open[1].policy(peers[1])])?;
    let sockets = |v6| -> Result<Vec<Vec<UdpSocket>>, Failure> {
        let of = |pod: &Pod| {
            (0..PORTS)
                .map(|number| listen(pod, v6, port(number)))
                .collect()
        };
        scene.pods.iter().map(of).collect()
    };
    let sockets = [sockets(false)?, sockets(true)?];
    let (mut arrived, steps) = (0, number("PORIN_PACKETS").unwrap_or(600));
    let mut lawful = Vec::new();
    for mark in 0..steps {
        if random.chance(10) {
            let at = usize::from(random.chance(50));
            open[at] = Open::drawn(&mut random);
            scene.install(at, &open[at].policy(peers[at]))?;
        }
        if random.chance(3) {
            let at = usize::from(random.chance(50));
            let mac = scene.pods[at].namespace.mac("eth0")?;
            let mac = random.chance(50).then_some(mac.0);
            scene.datapath.set_delivery(scene.pods[at].id, mac)?;
        }
        let (v6, from) = (random.chance(50), usize::from(random.chance(50)));
        let draw = |random: &mut Random| random.below(PORTS as u64) as usize;
        let (own, far, to) = (draw(&mut random), draw(&mut random), 1 - from);
        let sockets = &sockets[usize::from(v6)];
        let asks = open[from].egress[far] && open[to].ingress[far];
        let answers = open[to].egress[own] && open[from].ingress[own];
        lawful.push(asks || answers);
        let before = dropped(&scene)?;
        sockets[from][own].send_to(&mark.to_be_bytes(), scene.pods[to].at(v6, port(far)))?;
        let lost = || Ok(dropped(&scene)? > before);
        arrived += u64::from(arrives(&sockets[to][far], mark, &lawful, lost)?);
    }
    eprintln!("moment: {arrived} of {steps} packets arrived");
    assert!(arrived > steps / 10 && arrived < steps);
    Ok(())
}

fn listen(pod: &Pod, v6: bool, port: u16) -> Result<UdpSocket, Failure> {
    let socket = pod.namespace.run(|| UdpSocket::bind(pod.at(v6, port)))??;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn dropped(scene: &Scene) -> Result<u64, Failure> {
    Ok(scene
        .datapath
        .counters()?
        .iter()
        .map(|drop| drop.packets)
        .sum())
}

/// Whether this datagram arrives; `lost` says that one was dropped, which in a rare case is another.
fn arrives(
    socket: &UdpSocket,
    mark: u64,
    lawful: &[bool],
    lost: impl Fn() -> Result<bool, Failure>,
) -> Result<bool, Failure> {
    let end = Instant::now() + COMES;
    let mut room = [0; 8];
    while Instant::now() < end {
        match socket.recv(&mut room) {
            Ok(_) => {
                let seen = u64::from_be_bytes(room);
                assert!(lawful[usize::try_from(seen)?], "packet {seen} arrived");
                if seen == mark {
                    return Ok(true);
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
        if lost()? {
            return Ok(false);
        }
    }
    Err(format!("packet {mark} neither arrived nor was dropped").into())
}

fn forwards(node: &Namespace, on: bool) -> Result<(), Failure> {
    let value = if on { "1" } else { "0" };
    node.set("ipv4/ip_forward", value)?;
    node.set("ipv6/conf/all/forwarding", value)?;
    Ok(())
}
