//! `porin-node run`: enforce a directory of policies on this node's endpoints.
//!
//! Everything is pinned before an endpoint becomes ready. However the process ends without being
//! asked to, enforcement goes on, and the next start adopts it. SIGTERM and SIGINT take it all
//! back, unless `--keep-enforcing` is given.

mod bpffs;
mod config;
mod device;
mod error;
mod node;
mod output;
mod policies;

use std::path::PathBuf;
use std::process::ExitCode;

use porin::datapath::probe::probe;

use config::Config;
use error::NodeError;
use node::Node;

/// The arguments of `porin-node run`.
#[derive(Debug, clap::Args)]
pub(crate) struct RunArgs {
    /// Endpoints, policies and where flows go (TOML).
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// On SIGTERM and SIGINT, leave the enforcement in force for the next start to adopt.
    #[arg(long)]
    keep_enforcing: bool,
}

/// The exit status of a process that lacks privileges or has a wrong configuration.
const UNABLE: u8 = 2;

/// Runs until a signal asks to stop.
pub(crate) fn main(args: &RunArgs) -> ExitCode {
    let config = match Config::read(&args.config) {
        Ok(config) => config,
        Err(error) => return fail(&error, UNABLE),
    };
    if let Err(missing) = probe() {
        return fail(&missing, UNABLE);
    }
    match Node::start(config).and_then(|node| node.run(args.keep_enforcing)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error @ NodeError::Privilege(_)) => fail(&error, UNABLE),
        Err(error) => fail(&error, 1),
    }
}

/// Prints an error with its causes.
fn fail(error: &dyn std::error::Error, status: u8) -> ExitCode {
    eprintln!("porin-node: {}", error::with_causes(error));
    ExitCode::from(status)
}
