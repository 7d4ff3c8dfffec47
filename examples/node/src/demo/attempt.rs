//! Attempts: probes on the wire, many side by side.
//!
//! An attempt ends when its client does, when a flow says that its packet was dropped, or after
//! half a second. A busy machine may need longer to start a client for the first time, so whoever
//! met silence is asked once more, alone and with more patience.

use std::collections::VecDeque;
use std::io::Read as _;
use std::net::IpAddr;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use porin::flow::{Flow, FlowVerdict};
use porin::policy::Direction;
use porin_testbed::Process;

use super::client::Clients;
use super::error::DemoError;
use super::guard::Guard;
use super::probe::{Outcome, Probe, Seen};
use super::stage::Stage;

/// How long an attempt lasts when neither its client nor a flow ends it.
pub(crate) const PATIENCE: Duration = Duration::from_millis(500);

/// How long an attempt lasts that is made alone. Nobody is promised silence, so this is waited for
/// only where something is amiss.
const LONG_PATIENCE: Duration = Duration::from_secs(5);

/// How many attempts run at a time.
const SIDE_BY_SIDE: usize = 8;

/// How often what is under way is looked at.
pub(crate) const TICK: Duration = Duration::from_millis(1);

/// Both ends of an attempt on the wire.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ends {
    /// The client's address.
    pub(crate) source: IpAddr,
    /// The server's address.
    pub(crate) destination: IpAddr,
    /// The server's port.
    pub(crate) port: u16,
}

impl Ends {
    /// The ends that a probe names, on this stage.
    pub(crate) fn of(probe: &Probe, stage: &Stage) -> Result<Self, DemoError> {
        let address = |name: &str| {
            let address = stage.site(name)?.address(probe.ipv6);
            address.ok_or_else(|| DemoError::NoAddress(name.to_owned()))
        };
        Ok(Self {
            source: address(&probe.from)?,
            destination: address(&probe.to)?,
            port: probe.what.port(),
        })
    }

    /// Whether a flow tells of a packet on the way there.
    pub(crate) fn there(&self, flow: &Flow) -> bool {
        let (from, to) = (self.source, self.destination);
        wire(flow).is_some_and(|(source, destination, _, port)| {
            (source, destination, port) == (from, to, self.port)
        })
    }

    /// Whether a flow tells of a packet on the way back.
    pub(crate) fn back(&self, flow: &Flow) -> bool {
        let (from, to) = (self.destination, self.source);
        wire(flow).is_some_and(|(source, destination, port, _)| {
            (source, destination, port) == (from, to, self.port)
        })
    }
}

/// Addresses and ports of a flow: the source's, then the destination's.
fn wire(flow: &Flow) -> Option<(IpAddr, IpAddr, u16, u16)> {
    let (addresses, (source, destination)) = (flow.addresses.as_ref()?, flow.ports()?);
    Some((addresses.source, addresses.destination, source, destination))
}

/// One client under way.
struct Attempt {
    probe: Probe,
    ends: Ends,
    client: Process,
    end: Instant,
    flows: Vec<Flow>,
}

impl Attempt {
    fn start(
        probe: Probe,
        ends: Ends,
        command: Command,
        stage: &Stage,
        patience: Duration,
    ) -> Result<Self, DemoError> {
        let client = stage.site(&probe.from)?.namespace.spawn(command)?;
        Ok(Self {
            probe,
            ends,
            client,
            end: Instant::now() + patience,
            flows: Vec::new(),
        })
    }

    /// What has come of it by now; `None` while it is open.
    fn seen(&mut self) -> Result<Option<Seen>, DemoError> {
        let overdue = Instant::now() >= self.end;
        let reason = dropped(&self.flows).and_then(|flow| flow.drop_reason);
        let seen = match (self.client.try_wait()?, reason) {
            // The flow may come a moment after the answer.
            (Some(status), _) if status.success() => {
                (overdue || deciding(&self.flows).is_some()).then_some(Seen::Open)
            }
            (_, Some(reason)) => Some(Seen::Dropped(reason)),
            (Some(_), None) => overdue.then(|| Seen::Failed(complaint(&mut self.client))),
            (None, None) => overdue.then_some(Seen::Silent),
        };
        Ok(seen)
    }

