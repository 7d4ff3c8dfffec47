//! What does a packet between two endpoints of one node cost in the kernel?
//!
//! Prints one JSON object per figure. Rounds of everything alternate, and medians are taken, since
//! the machine is shared. A *unit* is one hit of a 16-byte key in a hash map, above an empty
//! program; work per packet is both hooks of a packet, without two empty programs, in that unit.

mod site;
mod tables;

use std::{
    error::Error,
    io::{Write as _, stdout},
    net::SocketAddr,
    time::{Duration, Instant},
};

use porin::{
    datapath::{
        Floor, Frame, Hook, ProgRun, TestPacket,
        sys::{Program, TestInput},
    },
    flow::TcpFlags,
};
use porin_benches::is_smoke_run;
use porin_testbed::{Namespace, privileges};
use site::{CLIENT_ADDRESS, SERVER_ADDRESS, Site, Tables};
use tables::Changes;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// How often what is repeated.
struct Patience {
    rounds: usize,
    /// Runs of one packet in a row.
    repeat: u32,
    /// Packets that are events, between two readings of the ring: fewer than it holds.
    singles: u16,
    /// Flows that are known at once, so that no cache holds them all.
    flows: u16,
}

const MEASURE: Patience = Patience {
    rounds: 31,
    repeat: 100_000,
    singles: 2_000,
    flows: 20_000,
};
const SMOKE: Patience = Patience {
    rounds: 1,
    repeat: 100,
    singles: 10,
    flows: 50,
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
    let [small, big] = if is_smoke_run() {
        [SMALL, SMALL]
    } else {
        [SMALL, BIG]
    };
    let mut small = Site::new(node, "small", &pods, small)?;
    let mut big = Site::new(node, "big", &pods, big)?;
    eprintln!(
        "datapath: {} and {} entries",
        small.policy.map_state().len(),
        big.policy.map_state().len()
    );
    let floor = Floor::load()?;
    let nothing = Program::constant("nothing", -1)?;
    let mut samples: Vec<Sample> = Vec::with_capacity(patience.rounds);
    for round in 0..patience.rounds {
        let mut path = Path {
            site: &mut small,
            floor: &floor,
            nothing: &nothing,
        };
        let mut sample = path.round(patience)?;
        let mut path = Path {
            site: &mut big,
            floor: &floor,
            nothing: &nothing,
        };
        sample.big = path.established(patience)?;
        if round == 0 {
            eprintln!("datapath, first round: {sample:?}");
        }
        samples.push(sample);
    }
    let changes = tables::measure(&mut big.datapath, node, &pods, patience.rounds)?;
    print(&samples, &changes, small.datapath.flow_bytes()?)?;
    small.datapath.close()?;
    big.datapath.close()?;
    Ok(())
}

const SMALL: Tables = Tables {
    peers: 1,
    blocks: 0,
};
const BIG: Tables = Tables {
    peers: 7_000,
    blocks: 100_000,
};

/// Times of one round, per packet, in nanoseconds.
#[derive(Debug, Clone, Copy)]
struct Sample {
    empty: f64,
    lookup: f64,
    established: f64,
    dropped: f64,
    /// The empty program, run once per packet as new flows are.
    empty_single: f64,
    new: f64,
    many: f64,
    /// As `established`, with big tables.
    big: f64,
}

/// The way of a packet from the client to the server.
struct Path<'a> {
    site: &'a mut Site,
    floor: &'a Floor,
    /// An empty program, for the kernel's own time of a single run.
    nothing: &'a Program,
}

