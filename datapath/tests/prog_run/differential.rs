//! The kernel's table lookup against [`MapState::lookup`], on random policies and packets.
//!
//! `PORIN_SEED` repeats a run, `PORIN_PACKETS` sets its length.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use ipnet::IpNet;
use porin_datapath::{Frame, Hook, Limits, Loader, TestPacket};
use porin_flow::{DropReason, Observation, Outcome, PolicyMatch, TcpFlags};
use porin_identity::IdentityId;
use porin_policy::{
    Direction, EntryAction, MapEntry, MapKey, MapState, Parser, PortPrefix, Precedence, Protocol,
    Query, Redirect, RuleCookie,
};
use porin_testbed::suite::{Failed, Outcome as TestOutcome};

use crate::common::number;
use crate::node::{A, B, ID_B, Node, at, bare, everything, limits, v4, v6};
use crate::random::Random;

const PACKETS: u64 = 100_000;
const PACKETS_PER_POLICY: u64 = 2_000;
const REMEMBERED: usize = 64;
/// After so many packets, or so long, flows are forgotten: else the table fills and the first of them
/// give way, or they end in silence.
const PACKETS_PER_TABLE: u64 = 50_000;
const PATIENCE: Duration = Duration::from_secs(20);
/// Source ports lie here and destination ports do not, so that no two flows are each other's answers.
const SOURCE_PORTS: std::ops::Range<u16> = 50_000..60_000;

pub(crate) fn kernel_and_map_state_agree(loader: Loader) -> TestOutcome {
    let random = Random::announced("differential");
    let packets = number("PORIN_PACKETS").unwrap_or(PACKETS);
    let roomy = Limits {
        flows: 65_536,
        ..limits()
    };
    bare(loader, roomy, |node| {
        let mut trial = Trial::prepare(node, random)?;
        while trial.judged < packets {
            trial.policy_round(node)?;
        }
        eprintln!("differential: {}", trial.summary());
        assert!(
            trial.counts.len() >= 5,
            "every verdict was met: {:?}",
            trial.counts
        );
        Ok(())
    })
}

/// Somebody at the far end.
#[derive(Clone, Copy, Debug)]
struct Peer {
    identity: IdentityId,
    address: IpAddr,
    mark: u32,
}

/// A packet that begins a flow, and the question that it asks.
#[derive(Clone, Copy, Debug)]
struct Opening {
    query: Query,
    peer: Peer,
    source_port: u16,
}

struct Trial {
    random: Random,
    peers: Vec<Peer>,
    ports: Vec<u16>,
    state: MapState,
    next_source: u16,
    remembered: Vec<Opening>,
    judged: u64,
    forget_at: u64,
    forgot: Instant,
    counts: BTreeMap<String, u64>,
}

impl Trial {
    fn prepare(node: &mut Node, mut random: Random) -> Result<Self, Failed> {
        for id in [A, B] {
            node.add(id)?;
            node.datapath.install(&[(id, &everything(16))])?;
            node.datapath.set_ready(id)?;
        }
        let peers = peers(node, &mut random)?;
        let ports = (0..12).map(|_| port(&mut random)).collect();
        Ok(Self {
            random,
            peers,
            ports,
            state: everything(16),
            next_source: SOURCE_PORTS.start,
            remembered: Vec::new(),
            judged: 0,
            forget_at: PACKETS_PER_TABLE,
            forgot: Instant::now(),
            counts: BTreeMap::new(),
        })
    }

    /// A new policy; what was allowed before obeys it, whichever way it goes; then new flows.
    fn policy_round(&mut self, node: &mut Node) -> Result<(), Failed> {
        if self.judged >= self.forget_at || self.forgot.elapsed() > PATIENCE {
            self.forgot = Instant::now();
            self.forget_at = self.judged + PACKETS_PER_TABLE;
            node.datapath.clear_flows()?;
            self.remembered.clear();
        }
        self.change_policy(node)?;
        for opening in self.remembered.clone() {
            let answer = opening.has_answer() && self.random.chance(50);
            self.judge(node, opening, answer, TcpFlags::ACK)?;
        }
        for _ in 0..PACKETS_PER_POLICY {
            let opening = self.random_opening();
            if self.judge(node, opening, false, TcpFlags::SYN)? && self.random.chance(5) {
                self.remembered.push(opening);
            }
        }
        let excess = self.remembered.len().saturating_sub(REMEMBERED);
        self.remembered.drain(..excess);
        Ok(())
    }

