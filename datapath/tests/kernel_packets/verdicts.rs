//! Who may talk to whom, and what is said of those who may not.

use std::net::IpAddr;

use porin_datapath::Config;
use porin_flow::{DropReason, Observation, ObservationKind, Outcome};
use porin_identity::IdentityId;
use porin_policy::{Direction, Protocol, RuleCookie};
use porin_testbed::suite;

use crate::common::Failure;
use crate::scene::{Pod, Scene, allow, allow_egress, client, deny, policy};
use crate::traffic::{Datagrams, Echo, STAYS_AWAY, Stream, Talk, unspecified};

const ALLOWED: u16 = 8080;
const OTHER: u16 = 8081;

/// TCP, UDP and ICMP of both families: what the policy names passes, with its
/// rule; the rest is dropped by default.
pub(crate) fn of_policy(config: &Config) -> suite::Outcome {
    let mut scene = Scene::new(config, 3)?;
    let (friend, server, stranger) = (0, 1, 2);
    let peer = scene.pods[friend].identity;
    let policy = policy([
        allow(peer, Protocol::TCP, ALLOWED, 101),
        allow(peer, Protocol::UDP, ALLOWED, 102),
        allow(peer, Protocol::ICMP, 8, 103),
        allow(peer, Protocol::ICMPV6, 128, 104),
    ]);
    scene.ready(&[&client(), &policy, &client()])?;
    let _echo = Echo::start(&scene.pods[server], &[ALLOWED, OTHER])?;
    for v6 in [false, true] {
        for (kind, rule) in [
            (Protocol::TCP, 101),
            (Protocol::UDP, 102),
            (Protocol::ICMP, 103),
        ] {
            let icmp = kind == Protocol::ICMP;
            let rule = if icmp && v6 { 104 } else { rule };
            scene.log.clear();
            assert!(
                reaches(&scene, friend, kind, v6, ALLOWED)?,
                "{kind} v6 {v6}"
            );
            let at = scene.pods[server].id;
            let seen = scene.log.expect("an allowed flow", |seen| {
                seen.endpoint == at
                    && seen.direction == Direction::Ingress
                    && seen.cookie == RuleCookie::new(rule)
            })?;
            assert_eq!(seen.outcome, Outcome::Forward);
            assert_eq!(seen.kind, ObservationKind::Verdict);
            assert_eq!(seen.source, peer);
            assert_eq!(seen.tuple.source.is_ipv6(), v6);

            // Nobody else, and nothing else.
            denied(&mut scene, stranger, kind, v6, ALLOWED)?;
            if !icmp {
                denied(&mut scene, friend, kind, v6, OTHER)?;
            }
        }
    }
    assert_eq!(scene.log.lost()?, 0);
    Ok(())
}

/// Tries to reach the server (pod 1); whether it answers.
fn reaches(
    scene: &Scene,
    from: usize,
    kind: Protocol,
    v6: bool,
    port: u16,
) -> Result<bool, Failure> {
    let (pod, to) = (&scene.pods[from], scene.pods[1].at(v6, port));
    match kind {
        Protocol::TCP => Stream::connect(pod, to)?.answers(7),
        Protocol::UDP => Datagrams::udp(pod, unspecified(v6), to)?.answers(7),
        _ => Datagrams::ping(pod, to.ip())?.answers(7),
    }
}

/// The server (pod 1) drops what this pod sends, for want of a rule, and says so.
fn denied(scene: &mut Scene, from: usize, kind: Protocol, v6: bool, port: u16) -> suite::Outcome {
    scene.log.clear();
    let (pod, to) = (&scene.pods[from], scene.pods[1].at(v6, port));
    match kind {
        Protocol::TCP => assert!(Stream::open(pod, to, STAYS_AWAY)?.is_none()),
        Protocol::UDP => assert!(Datagrams::udp(pod, unspecified(v6), to)?.is_silent(7)?),
        _ => assert!(Datagrams::ping(pod, to.ip())?.is_silent(7)?),
    }
    let (source, own, at) = (pod.identity, pod.at(v6, 0).ip(), scene.pods[1].id);
    let protocol = if kind == Protocol::ICMP && v6 {
        Protocol::ICMPV6
    } else {
        kind
    };
    let seen = scene
        .log
        .expect("the packet that was not answered", |seen| {
            let tuple = seen.tuple;
            seen.endpoint == at
                && seen.direction == Direction::Ingress
                && (tuple.source, tuple.destination) == (own, to.ip())
                && tuple.protocol == protocol
                && (kind == Protocol::ICMP || tuple.destination_port == port)
        })?;
    assert_eq!(seen.outcome, Outcome::Drop(DropReason::POLICY_DENIED));
    assert_eq!(seen.source, source);
    assert_eq!(seen.cookie, RuleCookie::NONE);
    Ok(())
}

