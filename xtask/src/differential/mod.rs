//! `cargo xtask differential`: random worlds, answered by a real peer and by our engine.
//!
//! Both get the same worlds; the peer's answers are then checked like any recorded ones. A
//! difference is explained if it is one of the defects of the peer that are not imitated, and
//! that is asked, not assumed: the world without what the defect needs has to be answered alike.

mod asking;
mod case;
mod explain;
mod tally;

use std::{fs, path::Path, process::ExitCode, sync::mpsc, thread};

use clap::{Args, ValueEnum};

use self::{asking::Asking, case::Compared, tally::Tally};
use crate::{failure::Failure, workspace::Workspace};

/// Whom to ask, and about how much.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The peer.
    #[arg(long, value_enum, default_value_t = Peer::Cilium)]
    peer: Peer,
    /// Where the worlds come from: the same seed, the same worlds.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many worlds.
    #[arg(long, default_value_t = 500)]
    worlds: u64,
    /// The number of the first world.
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// How many flows to ask about in each world, at most.
    #[arg(long, default_value_t = 60)]
    flows_per_world: usize,
    /// How often the peer is asked about each world, in changing order.
    #[arg(long, default_value_t = 8)]
    rounds: u32,
    /// Which of our engines answers, as `porin-lab vectors --engine` names them.
    #[arg(long, default_value = "fast")]
    engine: String,
    /// How many unexplained differences to describe.
    #[arg(long, default_value_t = 10)]
    show: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Peer {
    /// Cilium's policy engine.
    Cilium,
}

/// Worlds that are asked about at once.
const BATCH: u64 = 200;

/// Asks and compares; success is that nothing is unexplained.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<ExitCode, Failure> {
    let tally = compare(workspace, options)?;
    println!("seed {}, {} worlds", options.seed, options.worlds);
    print!("{tally}");
    Ok(if tally.unexplained() == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The differences that nothing explains in a short run, for the report.
pub(crate) fn unexplained(workspace: &Workspace, worlds: u64) -> Result<usize, Failure> {
    let options = Options {
        peer: Peer::Cilium,
        seed: 1,
        worlds,
        first: 0,
        flows_per_world: 60,
        rounds: 8,
        engine: "fast".to_owned(),
        show: 0,
    };
    Ok(compare(workspace, &options)?.unexplained())
}

fn compare(workspace: &Workspace, options: &Options) -> Result<Tally, Failure> {
    let Peer::Cilium = options.peer;
    let home = workspace.target().join("differential");
    if home.exists() {
        fs::remove_dir_all(&home).map_err(|error| Failure::io(home.display(), &error))?;
    }
    let asking = Asking::build(workspace, &home, options.rounds, &options.engine)?;
    let mut tally = Tally::default();
    let last = options.first + options.worlds;
    thread::scope(|scope| {
        // The peer is asked about the next worlds while ours are asked about these.
        let (answered, next) = mpsc::sync_channel(1);
        let asking = &asking;
        scope.spawn(move || {
            for (batch, first) in (options.first..last).step_by(BATCH as usize).enumerate() {
                let worlds = (first..last.min(first + BATCH)).map(|number| {
                    porin_worlds::world(options.seed, number, options.flows_per_world)
                });
                let cases = asking.peer(&format!("batch-{batch}"), worlds);
                if answered.send((batch, cases)).is_err() {
                    return;
                }
            }
        });
        for (batch, cases) in next {
            for compared in asking.ours(&format!("batch-{batch}"), cases?)? {
                judge(asking, &home, options, &compared, &mut tally)?;
            }
            eprint!("\r{} flows", tally.flows());
        }
        eprintln!();
        Ok(tally)
    })
}

/// Counts a case; what nothing explains is kept as a file of its own.
fn judge(
    asking: &Asking,
    home: &Path,
    options: &Options,
    compared: &Compared,
    tally: &mut Tally,
) -> Result<(), Failure> {
    let findings = explain::findings(asking, compared)?;
    tally.count(compared, &findings);
    let mut unexplained = findings
        .iter()
        .filter(|finding| finding.entry.is_none())
        .peekable();
    if unexplained.peek().is_none() {
        return Ok(());
    }
    let folder = home.join(compared.name());
    fs::create_dir_all(&folder).map_err(|error| Failure::io(folder.display(), &error))?;
    let file = folder.join(asking::FILE);
    fs::write(&file, format!("{}\n", compared.case))
        .map_err(|error| Failure::io(file.display(), &error))?;
    if tally.described < options.show {
        tally.described += 1;
        println!("unexplained: {}", file.display());
        for finding in unexplained.take(5) {
            println!("    {}", finding.text);
        }
    }
    Ok(())
}