    fn conclude(self, seen: Seen) -> Outcome {
        let flow = match seen {
            Seen::Open => deciding(&self.flows),
            _ => dropped(&self.flows).or_else(|| deciding(&self.flows)),
        };
        Outcome {
            flow: flow.cloned(),
            probe: self.probe,
            seen,
            flows: self.flows,
        }
    }
}

/// Makes all `probes` and gives what came of them, in their order.
pub(crate) fn attempt_all(
    probes: Vec<Probe>,
    clients: &Clients,
    stage: &Stage,
    guard: &mut Guard,
) -> Result<Vec<Outcome>, DemoError> {
    let mut waiting: VecDeque<(usize, Probe)> = probes.into_iter().enumerate().collect();
    let mut running: Vec<(usize, Attempt)> = Vec::new();
    let mut done: Vec<(usize, Outcome)> = Vec::new();
    while !(waiting.is_empty() && running.is_empty()) {
        while running.len() < SIDE_BY_SIDE
            && let Some((number, probe)) = waiting.pop_front()
        {
            let ends = Ends::of(&probe, stage)?;
            let command = clients.ask(probe.what, ends.destination);
            running.push((
                number,
                Attempt::start(probe, ends, command, stage, PATIENCE)?,
            ));
        }
        let flows = guard.flows();
        let mut open = Vec::new();
        for (number, mut attempt) in running {
            let own = flows.iter().filter(|flow| attempt.ends.there(flow));
            attempt.flows.extend(own.cloned());
            match attempt.seen()? {
                Some(seen) => done.push((number, attempt.conclude(seen))),
                None => open.push((number, attempt)),
            }
        }
        running = open;
        thread::sleep(TICK);
    }
    done.sort_by_key(|(number, _)| *number);
    let outcomes = done.into_iter().map(|(_, outcome)| outcome);
    outcomes
        .map(|outcome| again(outcome, clients, stage, guard))
        .collect()
}

/// Asks once more where silence, not an answer, was what was seen.
fn again(
    outcome: Outcome,
    clients: &Clients,
    stage: &Stage,
    guard: &mut Guard,
) -> Result<Outcome, DemoError> {
    match outcome.seen {
        Seen::Silent => {
            let ends = Ends::of(&outcome.probe, stage)?;
            let command = clients.ask(outcome.probe.what, ends.destination);
            attempt(outcome.probe, command, stage, guard)
        }
        _ => Ok(outcome),
    }
}

/// Makes one probe with a client of the caller's choice.
pub(crate) fn attempt(
    probe: Probe,
    command: Command,
    stage: &Stage,
    guard: &mut Guard,
) -> Result<Outcome, DemoError> {
    // What is left of earlier attempts between the same ends is not this one's.
    guard.flows();
    let ends = Ends::of(&probe, stage)?;
    let mut attempt = Attempt::start(probe, ends, command, stage, LONG_PATIENCE)?;
    loop {
        let flows = guard.flows().into_iter();
        attempt.flows.extend(flows.filter(|flow| ends.there(flow)));
        if let Some(seen) = attempt.seen()? {
            return Ok(attempt.conclude(seen));
        }
        thread::sleep(TICK);
    }
}

/// The first drop among the flows.
pub(crate) fn dropped(flows: &[Flow]) -> Option<&Flow> {
    let mut flows = flows.iter();
    flows.find(|flow| flow.verdict == FlowVerdict::Dropped)
}

/// The flow that let the attempt through: at the server's side, or at the client's where the
/// server is nobody's endpoint.
pub(crate) fn deciding(flows: &[Flow]) -> Option<&Flow> {
    let there = || flows.iter().filter(|flow| flow.reply != Some(true));
    let mut arriving = there().filter(|flow| flow.direction == Some(Direction::Ingress));
    arriving.next().or_else(|| there().next())
}

/// The last line of what a client wrote about its failure.
fn complaint(client: &mut Process) -> String {
    let mut text = String::new();
    if let Some(mut stderr) = client.stderr() {
        // What cannot be read is no better than nothing said.
        let _ = stderr.read_to_string(&mut text);
    }
    text.lines().last().unwrap_or("no word").to_owned()
}