/// A deny rule is named by the drop, and stronger than what else allows.
pub(crate) fn deny_rule(config: &Config) -> suite::Outcome {
    let mut scene = Scene::new(config, 2)?;
    let peer = scene.pods[0].identity;
    let policy = policy([
        allow(IdentityId::UNKNOWN, Protocol::UDP, ALLOWED, 111),
        deny(peer, Protocol::UDP, ALLOWED, 112),
    ]);
    scene.ready(&[&client(), &policy])?;
    let _echo = Echo::start(&scene.pods[1], &[ALLOWED])?;
    let to = scene.pods[1].at(false, ALLOWED);
    assert!(Datagrams::udp(&scene.pods[0], unspecified(false), to)?.is_silent(7)?);
    let at = scene.pods[1].id;
    let reason = DropReason::POLICY_DENY;
    let seen = scene.log.expect_drop(at, Direction::Ingress, reason)?;
    assert_eq!(seen.cookie, RuleCookie::new(112));
    Ok(())
}

/// Before its policy, a pod neither sends nor receives anything; with it, it does.
pub(crate) fn not_ready(config: &Config) -> suite::Outcome {
    let mut scene = Scene::new(config, 2)?;
    let (client, server) = (
        client(),
        policy([allow(IdentityId::UNKNOWN, Protocol::UDP, ALLOWED, 16)]),
    );
    let _echo = Echo::start(&scene.pods[1], &[ALLOWED])?;
    let to = scene.pods[1].at(false, ALLOWED);
    let mut talk = Datagrams::udp(&scene.pods[0], unspecified(false), to)?;
    let ids = [scene.pods[0].id, scene.pods[1].id];
    let reason = DropReason::NOT_READY;

    assert!(talk.is_silent(1)?);
    scene.log.expect_drop(ids[0], Direction::Egress, reason)?;
    // A policy alone does not open the gate.
    scene
        .datapath
        .install(&[(ids[0], &client), (ids[1], &server)])?;
    assert!(talk.is_silent(2)?);
    let passed = |seen: &Observation| seen.outcome == Outcome::Forward;
    assert!(!scene.log.all().iter().any(passed));
    scene.datapath.set_ready(ids[0])?;
    assert!(talk.is_silent(3)?);
    scene.log.expect_drop(ids[1], Direction::Ingress, reason)?;
    let received = |seen: &Observation| passed(seen) && seen.direction == Direction::Ingress;
    assert!(!scene.log.all().iter().any(received));
    scene.datapath.set_ready(ids[1])?;
    assert!(talk.answers(4)?);
    Ok(())
}

/// A packet with an address that is not the pod's does not leave it, nor reach the neighbour.
pub(crate) fn forged(config: &Config) -> suite::Outcome {
    let mut scene = Scene::new(config, 3)?;
    let everybody = policy([
        allow(IdentityId::UNKNOWN, Protocol::UDP, ALLOWED, 16),
        allow_egress(IdentityId::UNKNOWN),
    ]);
    scene.ready(&[&everybody, &everybody, &everybody])?;
    let _echo = Echo::start(&scene.pods[1], &[ALLOWED])?;
    for v6 in [false, true] {
        let to = scene.pods[1].at(v6, ALLOWED);
        // The honest address works; from here on the pod knows its gateway.
        let honest = scene.pods[0].at(v6, 0).ip();
        assert!(Datagrams::udp(&scene.pods[0], honest, to)?.answers(8)?);
        let neighbour = scene.pods[2].at(v6, 0).ip();
        let nobody: IpAddr = if v6 {
            "fd00:99::1".parse()?
        } else {
            "10.99.0.1".parse()?
        };
        for source in [neighbour, nobody] {
            scene.log.clear();
            let pod = &scene.pods[0];
            let length = if v6 { 128 } else { 32 };
            pod.namespace
                .add_address("eth0", format!("{source}/{length}").parse()?)?;
            let mut liar = Datagrams::udp(pod, source, to)?;
            assert!(liar.is_silent(7)?);
            let at = pod.id;
            let seen = scene.log.expect("the forged packet", |seen| {
                (seen.tuple.source, seen.tuple.destination) == (source, to.ip())
            })?;
            assert_eq!(seen.outcome, Outcome::Drop(DropReason::INVALID_SOURCE_IP));
            assert_eq!((seen.endpoint, seen.direction), (at, Direction::Egress));
        }
    }
    Ok(())
}

