//! The exchange of a policy of ten thousand entries, under packets that come without a pause.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use porin_datapath::{Events, Frame, Hook, HookProgram, Limits, Loader, TestPacket};
use porin_flow::{Observation, Outcome as Fate, TcpFlags};
use porin_identity::IdentityId;
use porin_policy::{Direction, EntryAction, MapState, RuleCookie};
use porin_testbed::suite::{Failed, Outcome};

use crate::common::number;
use crate::node::{A, at, bare, entry, limits, tcp_port, v4};
use crate::random::Random;

const SWAPS: u64 = 5;
/// So many peers times so many ports are the entries.
const SIDE: u16 = 100;
const FIRST_PORT: u16 = 1000;
/// The rules that all entries of either policy name.
const RULES: [RuleCookie; 2] = [RuleCookie::new(100), RuleCookie::new(200)];

fn peer(number: u16) -> IpAddr {
    Ipv4Addr::from(0x0a09_0000 + u32::from(number)).into()
}

/// Whether a policy of the two lets through what goes to this peer and port: each allows what the
/// other denies.
fn allows(policy: usize, peer: u16, port: u16) -> bool {
    (usize::from(peer + port) + policy).is_multiple_of(2)
}

fn policy(which: usize) -> MapState {
    let all =
        (0..SIDE).flat_map(|peer| (FIRST_PORT..FIRST_PORT + SIDE).map(move |port| (peer, port)));
    let rule = |(peer, port)| {
        let action = if allows(which, peer, port) {
            EntryAction::Allow
        } else {
            EntryAction::Deny
        };
        let name = IdentityId::new(2000 + u32::from(peer));
        entry(
            Direction::Egress,
            name,
            tcp_port(port),
            action,
            RULES[which].get(),
        )
    };
    all.map(rule).collect()
}

/// What was told, and under which epoch it was which policy's.
#[derive(Default)]
struct Heard {
    packets: u64,
    mixed: Vec<Observation>,
    epochs: BTreeMap<u32, RuleCookie>,
}

impl Heard {
    /// A packet is judged by one policy as a whole: one rule an epoch, and what that policy says.
    fn hear(&mut self, told: Observation) {
        self.packets += 1;
        let IpAddr::V4(to) = told.tuple.destination else {
            return self.mixed.push(told);
        };
        let [_, _, _, peer] = to.octets();
        let rule = *self.epochs.entry(told.epoch).or_insert(told.cookie);
        let which = RULES.iter().position(|cookie| *cookie == told.cookie);
        let allowed = told.outcome == Fate::Forward;
        let port = told.tuple.destination_port;
        let whole = which.is_some_and(|which| allows(which, peer.into(), port) == allowed);
        if rule != told.cookie || !whole {
            self.mixed.push(told);
        }
    }
}

/// Packets to every peer and port, of flows that run and of new ones, until told to stop.
fn storm(program: &HookProgram, ifindex: u32, mut random: Random, stop: &AtomicBool) -> u64 {
    let mut sent = 0;
    while !stop.load(Ordering::Acquire) {
        let draw = |random: &mut Random| u16::try_from(random.below(SIDE.into())).expect("small");
        let (to, port) = (peer(draw(&mut random)), FIRST_PORT + draw(&mut random));
        let source = 40_000 + u16::from(random.chance(50));
        let flags = random.pick(&[TcpFlags::SYN, TcpFlags::ACK, TcpFlags::ACK]);
        let frame = Frame::tcp(at(v4(A), source), at(to, port), flags);
        let packet = TestPacket {
            bytes: frame.bytes(),
            ifindex,
            mark: 0,
        };
        program.run(&packet, 1).expect("the program runs");
        sent += 1;
    }
    sent
}

fn listen(events: &mut Events, stop: &AtomicBool) -> Heard {
    let mut heard = Heard::default();
    while !stop.load(Ordering::Acquire) {
        events.drain(|told| heard.hear(told));
        thread::sleep(Duration::from_micros(500));
    }
    events.drain(|told| heard.hear(told));
    heard
}

pub(crate) fn of_ten_thousand_entries_is_atomic(loader: Loader) -> Outcome {
    let swaps = number("PORIN_SWAPS").unwrap_or(SWAPS);
    let random = Random::announced("swap");
    let large = Limits {
        policy_entries: u32::from(SIDE) * u32::from(SIDE),
        flows: 65_536,
        ring_bytes: 1 << 24,
        ..limits()
    };
    bare(loader, large, |node| {
        node.add(A)?;
        for number in 0..SIDE {
            let name = IdentityId::new(2000 + u32::from(number));
            node.datapath.upsert_prefix(peer(number).into(), name)?;
        }
        let policies = [0, 1].map(policy);
        node.datapath.install(&[(A, &policies[0])])?;
        node.datapath.set_ready(A)?;
        let (program, ifindex) = (node.datapath.program(Hook::FromEndpoint)?, node.devices[0]);
        let (sending, listening) = (AtomicBool::new(false), AtomicBool::new(false));
        let (datapath, events) = (&mut node.datapath, &mut node.events);
        let mut installed = BTreeMap::new();
        let (sent, heard) = thread::scope(|scope| -> Result<_, Failed> {
            // A thread is born into the namespace of its parent.
            let sender = scope.spawn(|| storm(&program, ifindex, random, &sending));
            let listener = scope.spawn(|| listen(events, &listening));
            let swapped = (1..=swaps).try_for_each(|round| {
                let which = usize::from(round % 2 == 1);
                datapath.install(&[(A, &policies[which])])?;
                let epoch = datapath.endpoints()[0].epoch;
                installed.insert(u32::try_from(epoch)?, RULES[which]);
                // So long that the storm meets it.
                thread::sleep(Duration::from_millis(2));
                Ok::<_, Failed>(())
            });
            sending.store(true, Ordering::Release);
            let sent = sender.join().map_err(|_| "the sender panicked")?;
            listening.store(true, Ordering::Release);
            let heard = listener.join().map_err(|_| "the listener panicked")?;
            swapped.map(|()| (sent, heard))
        })?;
        eprintln!(
            "swap: {swaps} swaps of 10,000 entries, {sent} packets, {} told, {} judged by a mixture",
            heard.packets,
            heard.mixed.len()
        );
        assert_eq!(node.events.lost()?.total(), 0, "everything was heard");
        assert_eq!(heard.mixed, []);
        for (epoch, rule) in &heard.epochs {
            assert!(
                installed
                    .get(epoch)
                    .is_none_or(|installed| installed == rule)
            );
        }
        let met = heard.epochs.len() as u64;
        assert!(met > swaps / 2, "only {met} of {swaps} policies were met");
        Ok(())
    })
}
