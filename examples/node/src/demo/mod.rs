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
mod show;
mod stage;
mod walkthrough;

use std::path::Path;
use std::process::ExitCode;

use porin::policy::Semantics;
use porin_testbed::privileges;

use self::error::DemoError;
use self::probe::Act;
use self::report::Form;
use self::sandbox::{repeat_inside, settle};
use self::show::Show;

/// The exit status of a demonstration that this process is not allowed to give.
const NOT_ALLOWED: u8 = 2;

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
        let mut show = Show::open(args.semantics.into(), args.output, directory)?;
        for &act in args.act.each() {
            show.perform(act)?;
        }
        let passed = show.close(args.keep)?;
        Ok(ExitCode::from(u8::from(!passed)))
    })
}

/// Runs `porin-node setup`: makes the database files that every demonstration copies.
pub(crate) fn setup(args: &SetupArgs) -> ExitCode {
    in_private(args.inside, |directory| {
        servers::prepare(directory)?;
        match servers::template()? {
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