impl Path<'_> {
    fn round(&mut self, patience: &Patience) -> Result<Sample> {
        let per_run = |took: Duration| took.as_nanos() as f64 / f64::from(patience.repeat);
        let syn = segment(40_000, 80, TcpFlags::SYN);
        let packet = self.of_client(&syn);
        let empty = per_run(self.floor.empty(&packet, patience.repeat)?);
        let lookup = per_run(self.floor.lookup(&packet, patience.repeat)?);
        let established = self.established(patience)?;

        // Fewer, since each may be an event, and the ring must not be full.
        let refused = segment(40_001, 22, TcpFlags::SYN);
        let repeat = u32::from(patience.singles);
        let started = Instant::now();
        let run = self.run(Hook::FromEndpoint, &self.of_client(&refused), repeat)?;
        let dropped = started.elapsed().as_nanos() as f64 / f64::from(repeat);
        if run.passed {
            return Err("a packet that no rule allows has passed".into());
        }
        self.discard();

        self.site.datapath.clear_flows()?;
        let empty_single = self.empty_single(patience.singles)?;
        let new = median(self.singles(0..patience.singles, TcpFlags::SYN)?);
        self.discard();
        let flows: Vec<u16> = (0..patience.flows).collect();
        for some in flows.chunks(patience.singles.into()) {
            self.singles(some.iter().copied(), TcpFlags::SYN)?;
            self.discard();
        }
        let many = median(self.singles(0..patience.flows, TcpFlags::ACK)?);
        Ok(Sample {
            empty,
            lookup,
            established,
            dropped,
            empty_single,
            new,
            many,
            big: f64::NAN,
        })
    }

    /// Nanoseconds of one packet of a known flow at both hooks.
    fn established(&mut self, patience: &Patience) -> Result<f64> {
        self.site.datapath.clear_flows()?;
        self.pass(&segment(40_000, 80, TcpFlags::SYN), 1)?;
        let data = segment(40_000, 80, TcpFlags::ACK);
        let (there, here) = self.pass(&data, patience.repeat)?;
        self.discard();
        Ok((there + here).as_nanos() as f64 / f64::from(patience.repeat))
    }

    fn of_client<'f>(&self, frame: &'f Frame) -> TestPacket<'f> {
        TestPacket {
            bytes: frame.bytes(),
            ifindex: self.site.client,
            mark: 0,
        }
    }

    fn run(&self, hook: Hook, packet: &TestPacket<'_>, repeat: u32) -> Result<ProgRun> {
        Ok(self.site.datapath.run(hook, packet, repeat)?)
    }

    fn discard(&mut self) {
        while self.site.events.drain(drop) > 0 {}
    }

    /// Times of a packet at the client's and at the server's hook, for all repetitions.
    fn pass(&self, frame: &Frame, repeat: u32) -> Result<(Duration, Duration)> {
        let started = Instant::now();
        let sent = self.run(Hook::FromEndpoint, &self.of_client(frame), repeat)?;
        let there = started.elapsed();
        let arriving = TestPacket {
            ifindex: self.site.server,
            mark: sent.mark,
            ..self.of_client(frame)
        };
        let started = Instant::now();
        let received = self.run(Hook::ToEndpoint, &arriving, repeat)?;
        let here = started.elapsed();
        if sent.passed && received.passed {
            Ok((there, here))
        } else {
            let drops = self.site.datapath.counters()?;
            Err(format!("an allowed packet was dropped: {sent:?} {received:?} {drops:?}").into())
        }
    }

    /// Nanoseconds at both hooks of one packet for each of many flows.
    fn singles(&self, flows: impl IntoIterator<Item = u16>, flags: TcpFlags) -> Result<Vec<f64>> {
        let single = |flow: u16| {
            let frame = segment(10_000 + flow, 80, flags);
            let sent = self.run(Hook::FromEndpoint, &self.of_client(&frame), 1)?;
            let arriving = TestPacket {
                ifindex: self.site.server,
                mark: sent.mark,
                ..self.of_client(&frame)
            };
            let received = self.run(Hook::ToEndpoint, &arriving, 1)?;
            if !(sent.passed && received.passed) {
                return Err("an allowed packet was dropped".into());
            }
            Ok((sent.duration + received.duration).as_nanos() as f64)
        };
        flows.into_iter().map(single).collect()
    }

    /// Median time of an empty program, run once per packet.
    fn empty_single(&self, count: u16) -> Result<f64> {
        let frame = segment(9_999, 80, TcpFlags::SYN);
        let once = |_| -> Result<f64> {
            let run = self.nothing.test_run(&TestInput::new(frame.bytes()))?;
            Ok(run.duration.as_nanos() as f64)
        };
        Ok(median((0..count).map(once).collect::<Result<_>>()?))
    }
}

fn segment(source: u16, destination: u16, flags: TcpFlags) -> Frame {
    Frame::tcp(
        SocketAddr::new(CLIENT_ADDRESS, source),
        SocketAddr::new(SERVER_ADDRESS, destination),
        flags,
    )
}

fn print(samples: &[Sample], changes: &Changes, flow_bytes: f64) -> Result<()> {
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
            "datapath.established_20k",
            middle(|sample| sample.many - 2.0 * sample.empty_single) / unit,
        ),
        (
            "datapath.established_big",
            middle(|sample| sample.big - 2.0 * sample.empty) / unit,
        ),
        (
            "datapath.new",
            middle(|sample| sample.new - 2.0 * sample.empty_single) / unit,
        ),
        (
            "datapath.dropped",
            middle(|sample| sample.dropped - sample.empty) / unit,
        ),
        ("datapath.swap", changes.swap),
        ("datapath.identity_add", changes.identity_add),
        ("datapath.ct_bytes", flow_bytes),
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
