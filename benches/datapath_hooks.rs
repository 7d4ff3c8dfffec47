//! What does a packet between two endpoints of one node cost in the kernel?
//!
//! Prints one JSON object per figure. Rounds of everything alternate, and medians are taken, since
//! the machine is shared. A *unit* is one hit of a 16-byte key in a hash map, above an empty
//! program; work per packet is both hooks of a packet, without two empty programs, in that unit.

use std::{
    error::Error,
    io::{Write as _, stdout},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

use porin::{
    datapath::{
        Config, Datapath, EndpointSpec, Events, Floor, Frame, Hook, TestPacket,
        sys::{Program, TestInput},
    },
    flow::{EndpointId, TcpFlags},
    identity::{Families, Identities, IdentityId, Labels},
    policy::{MapState, Options, PolicySet},
};
use porin_benches::is_smoke_run;
use porin_testbed::{Namespace, privileges};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// Server and client know each other; the client may open TCP port 80 of the server, no other.
const POLICY: &str = "
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: server, namespace: bench}
spec:
  endpointSelector: {matchLabels: {app: server}}
  ingress:
  - fromEndpoints: [{matchLabels: {app: client}}]
    toPorts: [{ports: [{port: '80', protocol: TCP}]}]
---
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: client, namespace: bench}
spec:
  endpointSelector: {matchLabels: {app: client}}
  egress:
  - toEndpoints: [{matchLabels: {app: server}}]
    toPorts: [{ports: [{port: '80', protocol: TCP}]}]
";

const CLIENT: EndpointId = EndpointId::new(1);
const SERVER: EndpointId = EndpointId::new(2);
const CLIENT_ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
const SERVER_ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2));

/// How often what is repeated.
struct Patience {
    rounds: usize,
    /// Runs of one packet in a row.
    repeat: u32,
    /// Packets that are events, between two readings of the ring: fewer than it holds.
    singles: u16,
}

const MEASURE: Patience = Patience {
    rounds: 31,
    repeat: 100_000,
    singles: 2_000,
};
const SMOKE: Patience = Patience {
    rounds: 1,
    repeat: 100,
    singles: 10,
};

fn main() -> Result<()> {
    if let Err(missing) = privileges() {
        eprintln!("datapath: not measured: {missing}");
        return Ok(());
    }
    let node = Namespace::new()?;
    let patience = if is_smoke_run() { SMOKE } else { MEASURE };
    node.run(|| measure(&node, &patience))?
}

/// In the namespace of the node.
fn measure(node: &Namespace, patience: &Patience) -> Result<()> {
    let pods = Namespace::new()?;
    let client = node.veth("client", &pods, "eth0")?.index;
    let server = node.veth("server", &pods, "eth1")?.index;
    let (mut datapath, events) = enforce(client, server)?;
    let floor = Floor::load()?;
    let path = Path {
        datapath: &mut datapath,
        floor: &floor,
        nothing: Program::constant("nothing", -1)?,
        client,
        server,
    };

    let mut samples: Vec<Sample> = Vec::with_capacity(patience.rounds);
    let mut events = events;
    for round in 0..patience.rounds {
        samples.push(path.round(round, patience, &mut events)?);
    }
    print(&samples)?;
    datapath.close()?;
    Ok(())
}

fn enforce(client: u32, server: u32) -> Result<(Datapath, Events)> {
    let mut identities = Identities::new(Families::Dual);
    let mut identity = |app: &str| -> Result<IdentityId> {
        let labels = Labels::workload("bench", None, "default", [("app", app)])?;
        Ok(identities.intern(labels)?.id)
    };
    let (client_identity, server_identity) = (identity("client")?, identity("server")?);
    let mut policies = PolicySet::new(Options::default().families(Families::Dual));
    policies.load([("bench.yaml", POLICY)])?;

    let mut datapath = Datapath::load(&Config::default())?;
    let events = datapath.events().ok_or("the datapath has no events")?;
    for (id, ifindex, identity, address) in [
        (CLIENT, client, client_identity, CLIENT_ADDRESS),
        (SERVER, server, server_identity, SERVER_ADDRESS),
    ] {
        datapath.add_endpoint(EndpointSpec {
            id,
            ifindex,
            identity,
            addresses: vec![address],
        })?;
        let policy = policies.resolve(identity, &identities.snapshot())?;
        let state: &MapState = policy.map_state();
        datapath.install(&[(id, state)])?;
        datapath.set_ready(id)?;
    }
    Ok((datapath, events))
}

/// Times of one round, per packet, in nanoseconds.
#[derive(Clone, Copy)]
struct Sample {
    empty: f64,
    lookup: f64,
    established: f64,
    dropped: f64,
    /// The empty program, run once per packet as new flows are.
    empty_single: f64,
    new: f64,
}

/// The way of a packet from the client to the server.
struct Path<'a> {
    datapath: &'a mut Datapath,
    floor: &'a Floor,
    /// An empty program, for the kernel's own time of a single run.
    nothing: Program,
    client: u32,
    server: u32,
}

