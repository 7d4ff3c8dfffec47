//! Changes of policy, name and place, under connections that run.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use porin_datapath::{ApplyError, Config, Limits};
use porin_flow::{DropReason, EndpointId, Observation, Outcome};
use porin_identity::IdentityId;
use porin_policy::{Direction, MapState, Protocol, RuleCookie};
use porin_testbed::suite;

use crate::common::{Failure, number};
use crate::scene::{Entry, Pod, Scene, allow, allow_egress, client, deny, policy};
use crate::traffic::{Datagrams, Download, Echo, Stream, Talk, unspecified};

const PORT: u16 = 8080;
const DOWNLOAD: u16 = 8081;

/// A change that is about a stream stops it with its next packet, in both
/// directions; a change that is about others does not cost it one.
pub(crate) fn stream(config: &Config) -> suite::Outcome {
    let mut scene = Scene::new(config, 2)?;
    let peer = scene.pods[0].identity;
    let rules = [
        allow(peer, Protocol::TCP, PORT, 101),
        allow(peer, Protocol::TCP, DOWNLOAD, 101),
    ];
    let others = allow(IdentityId::new(1999), Protocol::TCP, 9999, 102);
    let (with, without) = (policy(rules), policy([others]));
    let unrelated = policy(rules.into_iter().chain([others]));
    scene.ready(&[&client(), &with])?;
    let _echo = Echo::start(&scene.pods[1], &[PORT])?;
    let at = scene.pods[1].id;
    for v6 in [false, true] {
        let mut upload = Stream::connect(&scene.pods[0], scene.pods[1].at(v6, PORT))?;
        let download = Download::start(&scene.pods[0], &scene.pods[1], v6, DOWNLOAD)?;
        assert!(upload.answers(1)?);
        scene.log.clear();
        for round in 0..10 {
            let next = if round % 2 == 0 { &unrelated } else { &with };
            scene.install(1, next)?;
            assert!(upload.answers(2 + round)?);
            assert!(download.goes_on());
        }
        let dropped = |seen: &Observation| matches!(seen.outcome, Outcome::Drop(_));
        assert!(
            !scene.log.all().iter().any(dropped),
            "{:#?}",
            scene.log.all()
        );

        scene.install(1, &without)?;
        assert!(upload.is_silent(20)?);
        let reason = DropReason::POLICY_DENIED;
        scene.log.expect_drop(at, Direction::Ingress, reason)?;
        assert!(download.has_stopped());
        // Nothing was reset: as soon as it is allowed again it goes on.
        scene.install(1, &with)?;
        assert!(upload.answers(21)?);
        assert!(download.goes_on());
    }
    Ok(())
}

/// A pod that is another from now on keeps nothing of what it had.
pub(crate) fn relabel(config: &Config) -> suite::Outcome {
    let mut scene = Scene::new(config, 2)?;
    let (id, identity) = (scene.pods[0].id, scene.pods[0].identity);
    let server = policy([
        allow(identity, Protocol::TCP, PORT, 101),
        allow(identity, Protocol::UDP, PORT, 102),
    ]);
    scene.ready(&[&client(), &server])?;
    let _echo = Echo::start(&scene.pods[1], &[PORT])?;
    let at = scene.pods[1].id;
    let mut stream = Stream::connect(&scene.pods[0], scene.pods[1].at(false, PORT))?;
    let to = scene.pods[1].at(true, PORT);
    let mut datagrams = Datagrams::udp(&scene.pods[0], unspecified(true), to)?;
    assert!(stream.answers(1)? && datagrams.answers(1)?);
    let renamed = IdentityId::new(1999);
    scene.datapath.set_identity(id, renamed)?;
    assert!(stream.is_silent(2)? && datagrams.is_silent(2)?);
    let seen = scene.log.expect("the renamed pod's drop", |seen| {
        seen.endpoint == at && seen.outcome == Outcome::Drop(DropReason::POLICY_DENIED)
    })?;
    assert_eq!(seen.source, renamed);
    scene.datapath.set_identity(id, identity)?;
    assert!(stream.answers(3)? && datagrams.answers(3)?);
    // The other end's name counts as much.
    let friend = policy([allow_egress(scene.pods[1].identity)]);
    scene.install(0, &friend)?;
    assert!(stream.answers(4)?);
    scene.datapath.set_identity(at, renamed)?;
    assert!(stream.is_silent(5)?);
    let reason = DropReason::POLICY_DENIED;
    scene.log.expect_drop(id, Direction::Egress, reason)?;
    Ok(())
}