    /// A table is edited where it can be, and replaced where it cannot.
    fn change_policy(&mut self, node: &mut Node) -> Result<(), Failed> {
        let next = match self.random.chance(50) {
            true => self.random_edit(),
            false => self.random_state(),
        };
        let changes = next.diff(&self.state);
        let amended = node.datapath.amend(&[(A, &changes)])?;
        if amended.left.is_empty() {
            let held: MapState = node.datapath.policy(A)?.into_iter().collect();
            assert_eq!(held, next, "what the kernel holds after an edit");
        } else {
            node.datapath.install(&[(A, &next)])?;
        }
        self.state = next;
        Ok(())
    }

    /// The same policy with other entries of some single peers.
    fn random_edit(&mut self) -> MapState {
        let mut entries: Vec<_> = self.state.iter().collect();
        entries.retain(|(key, _)| key.identity == IdentityId::UNKNOWN || self.random.chance(70));
        for _ in 0..self.random.below(10) {
            let (mut key, entry) = self.random_entry();
            if key.identity == IdentityId::UNKNOWN {
                key.identity = self.random.pick(&self.peers).identity;
            }
            entries.push((key, entry));
        }
        entries.into_iter().collect()
    }

    /// Gives the kernel one packet and compares. `true` if it passed.
    fn judge(
        &mut self,
        node: &mut Node,
        opening: Opening,
        answer: bool,
        flags: TcpFlags,
    ) -> Result<bool, Failed> {
        let frame = opening.frame(answer, flags);
        let (hook, mark) = if (opening.query.direction == Direction::Egress) != answer {
            (Hook::FromEndpoint, 0)
        } else {
            (Hook::ToEndpoint, opening.peer.mark)
        };
        let packet = TestPacket {
            bytes: frame.bytes(),
            ifindex: node.devices[0],
            mark,
        };
        let run = node.datapath.run(hook, &packet, 1)?;
        let mut told = None;
        node.events.drain(|observation| told = Some(observation));
        let found = self.state.lookup(&opening.query);
        let reason = expected(&opening.query, found);
        let agrees = run.passed == reason.is_none()
            && told.is_none_or(|told| explains(&told, found, reason))
            && (run.passed || told.is_some());
        if !agrees {
            let state = &self.state;
            return Err(format!(
                "packet {}: {opening:?} answer {answer}: expected {reason:?} by {found:?}, \
                 kernel passed {}, told {told:?}, policy {state:?}",
                self.judged, run.passed
            )
            .into());
        }
        self.judged += 1;
        let name = reason.map_or("forwarded", |reason| reason.name());
        *self.counts.entry(name.to_owned()).or_default() += 1;
        Ok(run.passed)
    }

    fn random_opening(&mut self) -> Opening {
        let peer = self.random.pick(&self.peers);
        let ipv4 = peer.address.is_ipv4();
        let protocol = match self.random.below(10) {
            0..4 => Protocol::TCP,
            4..7 => Protocol::UDP,
            7 => Protocol::SCTP,
            8 => self.random.pick(&[Protocol::new(47), Protocol::new(50)]),
            _ if ipv4 => Protocol::ICMP,
            _ => Protocol::ICMPV6,
        };
        let port = match protocol {
            Protocol::ICMP => self.random.pick(&[0, 3, 5, 8, 8, 11, 12, 13, 17]),
            Protocol::ICMPV6 => self.random.pick(&[1, 2, 4, 100, 128, 128, 129, 139, 151]),
            Protocol::TCP | Protocol::UDP | Protocol::SCTP => self.random_port(),
            _ => 0,
        };
        self.next_source += 1;
        if !SOURCE_PORTS.contains(&self.next_source) {
            self.next_source = SOURCE_PORTS.start;
        }
        // Without ports, all packets of a protocol between two hosts are one flow:
        // each such protocol goes one way here.
        let direction = match protocol.get() {
            47 => Direction::Egress,
            50 => Direction::Ingress,
            _ => self.random.pick(&Direction::ALL),
        };
        let query = Query {
            direction,
            peer: peer.identity,
            protocol,
            port,
        };
        Opening {
            query,
            peer,
            source_port: self.next_source,
        }
    }

