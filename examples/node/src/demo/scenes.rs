//! The scenes: what no single question shows. A sender that lies about its address, and the life
//! of one pod — before it is ready, while policies and labels change under its running download,
//! and after it has gone and another has its addresses.

use std::io::Read as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use porin::flow::{DropReason, Flow};
use porin_testbed::{PacketSocket, Process};

use super::attempt::{Ends, PATIENCE, TICK, attempt, deciding, dropped};
use super::cast::{NEWCOMER, Pod, newcomer, successor};
use super::client::{Clients, from_port};
use super::error::DemoError;
use super::frame::syn;
use super::guard::Guard;
use super::probe::{Act, Outcome, Probe, Promise, Seen, What};
use super::stage::Stage;
use super::walkthrough::{CORRECTED, CUT, SPARE};

const API: What = What::Http(8080);

/// The ports that the newcomer's downloads come from. A port rests after use, so each has one of
/// its own; the successor then takes the last, so that its connection and that of the pod before
/// it look alike on the wire.
const SOURCE_PORTS: [u16; 3] = [40001, 40002, 40003];

/// How long a transfer must stand still to count as cut off: many times the pause between two
/// pieces of it.
const STILL: Duration = Duration::from_millis(200);

/// Plays the scenes of an act.
pub(crate) fn play(
    act: Act,
    clients: &Clients,
    stage: &mut Stage,
    guard: &mut Guard,
) -> Result<Vec<Outcome>, DemoError> {
    let mut scenes = Scenes {
        act,
        clients,
        stage,
        guard,
        outcomes: Vec::new(),
    };
    scenes.forged(false)?;
    scenes.forged(true)?;
    if act == Act::Corrected {
        scenes.arrival()?;
        scenes.change_of_policy()?;
        scenes.change_of_labels()?;
        scenes.succession()?;
    }
    Ok(scenes.outcomes)
}

struct Scenes<'a> {
    act: Act,
    clients: &'a Clients,
    stage: &'a mut Stage,
    guard: &'a mut Guard,
    outcomes: Vec<Outcome>,
}

impl Scenes<'_> {
    /// The stranger sends as if it were the frontend.
    fn forged(&mut self, ipv6: bool) -> Result<(), DemoError> {
        let promised = Promise::Dropped(DropReason::INVALID_SOURCE_IP);
        let story = "with the frontend's address as its source";
        let mut probe = self.probe("forged-source", "stranger", ipv6, story, promised);
        if ipv6 {
            probe.id += "-ipv6";
        }
        let claimed = Probe {
            from: "frontend".to_owned(),
            ..probe.clone()
        };
        let ends = Ends::of(&claimed, self.stage)?;
        let site = self.stage.site("stranger")?;
        let socket = PacketSocket::open(&site.namespace, site.device())?;
        let own = site.namespace.mac(site.device())?;
        let frame = syn(own, site.gateway, ends.source, ends.destination, ends.port)
            .ok_or_else(|| DemoError::NoAddress("frontend".to_owned()))?;
        self.guard.flows();
        socket.send(&frame).map_err(DemoError::Frame)?;
        let flows = self.wait_for_drop(ends);
        let flow = dropped(&flows).cloned();
        let reason = flow.as_ref().and_then(|flow| flow.drop_reason);
        self.outcomes.push(Outcome {
            seen: reason.map_or(Seen::Silent, Seen::Dropped),
            probe,
            flow,
            flows,
        });
        Ok(())
    }

    /// A new frontend: nothing passes until it is ready, and then its very first packet does.
    fn arrival(&mut self) -> Result<(), DemoError> {
        let actor = newcomer();
        let site = self.stage.enter(&actor)?;
        self.guard.admit(&actor, site)?;
        let promised = Promise::Dropped(DropReason::NOT_READY);
        self.ask("not-ready", None, "before the pod is ready", promised)?;
        self.guard.ready(NEWCOMER)?;
        self.ask("ready", None, "its first packet after that", Promise::Open)
    }

    /// Two changes of policies under a running download: one that leaves it allowed, and one that
    /// does not.
    fn change_of_policy(&mut self) -> Result<(), DemoError> {
        let [port, ..] = SOURCE_PORTS;
        let mut download = self.download(port)?;
        let spare: Vec<_> = CORRECTED.iter().chain(&[SPARE]).copied().collect();
        self.guard.load(&spare)?;
        let story = "a download over a change of policies that leaves it allowed";
        self.watch(&mut download, "policy-spares", story, Promise::GoesOn)?;
        let cut: Vec<_> = CORRECTED.iter().chain(&[CUT]).copied().collect();
        self.guard.load(&cut)?;
        let story = "a download over a change of policies that forbids it";
        self.watch(&mut download, "policy-cuts", story, Promise::Stops)?;
        self.guard.load(&CORRECTED)?;
        Ok(())
    }

    /// The pod loses the label that its access rests on, while it uses it.
    fn change_of_labels(&mut self) -> Result<(), DemoError> {
        let [_, port, _] = SOURCE_PORTS;
        let mut download = self.download(port)?;
        let retired = Pod::new("frontend", &[("role", "retired")]);
        self.guard.relabel(NEWCOMER, &retired)?;
        let story = "a download while its pod loses its role";
        self.watch(&mut download, "relabel-cuts", story, Promise::Stops)?;
        let frontend = Pod::new("frontend", &[("role", "frontend"), ("app", "frontend")]);
        self.guard.relabel(NEWCOMER, &frontend)
    }

    /// The pod goes while a connection of it is open, and another comes on the same addresses: it
    /// sends from the same port, and its first packet is judged as its own.
    fn succession(&mut self) -> Result<(), DemoError> {
        let [.., port] = SOURCE_PORTS;
        let download = self.download(port)?;
        self.guard.dismiss(NEWCOMER)?;
        drop(download);
        self.stage.leave(NEWCOMER)?;
        let actor = successor();
        let site = self.stage.enter(&actor)?;
        self.guard.admit(&actor, site)?;
        self.guard.ready(NEWCOMER)?;
        let story = "from a pod that took over the address of a frontend";
        self.ask("successor", Some(port), story, Promise::Closed)?;
        self.guard.dismiss(NEWCOMER)?;
        self.stage.leave(NEWCOMER)
    }

    /// The newcomer asks the API once, from a certain port where it matters.
    fn ask(
        &mut self,
        id: &str,
        port: Option<u16>,
        story: &'static str,
        promised: Promise,
    ) -> Result<(), DemoError> {
        let probe = self.probe(id, NEWCOMER, false, story, promised);
        let ends = Ends::of(&probe, self.stage)?;
        let mut command = self.clients.ask(API, ends.destination);
        if let Some(port) = port {
            from_port(&mut command, port);
        }
        let outcome = attempt(probe, command, self.stage, self.guard)?;
        self.outcomes.push(outcome);
        Ok(())
    }

    /// The newcomer begins to read the slow file, and has got some of it.
    fn download(&mut self, port: u16) -> Result<Download, DemoError> {
        let probe = self.probe("", NEWCOMER, false, "", Promise::GoesOn);
        let ends = Ends::of(&probe, self.stage)?;
        self.guard.flows();
        let command = self.clients.download(API, ends.destination, port);
        let process = self.stage.site(NEWCOMER)?.namespace.spawn(command)?;
        let mut download = Download::new(process, ends);
        download.began = download.grows(PATIENCE * 4);
        download.note(self.guard);
        Ok(download)
    }

    /// Sees whether a download goes on after what was just done, and why not.
    fn watch(
        &mut self,
        download: &mut Download,
        id: &str,
        story: &'static str,
        promised: Promise,
    ) -> Result<(), DemoError> {
        let probe = self.probe(id, NEWCOMER, false, story, promised);
        let seen = download.watch(self.guard, promised);
        let flows = std::mem::take(&mut download.flows);
        let flow = match seen {
            Seen::Stops(_) => dropped(&flows).cloned(),
            _ => deciding(&flows).cloned(),
        };
        self.outcomes.push(Outcome {
            probe,
            seen,
            flow,
            flows,
        });
        Ok(())
    }

    /// The flows between two ends until one tells of a drop.
    fn wait_for_drop(&mut self, ends: Ends) -> Vec<Flow> {
        let end = Instant::now() + PATIENCE;
        let mut flows = Vec::new();
        while dropped(&flows).is_none() && Instant::now() < end {
            let new = self.guard.flows().into_iter();
            flows.extend(new.filter(|flow| ends.there(flow)));
            thread::sleep(TICK);
        }
        flows
    }

    fn probe(
        &self,
        id: &str,
        from: &str,
        ipv6: bool,
        story: &'static str,
        promised: Promise,
    ) -> Probe {
        Probe {
            act: self.act,
            id: id.to_owned(),
            from: from.to_owned(),
            to: "backend-api".to_owned(),
            what: API,
            ipv6,
            story: Some(story),
            promised,
        }
    }
}