/// Another pod on the same address: neither may it do what the one before it
/// might, nor do others reach it as that one.
pub(crate) fn replaced(config: &Config) -> suite::Outcome {
    let mut scene = Scene::new(config, 3)?;
    let (visitor, before, backend) = (0, 1, 2);
    let identity = scene.pods[before].identity;
    let everybody = allow(IdentityId::UNKNOWN, Protocol::UDP, PORT, 101);
    let to_before = policy([allow_egress(identity)]);
    let open = policy([everybody, allow_egress(IdentityId::UNKNOWN)]);
    let only_before = policy([allow(identity, Protocol::UDP, PORT, 102)]);
    scene.ready(&[&to_before, &open, &only_before])?;
    let _backend = Echo::start(&scene.pods[backend], &[PORT])?;
    let place = scene.pods[before].at(false, PORT);
    let to_backend = scene.pods[backend].at(false, PORT);

    let mut visit = Datagrams::udp(&scene.pods[visitor], unspecified(false), place)?;
    let mut access = Datagrams::udp(&scene.pods[before], unspecified(false), to_backend)?;
    let port = access.port()?;
    {
        let _echo = Echo::start(&scene.pods[before], &[PORT])?;
        assert!(visit.answers(1)?);
        assert!(access.answers(1)?);
    }
    drop(access);
    let gone = scene.pods[before].id;
    scene.datapath.remove_endpoint(gone)?;
    scene.node.delete("pod2")?;
    scene.log.clear();

    let next = Pod::new(&scene.node, 9, 2)?;
    assert_eq!(next.v4, place.ip());
    scene
        .node
        .run(|| scene.datapath.add_endpoint(next.spec()))??;
    let _echo = Echo::start(&next, &[PORT])?;
    // The same flow, to the byte, from the first packet on.
    let from = next.at(false, port);
    let mut access = Datagrams::bound(&next, from, to_backend)?;
    assert!(access.is_silent(2)?);
    let reason = DropReason::NOT_READY;
    scene.log.expect_drop(next.id, Direction::Egress, reason)?;
    scene.datapath.install(&[(next.id, &open)])?;
    scene.datapath.set_ready(next.id)?;
    assert!(access.is_silent(3)?);
    let reason = DropReason::POLICY_DENIED;
    let at = scene.pods[backend].id;
    let seen = scene.log.expect_drop(at, Direction::Ingress, reason)?;
    assert_eq!(seen.source, next.identity);
    assert_eq!(seen.tuple.source_port, port);
    // Nor does the visitor reach it on the flow that it had.
    assert!(visit.is_silent(4)?);
    let at = scene.pods[visitor].id;
    let seen = scene.log.expect_drop(at, Direction::Egress, reason)?;
    assert_eq!(seen.destination, next.identity);
    Ok(())
}

/// A server whose policy is as large as its table, and what was seen of it.
struct Full {
    scene: Scene,
    allowed: Datagrams,
    denied: Datagrams,
    in_force: Vec<Entry>,
}

impl Full {
    fn new(config: &Config) -> Result<Self, Failure> {
        let limits = Limits {
            policy_entries: 4,
            policies: 3,
            addresses: 6,
            ..config.limits
        };
        let config = Config {
            limits,
            ..config.clone()
        };
        let mut scene = Scene::new(&config, 2)?;
        // All of the table but one entry.
        let old = ports(&scene, PORT - 2..PORT + 1);
        scene.ready(&[&client(), &old])?;
        let talk = |port| {
            let to = scene.pods[1].at(false, port);
            Datagrams::udp(&scene.pods[0], unspecified(false), to)
        };
        let (allowed, denied) = (talk(PORT)?, talk(PORT + 1)?);
        Ok(Self {
            allowed,
            denied,
            in_force: scene.datapath.policy(scene.pods[1].id)?,
            scene,
        })
    }

