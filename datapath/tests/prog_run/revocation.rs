//! Whatever changes in whatever order: nothing passes that is not allowed at that moment.
//!
//! Random packets between two endpoints, with policies, identities and the
//! endpoints themselves changing in between. `PORIN_SEED` repeats a run,
//! `PORIN_PACKETS` sets its length.

use std::collections::BTreeSet;

use porin_datapath::{Frame, Loader};
use porin_flow::{EndpointId, TcpFlags};
use porin_identity::IdentityId;
use porin_policy::{Direction, EntryAction, MapState, Protocol, Query, Verdict};
use porin_testbed::suite::{Failed, Outcome};

use crate::common::number;
use crate::node::{A, B, Node, at, bare, entry, limits, tcp_port, v4, v6};
use crate::random::Random;

const PACKETS: u64 = 5_000;
const PORTS: [u16; 4] = [80, 81, 4000, 4001];
const NAMES: [IdentityId; 3] = [
    IdentityId::new(1001),
    IdentityId::new(1002),
    IdentityId::new(1003),
];

pub(crate) fn what_is_not_allowed_now_does_not_pass(loader: Loader) -> Outcome {
    let random = Random::announced("revocation");
    let packets = number("PORIN_PACKETS").unwrap_or(PACKETS);
    bare(loader, limits(), |node| {
        let mut world = World::new(node, random)?;
        while world.sent < packets {
            world.step(node)?;
        }
        eprintln!(
            "revocation: {} packets, {} passed both hooks",
            world.sent, world.passed
        );
        assert!(world.passed > world.sent / 20, "it was not all dropped");
        Ok(())
    })
}

/// One packet between the endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Packet {
    from_a: bool,
    ipv6: bool,
    source_port: u16,
    destination_port: u16,
}

impl Packet {
    fn reversed(self) -> Self {
        Self {
            from_a: !self.from_a,
            source_port: self.destination_port,
            destination_port: self.source_port,
            ..self
        }
    }
}

struct World {
    random: Random,
    policies: [MapState; 2],
    names: [IdentityId; 2],
    /// Opened through both hooks since the last change: their answers must pass.
    open: BTreeSet<Packet>,
    sent: u64,
    passed: u64,
}

impl World {
    fn new(node: &mut Node, mut random: Random) -> Result<Self, Failed> {
        let policies = [policy(&mut random), policy(&mut random)];
        let mut world = Self {
            random,
            policies,
            names: [NAMES[0], NAMES[1]],
            open: BTreeSet::new(),
            sent: 0,
            passed: 0,
        };
        world.place(node, A)?;
        world.place(node, B)?;
        Ok(world)
    }

    fn step(&mut self, node: &mut Node) -> Outcome {
        if self.random.chance(8) {
            self.open.clear();
            return self.change(node);
        }
        let packet = self.random_packet();
        let syn = self.random.chance(30);
        let answers = !syn && self.open.contains(&packet.reversed());
        let (left, arrived) = self.send(node, packet, syn);
        self.sent += 1;
        let (source, target) = if packet.from_a { (0, 1) } else { (1, 0) };
        let (from, to) = (packet.source_port, packet.destination_port);
        // At each hook: begun by this packet's sender, or an answer to the other.
        let begins = [
            self.allows(source, Direction::Egress, target, to),
            self.allows(target, Direction::Ingress, source, to),
        ];
        let answered = [
            self.allows(source, Direction::Ingress, target, from),
            self.allows(target, Direction::Egress, source, from),
        ];
        let what = format!(
            "packet {}: {packet:?}, syn {syn}, begins {begins:?}, answered {answered:?}, left {left}, arrived {arrived:?}",
            self.sent
        );
        let fair = |passed: bool, hook: usize| {
            if syn {
                passed == begins[hook]
            } else {
                !passed || begins[hook] || answered[hook]
            }
        };
        let judged_fairly = fair(left, 0) && arrived.is_none_or(|arrived| fair(arrived, 1));
        if !judged_fairly || (answers && arrived != Some(true)) {
            return Err(what.into());
        }
        if syn && left {
            // Whatever the other end had opened on these ports, this is a flow of its own.
            self.open.remove(&packet.reversed());
        }
        if arrived == Some(true) {
            self.passed += 1;
            if syn {
                self.open.insert(packet);
            }
        }
        Ok(())
    }