    fn random_port(&mut self) -> u16 {
        let known = self.random.pick(&self.ports);
        match self.random.below(4) {
            0 => port(&mut self.random),
            // Near one that the policy names, to hit the edges of its blocks.
            1 => {
                let near = known ^ (1 << self.random.below(8));
                if SOURCE_PORTS.contains(&near) {
                    known
                } else {
                    near
                }
            }
            _ => known,
        }
    }

    fn random_state(&mut self) -> MapState {
        let entries = self.random.below(80);
        (0..entries).map(|_| self.random_entry()).collect()
    }

    fn random_entry(&mut self) -> (MapKey, MapEntry) {
        let identity = if self.random.chance(35) {
            IdentityId::UNKNOWN
        } else {
            self.random.pick(&self.peers).identity
        };
        let protocols = [6, 6, 6, 17, 17, 132, 1, 58, 47, 0].map(Protocol::new);
        let protocol = self.random.pick(&protocols);
        let bits = self.random.pick(&[0, 0, 4, 9, 12, 13, 15, 16, 16, 16]);
        let port = match protocol {
            Protocol::TCP | Protocol::UDP | Protocol::SCTP => {
                PortPrefix::new(self.random_port(), bits)
            }
            Protocol::ICMP | Protocol::ICMPV6 if bits > 0 => {
                PortPrefix::exact(self.random.pick(&[0, 1, 3, 8, 11, 13, 128, 129, 139]))
            }
            _ => PortPrefix::ALL,
        };
        let redirect = |unrestricted| {
            EntryAction::Redirect(Redirect {
                parser: Parser::Http,
                unrestricted,
            })
        };
        let actions = [EntryAction::Allow, EntryAction::Allow, EntryAction::Deny];
        let action = match self.random.below(8) {
            0 => redirect(false),
            1 => redirect(true),
            _ => self.random.pick(&actions),
        };
        let level = u32::try_from(self.random.below(3)).expect("small");
        let rank = self.random.pick(&[1, 1, 1, 155, 255]);
        let key = MapKey {
            direction: self.random.pick(&Direction::ALL),
            identity,
            protocol,
            port,
        };
        let entry = MapEntry {
            auth: porin_policy::AuthMode::Disabled,
            action,
            precedence: Precedence::compose(level, rank),
            cookie: RuleCookie::new(u32::try_from(16 + self.random.below(1 << 20)).expect("small")),
        };
        (key, entry)
    }

    fn summary(&self) -> String {
        let parts: Vec<_> = self
            .counts
            .iter()
            .map(|(name, n)| format!("{name} {n}"))
            .collect();
        format!("{} packets agree: {}", self.judged, parts.join(", "))
    }
}

impl Opening {
    /// Of ICMP only a request for an echo is answered within its flow.
    fn has_answer(&self) -> bool {
        match self.query.protocol {
            Protocol::ICMP => self.query.port == 8,
            Protocol::ICMPV6 => self.query.port == 128,
            _ => true,
        }
    }

    /// The packet, or the answer to it.
    fn frame(&self, answer: bool, flags: TcpFlags) -> Frame {
        let own = if self.peer.address.is_ipv4() {
            v4(A)
        } else {
            v6(A)
        };
        let (from, to) = match self.query.direction {
            Direction::Egress => (own, self.peer.address),
            Direction::Ingress => (self.peer.address, own),
        };
        let [high, low] = self.source_port.to_be_bytes();
        let (mut source, mut destination) = (at(from, self.source_port), at(to, self.query.port));
        if answer {
            std::mem::swap(&mut source, &mut destination);
        }
        match self.query.protocol {
            Protocol::TCP => Frame::tcp(source, destination, flags),
            Protocol::UDP => Frame::udp(source, destination),
            Protocol::SCTP => Frame::sctp(source, destination),
            Protocol::ICMP | Protocol::ICMPV6 => {
                let asked = u8::try_from(self.query.port).expect("a type");
                let kind = match (answer, asked) {
                    (true, 8) => 0,
                    (true, 128) => 129,
                    _ => asked,
                };
                let (from, to) = if answer { (to, from) } else { (from, to) };
                // Answers that nobody asked for must not be taken for some flow's.
                let high = if matches!(asked, 0 | 129) {
                    high ^ 0x80
                } else {
                    high
                };
                Frame::icmp(from, to, kind, 0, &[high, low, 0, 1])
            }
            other => Frame::ip(source.ip(), destination.ip(), other, &[0; 8]),
        }
    }
}

