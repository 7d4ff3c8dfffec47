//! Tasks of the workspace, run as `cargo xtask TASK`.

mod bpf;
mod differential;
mod failure;
mod fuzz;
mod gates;
mod packages;
mod peers;
mod report;
mod setup;
mod soak;
mod suite;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::{failure::Failure, workspace::Workspace};

/// Tasks of the workspace.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Install the system packages that are missing and prepare the demo's database.
    Setup,
    /// Set up, then run the walk-through on real packets (needs root).
    Demo {
        /// Passed on to `porin-node demo`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Set up, then run every test of the workspace.
    Test,
    /// Check what is not a test: formatting, lints, docs, dependency direction, sizes, BPF object.
    Gates {
        /// Only these gates; all of them when none is named.
        names: Vec<String>,
    },
    /// Rebuild the embedded BPF object.
    Bpf {
        /// Change nothing; fail unless the committed object equals a fresh build.
        #[arg(long)]
        check: bool,
    },
    /// Measure, and print one figure per line.
    Report(report::Options),
    /// Ask a real peer and our engine about random worlds, and compare their answers.
    Differential(differential::Options),
    /// Run the tests that have a full size at that size.
    Soak(soak::Options),
    /// Hold a law of the policy engine against whatever libFuzzer thinks of.
    Fuzz(fuzz::Options),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli.task) {
        Ok(status) => status,
        Err(failure) => {
            eprintln!("xtask: {failure}");
            failure.exit_code()
        }
    }
}

fn run(task: Task) -> Result<ExitCode, Failure> {
    let workspace = Workspace::locate()?;
    match task {
        Task::Setup => setup::run(&workspace).map(|()| ExitCode::SUCCESS),
        Task::Demo { arguments } => {
            setup::run(&workspace)?;
            Err(suite::demo(&workspace, &arguments))
        }
        Task::Test => {
            setup::run(&workspace)?;
            suite::test(&workspace)
        }
        Task::Gates { names } => gates::run(&workspace, &names),
        Task::Bpf { check: true } => bpf::check(&workspace).map(|()| ExitCode::SUCCESS),
        Task::Bpf { check: false } => bpf::rebuild(&workspace).map(|()| ExitCode::SUCCESS),
        Task::Report(options) => report::run(&workspace, &options).map(|()| ExitCode::SUCCESS),
        Task::Differential(options) => differential::run(&workspace, &options),
        Task::Soak(options) => soak::run(&workspace, &options),
        Task::Fuzz(options) => fuzz::run(&workspace, &options),
    }
}