    fn is_as_before(&mut self) -> Result<bool, Failure> {
        let now = self.scene.datapath.policy(self.scene.pods[1].id)?;
        Ok(now == self.in_force && self.allowed.answers(1)? && self.denied.is_silent(1)?)
    }
}

/// A policy that lets the first pod use these ports, each by a rule of its own.
fn ports(scene: &Scene, ports: std::ops::Range<u16>) -> MapState {
    let peer = scene.pods[0].identity;
    policy(ports.map(|port| allow(peer, Protocol::UDP, port, port.into())))
}

/// What does not fit is refused, and what was in force stays.
pub(crate) fn full(config: &Config) -> suite::Outcome {
    let mut full = Full::new(config)?;
    let _echo = Echo::start(&full.scene.pods[1], &[PORT, PORT + 1])?;
    assert!(full.is_as_before()?);
    let [first, id] = [0, 1].map(|place: usize| full.scene.pods[place].id);
    let large = ports(&full.scene, PORT + 1..PORT + 6);
    let refused = full.scene.datapath.install(&[(id, &large)]);
    let Err(ApplyError::Capacity {
        needed, capacity, ..
    }) = refused
    else {
        return Err(format!("{refused:?}").into());
    };
    assert_eq!((needed, capacity), (5, 4));
    assert!(full.is_as_before()?);
    // One that fits, together with one that does not: neither.
    let fits = ports(&full.scene, PORT + 1..PORT + 2);
    let refused = full.scene.datapath.install(&[(id, &fits), (first, &large)]);
    assert!(
        matches!(refused, Err(ApplyError::Capacity { .. })),
        "{refused:?}"
    );
    assert!(full.is_as_before()?);
    // Of six addresses, four are the pods' own.
    let office = Some(IdentityId::new(2000));
    let blocks: Vec<_> = ["192.0.2.1/32", "192.0.2.2/32", "192.0.2.3/32"]
        .iter()
        .map(|block| Ok((block.parse()?, office)))
        .collect::<Result<_, Failure>>()?;
    let refused = full.scene.datapath.apply_prefixes(&blocks);
    assert!(
        matches!(refused, Err(ApplyError::Capacity { .. })),
        "{refused:?}"
    );
    assert_eq!(full.scene.datapath.prefixes().count(), 0);
    full.scene.datapath.apply_prefixes(&blocks[..2])?;
    assert!(full.is_as_before()?);
    Ok(())
}

/// The ports of the storm; every one has an entry in either of the two policies that take turns.
const STORM: std::ops::Range<u16> = 20_000..30_000;
const SWAPS: u64 = 10;

/// Which of the two lets this port be used; the other denies it.
fn half(port: u16) -> usize {
    usize::from(port % 2)
}

/// The rule that a policy of the two names.
fn rule(half: usize) -> RuleCookie {
    RuleCookie::new(if half == 0 { 100 } else { 200 })
}

fn half_open(peer: IdentityId, which: usize) -> MapState {
    policy(STORM.map(|port| {
        let entry = if half(port) == which { allow } else { deny };
        entry(peer, Protocol::UDP, port, rule(which).get())
    }))
}

/// Sends to every port in turn, without a pause, while `work` runs.
fn under_storm<R>(
    sender: &UdpSocket,
    to: IpAddr,
    work: impl FnOnce() -> Result<R, Failure>,
) -> Result<R, Failure> {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let sending = scope.spawn(|| {
            // In large steps, so that every moment meets ports of all parts.
            for port in (0_usize..)
                .map(|n| STORM.start + u16::try_from(n * 37 % STORM.len()).expect("a port"))
            {
                if stop.load(Ordering::Acquire) {
                    break;
                }
                // Nobody listens: what is heard of that is not an answer to this packet.
                let _ = sender.send_to(&[7], (to, port));
                thread::sleep(Duration::from_micros(20));
            }
        });
        let done = work();
        stop.store(true, Ordering::Release);
        sending.join().map_err(|_| "the sender panicked")?;
        done
    })
}

