//! `porin-node`: the reference node enforcer, and the walk-through that shows it.

mod demo;
mod run;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Enforces policies by identity on this node, or shows how that works.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Enforce a directory of policies on this node's endpoints.
    Run(run::RunArgs),
    /// Show the walk-through: namespaces, real servers, real clients, every verdict explained.
    Demo(demo::Args),
    /// Make what the demonstration needs once: its database files.
    Setup(demo::SetupArgs),
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Run(args) => run::main(&args),
        Command::Demo(args) => demo::run(&args),
        Command::Setup(args) => demo::setup(&args),
    }
}
