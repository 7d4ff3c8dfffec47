//! What does a judge between two pods cost on real wires, beside none at all?
//!
//! Prints one JSON object per figure, each a multiple of the same traffic without a judge. Rounds of
//! all judges alternate on one processor, and medians are taken, since the machine is shared.

mod net;
mod traffic;

use std::{
    error::Error,
    io::{Write as _, stdout},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use net::{Judge, Net};
use nix::{
    sched::{CpuSet, sched_setaffinity},
    sys::resource::{Resource, getrlimit, setrlimit},
    unistd::Pid,
};
use porin::datapath::Events;
use porin_benches::is_smoke_run;
use porin_testbed::privileges;
use traffic::{Connected, Connections, Datagrams};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// How often what is repeated.
struct Patience {
    rounds: usize,
    datagrams: usize,
    flows: u16,
    connections: usize,
}

const MEASURE: Patience = Patience {
    rounds: 15,
    datagrams: 20_000,
    flows: 8_000,
    connections: 2_000,
};
const SMOKE: Patience = Patience {
    rounds: 1,
    datagrams: 640,
    flows: 200,
    connections: 50,
};

fn main() -> Result<()> {
    if let Err(missing) = privileges() {
        eprintln!("datapath: not measured: {missing}");
        return Ok(());
    }
    let patience = if is_smoke_run() { SMOKE } else { MEASURE };
    // Every flow is a socket.
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, most, most)?;
    let mut sites = Vec::new();
    for judge in Judge::ALL {
        sites.push(Site::new(judge)?);
    }
    let events: Vec<Events> = sites
        .iter_mut()
        .filter_map(|site| site.net.events())
        .collect();
    let done = AtomicBool::new(false);
    let rounds = thread::scope(|scope| {
        scope.spawn(|| read(events, &done));
        let rounds = scope.spawn(|| rounds(&sites, &patience)).join();
        done.store(true, Ordering::Relaxed);
        rounds
    });
    print(&rounds.map_err(|_| "the measuring thread ended early")??)
}

/// Consumes events as a node does: in batches, a hundred times a second.
fn read(mut events: Vec<Events>, done: &AtomicBool) {
    while !done.load(Ordering::Relaxed) {
        for events in &mut events {
            while events.drain(drop) > 0 {}
        }
        thread::sleep(Duration::from_millis(10));
    }
}

/// One judge with everything that crosses it.
struct Site {
    net: Net,
    one: Datagrams,
    connections: Connections,
}

impl Site {
    fn new(judge: Judge) -> Result<Self> {
        let net = Net::new(judge)?;
        Ok(Self {
            one: Datagrams::new(&net, 1)?,
            connections: Connections::new(&net)?,
            net,
        })
    }

    /// As many flows as the sockets of one judge, for a process may not hold those of all.
    fn many(&self, patience: &Patience) -> Result<f64> {
        Datagrams::new(&self.net, patience.flows)?.measure(patience.datagrams)
    }
}

/// What one judge cost in one round.
#[derive(Debug, Clone, Copy)]
struct Cost {
    judge: Judge,
    one: f64,
    many: f64,
    connected: Connected,
}

/// On one processor, so that a sender's time is all there is.
fn rounds(sites: &[Site], patience: &Patience) -> Result<Vec<Vec<Cost>>> {
    let mut processor = CpuSet::new();
    processor.set(0)?;
    sched_setaffinity(Pid::from_raw(0), &processor)?;
    let round = |_| {
        let cost = |site: &Site| -> Result<Cost> {
            Ok(Cost {
                judge: site.net.judge,
                one: site.one.measure(patience.datagrams)?,
                many: site.many(patience)?,
                connected: site.connections.measure(&site.net, patience.connections)?,
            })
        };
        sites.iter().map(cost).collect()
    };
    (0..patience.rounds).map(round).collect()
}

fn print(rounds: &[Vec<Cost>]) -> Result<()> {
    type Figure = (&'static str, fn(&Cost) -> f64);
    let figures: [Figure; 4] = [
        ("udp_1", |cost| cost.one),
        ("udp_8k", |cost| cost.many),
        ("connect", |cost| cost.connected.p10),
        ("connect_rate", |cost| cost.connected.rate),
    ];
    let mut out = stdout();
    for (name, of) in figures {
        for judge in Judge::ALL {
            // Past the stack one figure is asked for, and it has a name of its own.
            if judge == Judge::Peer && name != "udp_1" {
                continue;
            }
            let value = |judge: Judge, round: &Vec<Cost>| {
                round
                    .iter()
                    .find(|cost| cost.judge == judge)
                    .map_or(f64::NAN, of)
            };
            let own = median(rounds.iter().map(|round| value(judge, round)).collect());
            let times = |round| value(judge, round) / value(Judge::Nobody, round);
            let times = median(rounds.iter().map(times).collect());
            eprintln!(
                "datapath.{name}{}: {own:.0}, {times:.3} times none",
                judge.suffix()
            );
            if judge != Judge::Nobody {
                let id = if judge == Judge::Peer {
                    "udp_peer".to_owned()
                } else {
                    format!("{name}{}", judge.suffix())
                };
                writeln!(out, "{{\"id\":\"datapath.{id}\",\"value\":{times}}}")?;
            }
        }
    }
    Ok(())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