    fn send(&self, node: &mut Node, packet: Packet, syn: bool) -> (bool, Option<bool>) {
        let (from, to) = if packet.from_a { (A, B) } else { (B, A) };
        let address = |id| if packet.ipv6 { v6(id) } else { v4(id) };
        let flags = if syn { TcpFlags::SYN } else { TcpFlags::ACK };
        let source = at(address(from), packet.source_port);
        let frame = Frame::tcp(source, at(address(to), packet.destination_port), flags);
        let left = node.leave(from, &frame);
        let arrived = left
            .passed
            .then(|| node.arrive(to, &frame, left.mark).passed);
        (left.passed, arrived)
    }

    /// Another policy, another name, or another endpoint in the place of one.
    fn change(&mut self, node: &mut Node) -> Outcome {
        let id = self.random.pick(&[A, B]);
        let at = usize::from(id == B);
        match self.random.below(4) {
            0 | 1 => {
                self.policies[at] = policy(&mut self.random);
                node.datapath.install(&[(id, &self.policies[at])])?;
            }
            2 => {
                self.names[at] = self.random.pick(&NAMES);
                node.datapath.set_identity(id, self.names[at])?;
            }
            _ => {
                node.datapath.remove_endpoint(id)?;
                self.names[at] = self.random.pick(&NAMES);
                if self.random.chance(50) {
                    self.policies[at] = policy(&mut self.random);
                }
                self.place(node, id)?;
            }
        }
        Ok(())
    }

    fn place(&mut self, node: &mut Node, id: EndpointId) -> Outcome {
        let at = usize::from(id == B);
        let mut spec = node.spec(id);
        spec.identity = self.names[at];
        node.datapath.add_endpoint(spec)?;
        node.datapath.install(&[(id, &self.policies[at])])?;
        Ok(node.datapath.set_ready(id)?)
    }

    fn allows(&self, of: usize, direction: Direction, peer: usize, port: u16) -> bool {
        let query = Query {
            direction,
            peer: self.names[peer],
            protocol: Protocol::TCP,
            port,
        };
        let found = self.policies[of].lookup(&query);
        found.is_some_and(|(_, entry)| entry.action.verdict() == Verdict::Allow)
    }

    fn random_packet(&mut self) -> Packet {
        let open: Vec<_> = self.open.iter().copied().collect();
        if !open.is_empty() && self.random.chance(40) {
            let packet = self.random.pick(&open);
            return if self.random.chance(50) {
                packet
            } else {
                packet.reversed()
            };
        }
        Packet {
            from_a: self.random.chance(50),
            ipv6: self.random.chance(30),
            source_port: self.random.pick(&PORTS),
            destination_port: self.random.pick(&PORTS),
        }
    }
}

/// Any mixture of allowances and denials by name and port, or by port alone.
fn policy(random: &mut Random) -> MapState {
    let mut entries = Vec::new();
    for direction in Direction::ALL {
        for peer in NAMES.into_iter().chain([IdentityId::UNKNOWN]) {
            for port in PORTS {
                if random.chance(40) {
                    let allow = random.chance(70);
                    let action = if allow {
                        EntryAction::Allow
                    } else {
                        EntryAction::Deny
                    };
                    let cookie = u32::try_from(16 + random.below(1000)).expect("small");
                    entries.push(entry(direction, peer, tcp_port(port), action, cookie));
                }
            }
        }
    }
    entries.into_iter().collect()
}
