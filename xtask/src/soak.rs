//! `cargo xtask soak`: the tests that run for seconds every time, at their full size.

use std::process::ExitCode;

use clap::{Args, ValueEnum};

use crate::{
    failure::Failure,
    workspace::{Workspace, show},
};

/// Which test, and how much of it.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The test; without one, all of them in turn.
    #[arg(value_enum)]
    test: Option<Soak>,
    /// How much of it, instead of its full size.
    #[arg(long)]
    count: Option<u64>,
    /// Where chance comes from; the clock, if nothing is said. It is printed in either case.
    #[arg(long)]
    seed: Option<u64>,
}

/// A test that has a full size.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Soak {
    /// 10,000,000 packets of every kind, judged by the kernel's programs as by the evaluator, through
    /// histories of everything that can change; and as many that begin a flow (minutes).
    Packets,
    /// 2,000 swaps of a policy of 10,000 entries, every one of which changes, under packets by hand
    /// and again under real ones; none is judged by a mixture (minutes).
    Swap,
    /// 300 recorded truth tables of NetworkPolicy with real packets between namespaces, of the larger
    /// collection if it is there (minutes).
    Matrices,
    /// 200 processes killed in the midst of changes, at hooks of either kind, and 200 times
    /// `porin-node run` (minutes).
    Kills,
    /// 1,000,000 births of an endpoint that sends from its first moment on (minutes).
    Births,
}

impl Soak {
    /// What its size is counted by, and the full size.
    const fn size(self) -> (&'static str, u64) {
        match self {
            Self::Packets => ("PORIN_PACKETS", 10_000_000),
            Self::Swap => ("PORIN_SWAPS", 2_000),
            Self::Matrices => ("PORIN_CASES", 300),
            Self::Kills => ("PORIN_KILLS", 200),
            Self::Births => ("PORIN_BIRTHS", 1_000_000),
        }
    }

    /// What `cargo test` is told.
    const fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Packets => &[
                "--package",
                "porin-datapath",
                "--test",
                "prog_run",
                "differential",
            ],
            Self::Swap => &[
                "--package",
                "porin-datapath",
                "--test",
                "prog_run",
                "--test",
                "kernel_packets",
                "swap_of_ten_thousand",
            ],
            Self::Matrices => &[
                "--package",
                "porin",
                "--features",
                "enforcer,aya",
                "--test",
                "kernel_matrices",
            ],
            Self::Kills => &[
                "--package",
                "porin-datapath",
                "--package",
                "porin-node",
                "--test",
                "kernel_packets",
                "--test",
                "kernel_run",
                "ac_14",
            ],
            Self::Births => &["--package", "porin-datapath", "--test", "prog_run", "ac_12"],
        }
    }
}

/// Runs what was asked for; success is that all of it held.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<ExitCode, Failure> {
    let chosen = options
        .test
        .map_or(Soak::value_variants().to_vec(), |one| vec![one]);
    let mut code = ExitCode::SUCCESS;
    for soak in chosen {
        let (name, full) = soak.size();
        let mut command = workspace.cargo();
        command
            .args(["test", "--release"])
            .args(soak.arguments())
            .env("PORIN_REQUIRE_KERNEL", "1")
            .env(name, options.count.unwrap_or(full).to_string());
        if let Some(seed) = options.seed {
            command.env("PORIN_SEED", seed.to_string());
        }
        let shown = show(&command);
        println!("\n== {name}={}: {shown}", options.count.unwrap_or(full));
        let status = command
            .status()
            .map_err(|error| Failure::io(&shown, &error))?;
        if !status.success() {
            code = ExitCode::FAILURE;
        }
    }
    Ok(code)
}
