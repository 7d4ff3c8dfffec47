//! Packets between two endpoints of one node: judged once, counted once, delivered either way.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use porin_datapath::{Config, FlowDump};
use porin_flow::DropReason;
use porin_policy::{Direction, Protocol};
use porin_testbed::{Namespace, suite};

use crate::common::{Failure, eventually};
use crate::scene::{Scene, allow, client, policy};
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

fn forwards(node: &Namespace, on: bool) -> Result<(), Failure> {
    let value = if on { "1" } else { "0" };
    node.set("ipv4/ip_forward", value)?;
    node.set("ipv6/conf/all/forwarding", value)?;
    Ok(())
}
