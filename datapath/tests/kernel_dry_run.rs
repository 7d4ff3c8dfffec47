//! The datapath in memory says what the kernel does: the same endpoints,
//! policies, blocks and packets given to both.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::process::ExitCode;

use ipnet::IpNet;
use porin_datapath::backend::{MemoryDatapath, Ruling};
use porin_datapath::{
    Config, Datapath, EndpointSpec, Events, Frame, Hook, Limits, Loader, TestPacket,
};
use porin_flow::{EndpointId, Icmp, Observation, TcpFlags, Tuple};
use porin_identity::IdentityId;
use porin_policy::{
    Direction, EntryAction, MapEntry, MapKey, MapState, Parser, PortPrefix, Precedence, Protocol,
    Redirect, RuleCookie,
};
use porin_testbed::Namespace;
use porin_testbed::suite::{Outcome, Test, run};
use proptest::prelude::*;
use proptest::test_runner::{Config as Cases, TestRunner};

/// The endpoint that is asked, and another one.
const SUBJECT: EndpointId = EndpointId::new(1);
const OTHER: EndpointId = EndpointId::new(2);
const PACKETS: usize = 40;

fn main() -> ExitCode {
    let lacking = Loader::available()
        .is_empty()
        .then(|| "this build has no loader".to_owned());
    run(vec![
        Test::new("kernel_and_memory_agree", agree).unless(lacking),
    ])
}

/// Addresses that packets come from and go to: the endpoints' own first.
fn addresses(v6: bool) -> [IpAddr; 6] {
    let text = if v6 {
        [
            "fd00::1",
            "fd00::2",
            "fd00::77",
            "2001:db8::1",
            "2001:db8:1::1",
            "2001:db8:1:2::1",
        ]
    } else {
        [
            "10.0.0.1",
            "10.0.0.2",
            "10.0.0.77",
            "192.0.2.1",
            "192.0.2.200",
            "198.51.100.1",
        ]
    };
    text.map(|address| address.parse().expect("an address"))
}

/// A packet before it has its ports of its own.
#[derive(Clone, Debug)]
struct Packet {
    hook: Hook,
    v6: bool,
    /// Usually the subject's own address at its end.
    own: usize,
    far: usize,
    protocol: Protocol,
    port: u16,
}

/// What is set up before the packets come.
#[derive(Clone, Debug)]
struct Setting {
    policy: Vec<(MapKey, MapEntry)>,
    blocks: Vec<(IpNet, IdentityId)>,
}

fn protocol() -> impl Strategy<Value = Protocol> {
    prop::sample::select(vec![
        Protocol::TCP,
        Protocol::UDP,
        Protocol::SCTP,
        Protocol::ICMP,
    ])
}

fn packets() -> impl Strategy<Value = Vec<Packet>> {
    let hook = prop::sample::select(vec![Hook::FromEndpoint, Hook::ToEndpoint]);
    let own = prop_oneof![9 => Just(0_usize), 1 => 1_usize..6];
    let packet = (hook, any::<bool>(), own, 1_usize..6, protocol(), 1_u16..12);
    let packet = packet.prop_map(|(hook, v6, own, far, protocol, port)| Packet {
        hook,
        v6,
        own,
        far,
        protocol,
        port,
    });
    prop::collection::vec(packet, PACKETS)
}

fn entry() -> impl Strategy<Value = (MapKey, MapEntry)> {
    let peers = [0, 2, 9, 10, 1002, 2000, 2001, 2002]
        .map(IdentityId::new)
        .to_vec();
    let protocols = [0, 6, 17, 132, 1, 58].map(Protocol::new).to_vec();
    let redirect = |unrestricted| {
        EntryAction::Redirect(Redirect {
            parser: Parser::Http,
            unrestricted,
        })
    };
    let actions = vec![
        EntryAction::Allow,
        EntryAction::Allow,
        EntryAction::Deny,
        redirect(true),
        redirect(false),
    ];
    let key = (
        prop::sample::select(vec![Direction::Ingress, Direction::Egress]),
        prop::sample::select(peers),
        prop::sample::select(protocols),
        (1_u16..12, prop::sample::select(vec![0_u8, 13, 14, 15, 16])),
    );
    let value = (prop::sample::select(actions), 0_u32..3, 16_u32..99);
    (key, value).prop_map(|((direction, identity, protocol, (port, bits)), value)| {
        let (action, precedence, cookie) = value;
        let port = if protocol.is_any() {
            PortPrefix::ALL
        } else {
            PortPrefix::new(port, bits)
        };
        let key = MapKey {
            direction,
            identity,
            protocol,
            port,
        };
        let entry = MapEntry {
            auth: porin_policy::AuthMode::Disabled,
            action,
            precedence: Precedence::new(precedence),
            cookie: RuleCookie::new(cookie),
        };
        (key, entry)
    })
}