fn port(random: &mut Random) -> u16 {
    loop {
        let port = u16::try_from(random.below(1 << 16)).expect("16 bits");
        if !SOURCE_PORTS.contains(&port) {
            return port;
        }
    }
}

/// Exact addresses, blocks, the neighbour, the host and the world, in both families.
fn peers(node: &mut Node, random: &mut Random) -> Result<Vec<Peer>, Failed> {
    let mut peers = Vec::new();
    let mut know = |net: IpNet, address: IpAddr, identity: IdentityId| {
        peers.push(Peer {
            identity,
            address,
            mark: 0,
        });
        node.datapath.upsert_prefix(net, identity)
    };
    for n in 0..8_u8 {
        let identity = IdentityId::new(u32::try_from(256 + random.below(1 << 16)).expect("small"));
        know(
            format!("10.9.0.{n}/32").parse()?,
            format!("10.9.0.{n}").parse()?,
            identity,
        )?;
        know(
            format!("fd00:9::{n}/128").parse()?,
            format!("fd00:9::{n}").parse()?,
            identity,
        )?;
        let block = IdentityId::new((1 << 24) + u32::from(n) + 1);
        know(
            format!("172.16.{n}.0/24").parse()?,
            format!("172.16.{n}.77").parse()?,
            block,
        )?;
        know(
            format!("2001:db8:{n}::/48").parse()?,
            format!("2001:db8:{n}::7").parse()?,
            block,
        )?;
    }
    know(
        "10.0.0.254/32".parse()?,
        "10.0.0.254".parse()?,
        IdentityId::HOST,
    )?;
    let (ipv4, ipv6) = (IdentityId::WORLD_IPV4, IdentityId::WORLD_IPV6);
    let mark = node.datapath.mark(B).ok_or("known")?;
    peers.extend([
        Peer {
            identity: ipv4,
            address: "192.0.2.1".parse()?,
            mark: 0,
        },
        Peer {
            identity: ipv6,
            address: "2001:dead::1".parse()?,
            mark: 0,
        },
        Peer {
            identity: ID_B,
            address: v4(B),
            mark,
        },
        Peer {
            identity: ID_B,
            address: v6(B),
            mark,
        },
    ]);
    Ok(peers)
}

/// What policy and a node without proxies make of a question.
fn expected(query: &Query, found: Option<(MapKey, MapEntry)>) -> Option<DropReason> {
    let portless =
        !query.protocol.has_ports() && !matches!(query.protocol, Protocol::ICMP | Protocol::ICMPV6);
    // Here they quote nothing, and so belong to no flow.
    let error = match query.protocol {
        Protocol::ICMP => matches!(query.port, 3 | 11 | 12),
        Protocol::ICMPV6 => matches!(query.port, 1..=4),
        _ => false,
    };
    match found.map(|(_, entry)| entry.action) {
        None if error => Some(DropReason::CT_TRUNCATED_OR_INVALID_HEADER),
        None if portless => Some(DropReason::UNKNOWN_L4_PROTOCOL),
        None => Some(DropReason::POLICY_DENIED),
        Some(EntryAction::Deny) => Some(DropReason::POLICY_DENY),
        Some(EntryAction::Allow) => None,
        Some(EntryAction::Redirect(redirect)) if redirect.unrestricted => None,
        Some(EntryAction::Redirect(_)) => Some(DropReason::L7_WITHOUT_PROXY),
    }
}

/// Whether an event names the outcome, the rule and the kind of entry.
fn explains(
    told: &Observation,
    found: Option<(MapKey, MapEntry)>,
    reason: Option<DropReason>,
) -> bool {
    let outcome = reason.map_or(Outcome::Forward, Outcome::Drop);
    let (cookie, kind) = found.map_or((RuleCookie::NONE, PolicyMatch::None), |(key, entry)| {
        let named = key.identity != IdentityId::UNKNOWN;
        let kind = PolicyMatch::of(named, !key.protocol.is_any(), !key.port.is_all());
        (entry.cookie, kind)
    });
    told.outcome == outcome && told.cookie == cookie && told.match_kind == kind
}
