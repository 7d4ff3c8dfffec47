//! The evening: the stage is set, the acts are shown, the stage is cleared.

use std::path::Path;
use std::thread;

use porin::policy::{Document, Options, Semantics, World, lint, parse_documents};

use super::attempt::attempt_all;
use super::cast::{Actor, cast, look_alikes};
use super::client::Clients;
use super::error::DemoError;
use super::guard::Guard;
use super::probe::Act;
use super::report::{Form, Report};
use super::servers::{Servers, WebSite, prepare};
use super::stage::Stage;
use super::walkthrough::{File, policies, world};
use super::{matrix, scenes};

/// Who serves what; the database is not in the list, as it is no web server.
const SITES: [WebSite; 5] = [
    WebSite {
        name: "frontend",
        plain: &[80],
        tls: &[443],
    },
    WebSite {
        name: "backend-api",
        plain: &[8080, 9090],
        tls: &[],
    },
    WebSite {
        name: "kafka",
        plain: &[9092, 80],
        tls: &[],
    },
    WebSite {
        name: "stranger",
        plain: &[80],
        tls: &[],
    },
    WebSite {
        name: "internet",
        plain: &[],
        tls: &[443],
    },
];

/// A demonstration under way. Everything it holds ends with it.
#[derive(Debug)]
pub(crate) struct Show {
    semantics: Semantics,
    world: World,
    clients: Clients,
    stage: Stage,
    guard: Guard,
    servers: Servers,
    report: Report,
}

impl Show {
    /// Sets the stage: everybody of the world file is there, guarded, and serves.
    pub(crate) fn open(
        semantics: Semantics,
        form: Form,
        directory: &Path,
    ) -> Result<Self, DemoError> {
        let world = world()?;
        let clients = Clients::find()?;
        let mut stage = Stage::new()?;
        let mut guard = Guard::start(semantics)?;
        prepare(directory)?;
        for actor in cast(&world) {
            enter(&actor, &mut stage, &mut guard)?;
        }
        let servers = Servers::start(&stage, directory, &SITES)?;
        Ok(Self {
            semantics,
            world,
            clients,
            stage,
            guard,
            servers,
            report: Report::new(form),
        })
    }

    /// One act: its policies in force, its matrix, its scenes.
    pub(crate) fn perform(&mut self, act: Act) -> Result<(), DemoError> {
        let files = policies(act);
        let options = Options::new().semantics(self.semantics);
        let findings = lint(&documents(files), Some(&self.world), &options);
        let loaded = self.guard.load(files)?;
        self.report
            .act(act, self.semantics, &findings, &loaded.refused)?;

        let extras = match act {
            Act::AsWritten => look_alikes().to_vec(),
            Act::Corrected => Vec::new(),
        };
        for actor in &extras {
            enter(actor, &mut self.stage, &mut self.guard)?;
        }
        let probes = matrix::probes(act, self.semantics);
        let outcomes = attempt_all(probes, &self.clients, &self.stage, &mut self.guard)?;
        let scenes = scenes::play(act, &self.clients, &mut self.stage, &mut self.guard)?;
        for outcome in outcomes.iter().chain(&scenes) {
            self.report.probe(outcome)?;
        }
        for actor in &extras {
            self.guard.dismiss(&actor.name)?;
            self.stage.leave(&actor.name)?;
        }
        self.report.end_of_act()?;
        Ok(())
    }

    /// Counts, and clears the stage unless it is to be kept. Gives whether every probe passed.
    pub(crate) fn close(self, keep: bool) -> Result<bool, DemoError> {
        let passed = self.report.conclude()?;
        if keep {
            stand(&self.stage);
        }
        self.guard.close()?;
        self.servers.stop()?;
        Ok(passed)
    }
}

/// The documents of all files.
fn documents(files: &[File]) -> Vec<Document> {
    let parsed = files.iter().map(|(name, text)| parse_documents(name, text));
    parsed.flat_map(|parsed| parsed.documents).collect()
}

/// Somebody comes and is let through at once.
fn enter(actor: &Actor, stage: &mut Stage, guard: &mut Guard) -> Result<(), DemoError> {
    let site = stage.enter(actor)?;
    guard.admit(actor, site)?;
    guard.ready(&actor.name)
}

/// Says how the world can be looked at, and waits to be ended.
fn stand(stage: &Stage) {
    // The number that the rest of the machine knows this process by.
    let process = std::fs::read_link("/proc/self").unwrap_or_default();
    eprintln!("kept; a shell in any of them (Ctrl-C here ends it all):");
    for (name, site) in stage.sites() {
        let handle = site.handle();
        eprintln!(
            "  {name:22} nsenter --net=/proc/{}/fd/{handle}",
            process.display()
        );
    }
    loop {
        thread::park();
    }
}