fn setting() -> impl Strategy<Value = Setting> {
    let block =
        (any::<bool>(), 2_usize..6, 0_u8..=16, 0_u32..3).prop_map(|(v6, at, cut, owner)| {
            let address = addresses(v6)[at];
            let length = if v6 { 128 - cut * 6 } else { 32 - cut * 2 };
            let net = IpNet::new(address, length).expect("a length");
            (net.trunc(), IdentityId::new(2000 + owner))
        });
    let policy = prop::collection::vec(entry(), 0..24);
    (policy, prop::collection::vec(block, 0..8))
        .prop_map(|(policy, blocks)| Setting { policy, blocks })
}

/// Both datapaths, and the packets' own numbers.
struct Pair {
    kernel: Datapath,
    events: Events,
    memory: MemoryDatapath,
    ifindex: u32,
    next: u16,
    met: HashSet<porin_flow::Outcome>,
}

impl Pair {
    fn new(
        node: &Namespace,
        ends: &Namespace,
    ) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let config = Config {
            limits: Limits {
                endpoints: 4,
                policies: 8,
                policy_entries: 64,
                addresses: 64,
                prefixes: 64,
                flows: 4096,
                ..Limits::default()
            },
            ..Config::default()
        };
        let mut kernel = Datapath::load(&config)?;
        let mut memory = MemoryDatapath::new(&config);
        let mut devices = [0; 2];
        for (at, id) in [SUBJECT, OTHER].into_iter().enumerate() {
            devices[at] = node
                .veth(&format!("pod{id}"), ends, &format!("end{id}"))?
                .index;
            let spec = EndpointSpec {
                id,
                ifindex: devices[at],
                identity: IdentityId::new(1000 + id.get()),
                addresses: vec![addresses(false)[at], addresses(true)[at]],
            };
            node.run(|| kernel.add_endpoint(spec.clone()))??;
            memory.add_endpoint(spec)?;
        }
        let events = kernel.events().ok_or("no events")?;
        Ok(Self {
            kernel,
            events,
            memory,
            ifindex: devices[0],
            next: 0,
            met: HashSet::new(),
        })
    }

    fn set(&mut self, setting: &Setting) -> Result<(), TestCaseError> {
        let fail = |error: &dyn std::fmt::Display| TestCaseError::fail(error.to_string());
        let policy: MapState = setting.policy.iter().copied().collect();
        let batch = [(SUBJECT, &policy)];
        self.kernel.install(&batch).map_err(|error| fail(&error))?;
        self.memory.install(&batch).map_err(|error| fail(&error))?;
        self.kernel
            .set_ready(SUBJECT)
            .map_err(|error| fail(&error))?;
        self.memory
            .set_ready(SUBJECT)
            .map_err(|error| fail(&error))?;
        let old: Vec<_> = self.kernel.prefixes().map(|(net, _)| net).collect();
        for net in old {
            self.kernel
                .remove_prefix(net)
                .map_err(|error| fail(&error))?;
            self.memory.remove_prefix(net);
        }
        for (net, identity) in &setting.blocks {
            self.kernel
                .upsert_prefix(*net, *identity)
                .map_err(|error| fail(&error))?;
            self.memory
                .upsert_prefix(*net, *identity)
                .map_err(|error| fail(&error))?;
        }
        self.kernel.clear_flows().map_err(|error| fail(&error))
    }

    /// A packet of a flow that was never seen before.
    fn fresh(&mut self, packet: &Packet) -> (Tuple, Frame) {
        self.next = self.next % 20_000 + 1;
        let (own, far) = (
            addresses(packet.v6)[packet.own],
            addresses(packet.v6)[packet.far],
        );
        let (source, destination) = match packet.hook {
            Hook::FromEndpoint | Hook::ToNetwork | Hook::ToOverlay => (own, far),
            Hook::ToEndpoint | Hook::FromNetwork | Hook::FromOverlay => (far, own),
        };
        let icmp = packet.protocol == Protocol::ICMP;
        let protocol = if icmp && packet.v6 {
            Protocol::ICMPV6
        } else {
            packet.protocol
        };
        let ports = if icmp {
            (0, 0)
        } else {
            (30_000 + self.next, packet.port)
        };
        let kind = if packet.v6 { 128 } else { 8 };
        let tuple = Tuple {
            source,
            destination,
            protocol,
            source_port: ports.0,
            destination_port: ports.1,
            tcp_flags: if packet.protocol == Protocol::TCP {
                TcpFlags::SYN
            } else {
                TcpFlags::NONE
            },
            icmp: icmp.then_some(Icmp { kind, code: 0 }),
        };
        let ends = (
            SocketAddr::new(source, ports.0),
            SocketAddr::new(destination, ports.1),
        );
        let frame = match packet.protocol {
            Protocol::TCP => Frame::tcp(ends.0, ends.1, TcpFlags::SYN),
            Protocol::UDP => Frame::udp(ends.0, ends.1),
            Protocol::SCTP => Frame::sctp(ends.0, ends.1),
            _ => {
                let [high, low] = self.next.to_be_bytes();
                Frame::icmp(source, destination, kind, 0, &[high, low, 0, 1])
            }
        };
        (tuple, frame)
    }

    fn compare(&mut self, packet: &Packet) -> Result<(), TestCaseError> {
        let (tuple, frame) = self.fresh(packet);
        // What comes from the other endpoint bears its mark.
        let from_other = packet.hook == Hook::ToEndpoint && packet.far == 1;
        let mark = from_other
            .then(|| self.kernel.mark(OTHER))
            .flatten()
            .unwrap_or(0);
        let given = TestPacket {
            bytes: frame.bytes(),
            ifindex: self.ifindex,
            mark,
        };
        let run = self.kernel.run(packet.hook, &given, 1);
        let run = run.map_err(|error| TestCaseError::fail(error.to_string()))?;
        let mut seen = Vec::new();
        self.events.drain(|observation| seen.push(observation));
        prop_assert_eq!(seen.len(), 1, "{:?}", seen);
        let expected = self.memory.judge(SUBJECT, packet.hook, &tuple);
        prop_assert_eq!(ruling(&seen[0], expected), expected, "{:?}", tuple);
        prop_assert_eq!(
            run.passed,
            matches!(expected.outcome, porin_flow::Outcome::Forward)
        );
        prop_assert_eq!(seen[0].tuple, tuple);
        self.met.insert(expected.outcome);
        Ok(())
    }
}

