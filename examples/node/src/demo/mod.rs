//! The walk-through on real packets: a world of network namespaces with real servers, and every
//! line of its acceptance matrix tried with real clients.

mod attempt;
mod cast;
mod client;
mod error;
mod frame;
mod guard;
mod matrix;
mod probe;
mod report;
mod sandbox;
mod scenes;
mod servers;
mod stage;
mod walkthrough;

use std::path::Path;
use std::process::ExitCode;
use std::thread;

use porin::policy::{Document, Options, Semantics, World, lint, parse_documents};
use porin_testbed::privileges;

use self::attempt::attempt_all;
use self::cast::{Actor, cast, look_alikes};
use self::client::Clients;
use self::error::DemoError;
use self::guard::Guard;
use self::probe::Act;
use self::report::{Form, Report};
use self::sandbox::{repeat_inside, settle};
use self::servers::{Servers, WebSite};
use self::stage::Stage;

/// The exit status of a demonstration that this process is not allowed to give.
const NOT_ALLOWED: u8 = 2;

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

/// Options of `porin-node demo`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Which act to show.
    #[arg(long, value_enum, default_value_t)]
    act: Acts,
    /// Whose reading of the policies is enforced.
    #[arg(long, value_enum, default_value_t)]
    semantics: Reading,
    /// The form of the report.
    #[arg(short, long = "output", value_enum, default_value_t)]
    output: Form,
    /// Leave the world standing at the end, until Ctrl-C.
    #[arg(long)]
    keep: bool,
    #[arg(long = sandbox::INSIDE, hide = true)]
    inside: bool,
}

/// Options of `porin-node setup`.
#[derive(Debug, clap::Args)]
pub(crate) struct SetupArgs {
    #[arg(long = sandbox::INSIDE, hide = true)]
    inside: bool,
}

#[derive(Debug, Clone, Copy, Default, clap::ValueEnum)]
enum Acts {
    AsWritten,
    Corrected,
    #[default]
    Both,
}

impl Acts {
    fn each(self) -> &'static [Act] {
        match self {
            Self::AsWritten => &[Act::AsWritten],
            Self::Corrected => &[Act::Corrected],
            Self::Both => &[Act::AsWritten, Act::Corrected],
        }
    }
}

#[derive(Debug, Clone, Copy, Default, clap::ValueEnum)]
enum Reading {
    #[default]
    Strict,
    Cilium,
}

impl From<Reading> for Semantics {
    fn from(reading: Reading) -> Self {
        match reading {
            Reading::Strict => Self::Strict,
            Reading::Cilium => Self::Cilium,
        }
    }
}

/// Runs `porin-node demo`.
pub(crate) fn run(args: &Args) -> ExitCode {
    in_private(args.inside, |directory| {
        let passed = show(args, directory)?;
        Ok(ExitCode::from(u8::from(!passed)))
    })
}

/// Runs `porin-node setup`: makes the database files that every demonstration copies.
pub(crate) fn setup(args: &SetupArgs) -> ExitCode {
    in_private(args.inside, |directory| {
        servers::prepare(directory)?;
        match servers::template() {
            Some(place) => println!("database files: {}", place.display()),
            None => println!("no build directory: every demonstration makes database files"),
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// Does the work in a room of its own, which a first call of the program makes for the second.
fn in_private(inside: bool, work: impl FnOnce(&Path) -> Result<ExitCode, DemoError>) -> ExitCode {
    let result = if inside {
        settle()
            .map_err(DemoError::from)
            .and_then(|directory| work(&directory))
    } else if let Err(missing) = privileges() {
        eprintln!("porin-node: {missing}");
        return ExitCode::from(NOT_ALLOWED);
    } else {
        repeat_inside().map_err(DemoError::from)
    };
    result.unwrap_or_else(|error| {
        complain(&error);
        ExitCode::FAILURE
    })
}

fn complain(error: &dyn std::error::Error) {
    eprint!("porin-node: {error}");
    let mut source = error.source();
    while let Some(cause) = source {
        eprint!(": {cause}");
        source = cause.source();
    }
    eprintln!();
}

/// The whole evening: the stage, the acts, the end. Gives whether every probe passed.
fn show(args: &Args, directory: &Path) -> Result<bool, DemoError> {
    let world = walkthrough::world()?;
    let clients = Clients::find()?;
    let mut stage = Stage::new()?;
    let mut guard = Guard::start(args.semantics.into())?;
    servers::prepare(directory)?;
    for actor in cast(&world) {
        enter(&actor, &mut stage, &mut guard)?;
    }
    let servers = Servers::start(&stage, directory, &SITES)?;
    let mut report = Report::new(args.output);
    for &act in args.act.each() {
        perform(
            act,
            args,
            &world,
            &clients,
            &mut stage,
            &mut guard,
            &mut report,
        )?;
    }
    let passed = report.conclude()?;
    if args.keep {
        keep(&stage);
    }
    guard.close()?;
    servers.stop()?;
    Ok(passed)
}

/// One act: its policies in force, its matrix, its scenes.
fn perform(
    act: Act,
    args: &Args,
    world: &World,
    clients: &Clients,
    stage: &mut Stage,
    guard: &mut Guard,
    report: &mut Report,
) -> Result<(), DemoError> {
    let semantics = args.semantics.into();
    let files = walkthrough::policies(act);
    let documents: Vec<Document> = files
        .iter()
        .flat_map(|(name, text)| parse_documents(name, text).documents)
        .collect();
    let options = Options::new().semantics(semantics);
    report.act(act, semantics, &lint(&documents, Some(world), &options))?;
    guard.load(files)?;
    let extras = match act {
        Act::AsWritten => look_alikes().to_vec(),
        Act::Corrected => Vec::new(),
    };
    for actor in &extras {
        enter(actor, stage, guard)?;
    }
    for outcome in attempt_all(matrix::probes(act, semantics), clients, stage, guard)? {
        report.probe(&outcome)?;
    }
    for outcome in scenes::play(act, clients, stage, guard)? {
        report.probe(&outcome)?;
    }
    for actor in &extras {
        guard.dismiss(&actor.name)?;
        stage.leave(&actor.name)?;
    }
    report.end_of_act()?;
    Ok(())
}

/// Somebody comes and is let through at once.
fn enter(actor: &Actor, stage: &mut Stage, guard: &mut Guard) -> Result<(), DemoError> {
    let site = stage.enter(actor)?;
    guard.admit(actor, site)?;
    guard.ready(&actor.name)
}

/// Says how the world can be looked at, and waits to be ended.
fn keep(stage: &Stage) {
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