/// The epoch of the server's policy.
fn epoch(scene: &Scene) -> Result<u32, Failure> {
    let (dumps, id) = (scene.datapath.endpoints(), scene.pods[1].id);
    let dump = dumps.iter().find(|dump| dump.spec.id == id);
    Ok(u32::try_from(dump.ok_or("no such endpoint")?.epoch)?)
}

/// Under a storm of packets and of changes, every packet is judged by one
/// policy as a whole: the one that its epoch names.
pub(crate) fn swap(config: &Config) -> suite::Outcome {
    let limits = Limits {
        policy_entries: 10_000,
        flows: 65_536,
        ring_bytes: 1 << 24,
        ..config.limits
    };
    let config = Config {
        limits,
        ..config.clone()
    };
    let mut scene = Scene::new(&config, 2)?;
    let peer = scene.pods[0].identity;
    let policies = [0, 1].map(|which| half_open(peer, which));
    scene.ready(&[&client(), &policies[0]])?;
    let sender = scene.pods[0]
        .namespace
        .run(|| UdpSocket::bind((unspecified(false), 0)))??;
    let (swaps, id, to) = (
        number("PORIN_SWAPS").unwrap_or(SWAPS),
        scene.pods[1].id,
        scene.pods[1].v4,
    );
    let mut halves = BTreeMap::from([(epoch(&scene)?, 0)]);
    let (mut judged, mut epochs) = (0_u64, BTreeSet::new());
    under_storm(&sender, to, || {
        for round in 1..=swaps {
            let which = usize::from(round % 2 == 1);
            scene.install(1, &policies[which])?;
            let epoch = epoch(&scene)?;
            halves.insert(epoch, which);
            // The storm meets every policy, or nothing was tried.
            let met = |seen: &Observation| is_of_storm(seen, id) && seen.epoch == epoch;
            scene.log.expect("a packet under the new policy", met)?;
            judged += check(scene.log.all(), id, &halves)?;
            epochs.insert(epoch);
            scene.log.forget();
        }
        Ok(())
    })?;
    judged += check(scene.log.all(), id, &halves)?;
    eprintln!(
        "swap: {swaps} swaps of 10,000 entries, {judged} real packets told, 0 judged by a mixture"
    );
    assert_eq!(scene.log.lost()?, 0, "everything was heard");
    assert!(
        epochs.len() as u64 >= swaps,
        "{} of {swaps} epochs",
        epochs.len()
    );
    Ok(())
}

/// That each packet was judged by the policy whose epoch it names; how many they were.
fn check(
    told: &[Observation],
    server: EndpointId,
    halves: &BTreeMap<u32, usize>,
) -> Result<u64, Failure> {
    let mut judged = 0;
    for seen in told.iter().filter(|seen| is_of_storm(seen, server)) {
        let which = *halves
            .get(&seen.epoch)
            .ok_or("an epoch that was never installed")?;
        let outcome = if half(seen.tuple.destination_port) == which {
            Outcome::Forward
        } else {
            Outcome::Drop(DropReason::POLICY_DENY)
        };
        let expected = (outcome, rule(which));
        assert_eq!((seen.outcome, seen.cookie), expected, "{seen:?}");
        judged += 1;
    }
    Ok(judged)
}

/// Whether this was said of a packet of the storm at the server, not of the neighbours' talk.
fn is_of_storm(seen: &Observation, server: EndpointId) -> bool {
    (seen.endpoint, seen.direction) == (server, Direction::Ingress)
        && seen.tuple.protocol == Protocol::UDP
        && STORM.contains(&seen.tuple.destination_port)
}