/// What the kernel reported, in the form of a ruling; of a packet that never
/// came to the policy the peer is not compared.
fn ruling(seen: &Observation, expected: Ruling) -> Ruling {
    let peer = match seen.direction {
        Direction::Ingress => seen.source,
        Direction::Egress => seen.destination,
    };
    let asked = expected.peer != IdentityId::UNKNOWN;
    Ruling {
        outcome: seen.outcome,
        peer: if asked { peer } else { IdentityId::UNKNOWN },
        cookie: seen.cookie,
        match_kind: seen.match_kind,
    }
}

fn agree() -> Outcome {
    let (node, ends) = (Namespace::new()?, Namespace::new()?);
    let mut pair = Pair::new(&node, &ends)?;
    let mut runner = TestRunner::new(Cases {
        cases: 150,
        failure_persistence: None,
        ..Cases::default()
    });
    let pair = std::sync::Mutex::new(&mut pair);
    node.run(|| {
        runner.run(&(setting(), packets()), |(setting, packets)| {
            let mut pair = pair.lock().expect("one thread");
            pair.set(&setting)?;
            packets.iter().try_for_each(|packet| pair.compare(packet))
        })
    })??;
    // Forwarded, forged, not for us, denied by default and by a rule, for want of a proxy.
    let met = &pair.lock().expect("one thread").met;
    assert_eq!(met.len(), 6, "{met:?}");
    Ok(())
}