impl Path<'_> {
    fn round(&self, round: usize, patience: &Patience, events: &mut Events) -> Result<Sample> {
        let per_run = |took: Duration| took.as_nanos() as f64 / f64::from(patience.repeat);
        let syn = segment(40_000, 80, TcpFlags::SYN);
        let packet = TestPacket {
            bytes: syn.bytes(),
            ifindex: self.client,
            mark: 0,
        };
        let empty = per_run(self.floor.empty(&packet, patience.repeat)?);
        let lookup = per_run(self.floor.lookup(&packet, patience.repeat)?);

        self.datapath.clear_flows()?;
        let (_, _) = self.pass(&syn, 1)?;
        let data = segment(40_000, 80, TcpFlags::ACK);
        let (there, here) = self.pass(&data, patience.repeat)?;
        let established = per_run(there) + per_run(here);
        discard(events);

        // Fewer, since each may be an event, and the ring must not be full.
        let refused = segment(40_001, 22, TcpFlags::SYN);
        let packet = TestPacket {
            bytes: refused.bytes(),
            ifindex: self.client,
            mark: 0,
        };
        let repeat = u32::from(patience.singles);
        let started = Instant::now();
        let run = self.datapath.run(Hook::FromEndpoint, &packet, repeat)?;
        let dropped = started.elapsed().as_nanos() as f64 / f64::from(repeat);
        if run.passed {
            return Err("a packet that no rule allows has passed".into());
        }
        discard(events);

        self.datapath.clear_flows()?;
        let (new, empty_single) = self.new_flows(patience.singles)?;
        discard(events);
        if round == 0 {
            eprintln!(
                "datapath: empty {empty:.1} ns, established {established:.1} ns, dropped {dropped:.1} ns, new {new:.1} ns (over {empty_single:.1} ns)"
            );
        }
        Ok(Sample {
            empty,
            lookup,
            established,
            dropped,
            empty_single,
            new,
        })
    }

    /// Times of a packet at the client's and at the server's hook, for all repetitions.
    fn pass(&self, frame: &Frame, repeat: u32) -> Result<(Duration, Duration)> {
        let at = |ifindex, mark| TestPacket {
            bytes: frame.bytes(),
            ifindex,
            mark,
        };
        let started = Instant::now();
        let sent = self
            .datapath
            .run(Hook::FromEndpoint, &at(self.client, 0), repeat)?;
        let there = started.elapsed();
        let started = Instant::now();
        let received = self
            .datapath
            .run(Hook::ToEndpoint, &at(self.server, sent.mark), repeat)?;
        let here = started.elapsed();
        if sent.passed && received.passed {
            Ok((there, here))
        } else {
            let drops = self.datapath.counters()?;
            Err(format!("an allowed packet was dropped: {sent:?} {received:?} {drops:?}").into())
        }
    }

    /// Median times of the first packet of a flow at both hooks, and of an empty program run alike.
    fn new_flows(&self, count: u16) -> Result<(f64, f64)> {
        let (mut ours, mut empty) = (Vec::new(), Vec::new());
        for port in 0..count {
            let syn = segment(10_000 + port, 80, TcpFlags::SYN);
            let at = |ifindex, mark| TestPacket {
                bytes: syn.bytes(),
                ifindex,
                mark,
            };
            let sent = self
                .datapath
                .run(Hook::FromEndpoint, &at(self.client, 0), 1)?;
            let received = self
                .datapath
                .run(Hook::ToEndpoint, &at(self.server, sent.mark), 1)?;
            if !(sent.passed && received.passed) {
                return Err("an allowed packet was dropped".into());
            }
            ours.push((sent.duration + received.duration).as_nanos() as f64);
        }
        for _ in 0..count {
            let nothing = segment(9_999, 80, TcpFlags::SYN);
            let run = self.nothing.test_run(&TestInput::new(nothing.bytes()))?;
            empty.push(run.duration.as_nanos() as f64);
        }
        Ok((median(ours), median(empty)))
    }
}

fn segment(source: u16, destination: u16, flags: TcpFlags) -> Frame {
    Frame::tcp(
        SocketAddr::new(CLIENT_ADDRESS, source),
        SocketAddr::new(SERVER_ADDRESS, destination),
        flags,
    )
}

fn discard(events: &mut Events) {
    while events.drain(drop) > 0 {}
}

fn print(samples: &[Sample]) -> Result<()> {
    let middle = |field: fn(&Sample) -> f64| median(samples.iter().map(field).collect());
    let empty = middle(|sample| sample.empty);
    let unit = middle(|sample| sample.lookup - sample.empty);
    let figures = [
        ("datapath.empty", empty),
        ("datapath.lookup_unit", unit),
        (
            "datapath.established",
            middle(|sample| sample.established - 2.0 * sample.empty) / unit,
        ),
        (
            "datapath.new",
            middle(|sample| sample.new - 2.0 * sample.empty_single) / unit,
        ),
        (
            "datapath.dropped",
            middle(|sample| sample.dropped - sample.empty) / unit,
        ),
    ];
    let mut out = stdout();
    for (id, value) in figures {
        writeln!(out, "{{\"id\":\"{id}\",\"value\":{value}}}")?;
    }
    Ok(())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