/// A transfer under way.
struct Download {
    ends: Ends,
    received: Arc<AtomicU64>,
    /// Whether it ever ran: what never began cannot be cut off.
    began: bool,
    /// What was told of it since it was last asked about.
    flows: Vec<Flow>,
    /// Killed when the download is dropped.
    _client: Process,
}

impl Download {
    fn new(mut client: Process, ends: Ends) -> Self {
        let received = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&received);
        if let Some(mut stdout) = client.stdout() {
            thread::spawn(move || {
                let mut piece = [0; 4096];
                while let Ok(length @ 1..) = stdout.read(&mut piece) {
                    counter.fetch_add(length as u64, Ordering::Relaxed);
                }
            });
        }
        Self {
            ends,
            received,
            began: false,
            flows: Vec::new(),
            _client: client,
        }
    }

    /// Whether anything arrives within `limit`.
    fn grows(&self, limit: Duration) -> bool {
        let before = self.received.load(Ordering::Relaxed);
        let end = Instant::now() + limit;
        while Instant::now() < end {
            if self.received.load(Ordering::Relaxed) > before {
                return true;
            }
            thread::sleep(TICK);
        }
        false
    }

    /// Takes note of what is told of it.
    fn note(&mut self, guard: &mut Guard) {
        let new = guard.flows().into_iter();
        let ends = self.ends;
        self.flows
            .extend(new.filter(|flow| ends.there(flow) || ends.back(flow)));
    }

    /// Watches for the usual patience, or until it is cut off as promised. Silence is no verdict:
    /// a busy machine gets some more time to show one.
    fn watch(&mut self, guard: &mut Guard, promised: Promise) -> Seen {
        if !self.began {
            return Seen::Failed("the download did not begin".to_owned());
        }
        let start = Instant::now();
        loop {
            let goes_on = self.grows(STILL);
            self.note(guard);
            let reason = dropped(&self.flows).and_then(|flow| flow.drop_reason);
            let (seen, limit) = match (goes_on, reason) {
                (true, _) => (Seen::GoesOn, PATIENCE),
                (false, Some(reason)) if promised == Promise::Stops => {
                    return Seen::Stops(reason);
                }
                (false, Some(reason)) => (Seen::Stops(reason), PATIENCE),
                (false, None) => (Seen::Silent, PATIENCE * 4),
            };
            if start.elapsed() >= limit {
                return seen;
            }
            thread::sleep(TICK);
        }
    }
}