/// Somebody without an endpoint is who the longest prefix says, else the world.
pub(crate) fn outside(config: &Config) -> suite::Outcome {
    let mut scene = Scene::new(config, 1)?;
    let office = IdentityId::new(2000);
    let server = policy([allow(office, Protocol::UDP, ALLOWED, 16)]);
    scene.ready(&[&server])?;
    let _echo = Echo::start(&scene.pods[0], &[ALLOWED])?;
    // A machine at the node that the datapath does not know.
    let outside = Pod::new(&scene.node, 9, 9)?;
    let at = scene.pods[0].id;
    for v6 in [false, true] {
        let to = scene.pods[0].at(v6, ALLOWED);
        let mut talk = Datagrams::udp(&outside, unspecified(v6), to)?;
        assert!(talk.is_silent(1)?);
        let reason = DropReason::POLICY_DENIED;
        let world = if v6 {
            IdentityId::WORLD_IPV6
        } else {
            IdentityId::WORLD_IPV4
        };
        let seen = scene.log.expect("the world's packet", |seen| {
            seen.endpoint == at && seen.outcome == Outcome::Drop(reason) && seen.source == world
        })?;
        assert_eq!(seen.tuple.source.is_ipv6(), v6);
        let block = if v6 { "fd00:9::/32" } else { "10.1.0.0/16" };
        scene.datapath.upsert_prefix(block.parse()?, office)?;
        assert!(talk.answers(2)?, "{block} is known");
        // A longer block takes it away again, from a flow that runs.
        let within = if v6 { "fd00:9::/64" } else { "10.1.9.0/24" };
        scene
            .datapath
            .upsert_prefix(within.parse()?, IdentityId::new(2001))?;
        assert!(talk.is_silent(3)?, "{within} is somebody else's");
        scene.datapath.remove_prefix(within.parse()?)?;
        assert!(talk.answers(4)?, "{within} is gone");
    }
    Ok(())
}

/// Segments that the kernel keeps together, and datagrams that it takes apart.
pub(crate) fn large(config: &Config) -> suite::Outcome {
    let mut scene = Scene::new(config, 2)?;
    let peer = scene.pods[0].identity;
    let server = policy([
        allow(peer, Protocol::TCP, ALLOWED, 101),
        allow(peer, Protocol::UDP, ALLOWED, 102),
        allow(peer, Protocol::ICMP, 8, 103),
        allow(peer, Protocol::ICMPV6, 128, 104),
    ]);
    scene.ready(&[&client(), &server])?;
    let _echo = Echo::start(&scene.pods[1], &[ALLOWED, OTHER])?;
    for v6 in [false, true] {
        let to = scene.pods[1].at(v6, ALLOWED);
        let pod = &scene.pods[0];
        let mut large = Datagrams::udp(pod, unspecified(v6), to)?.padded(6000);
        for mark in 0..20 {
            assert!(large.answers(mark)?, "datagram {mark}, v6 {v6}");
        }
        assert!(Datagrams::ping(pod, to.ip())?.padded(4000).answers(1)?);
        Stream::connect(pod, to)?.echo(16 << 20)?;
        let of_these = |seen: &&Observation| {
            let ends = [seen.tuple.source, seen.tuple.destination];
            ends.contains(&to.ip()) && ends.contains(&pod.at(v6, 0).ip())
        };
        let dropped = |seen: &&Observation| matches!(seen.outcome, Outcome::Drop(_));
        let mut seen = scene.log.all().iter().filter(of_these);
        assert_eq!(seen.find(dropped), None);
        // A fragment without ports is not a way around the policy.
        let other = scene.pods[1].at(v6, OTHER);
        let pod = &scene.pods[0];
        assert!(
            Datagrams::udp(pod, unspecified(v6), other)?
                .padded(6000)
                .is_silent(1)?
        );
    }
    Ok(())
}
