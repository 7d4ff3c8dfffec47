//! Asking all engines about random worlds.

use std::fs;
use std::io::Write;
use std::path::Path;

use porin::flow::Escaped;
use porin::policy::{Protocol, Query};
use porin_laws::{Broken, Random, World, disagreements, history_leaves_no_trace, smallest};
use serde_json::Value;

use crate::args::{Against, Agree};
use crate::failure::Failure;
use crate::vectors::engine::fast;
use crate::vectors::kernel::Kernel;

/// How many disagreements are described.
const SHOWN: usize = 40;

/// Asks about every world, and says whether all agree.
pub(crate) fn run(asked: &Agree, out: &mut impl Write) -> Result<bool, Failure> {
    let mut kernel = kernel(asked.engine)?;
    writeln!(out, "seed {}", asked.seed)?;
    let (mut flows, mut found) = (0, 0);
    for number in asked.first..asked.first + asked.worlds {
        let written = porin_worlds::whole_world(asked.seed, number, asked.flows);
        let world = World::read(&written)?;
        flows += world.queries.len();
        let broken = all(&world, number, asked.engine, kernel.as_mut())?;
        for one in broken.iter().take(SHOWN.saturating_sub(found)) {
            writeln!(
                out,
                "seed {} world {number}: {}",
                asked.seed,
                Escaped(&one.to_string())
            )?;
        }
        if let (Some(folder), false) = (&asked.out, broken.is_empty()) {
            write_world(folder, number, &written)?;
        }
        found += broken.len();
    }
    writeln!(out, "{flows} flows, {found} disagreements")?;
    Ok(found == 0)
}

/// The kernel's engine where it is asked for. Without privileges, `all` goes on without it and says
/// so on standard error.
fn kernel(engine: Against) -> Result<Option<Kernel>, Failure> {
    match engine {
        Against::Fast => Ok(None),
        Against::Kernel => Kernel::load().map(Some),
        Against::All => Ok(Kernel::load()
            .inspect_err(|missing| eprintln!("porin-lab: left out: {}", missing.report()))
            .ok()),
    }
}

/// Everything in which the engines differ about a world, and what a history left behind.
fn all(
    world: &World,
    number: u64,
    engine: Against,
    kernel: Option<&mut Kernel>,
) -> Result<Vec<Broken>, Failure> {
    let mut broken = Vec::new();
    if engine != Against::Kernel {
        broken.extend(disagreements(world)?);
        broken.extend(history_leaves_no_trace(world, &mut Random::new(number)).err());
    }
    if let Some(kernel) = kernel {
        broken.extend(unlike_kernel(world, kernel)?);
    }
    Ok(broken)
}

/// Where the kernel program does other than the compiled policy says.
fn unlike_kernel(world: &World, kernel: &mut Kernel) -> Result<Vec<Broken>, Failure> {
    let set = world.set()?;
    let everybody = world.registry()?.snapshot();
    let Ok(policy) = world.resolve(&set, &everybody) else {
        return Ok(Vec::new());
    };
    let queries: Vec<Query> = world.queries.iter().copied().filter(has_packet).collect();
    let answers = kernel
        .decide(&[(&policy, &queries)])
        .map_err(|fault| Failure::Kernel(fault.to_string()))?
        .pop()
        .unwrap_or_default();
    let unlike = queries.iter().zip(&answers).filter_map(|(query, answer)| {
        let expected = fast(&policy, query);
        let differs = !answer.unlike(&expected).is_empty();
        differs.then(|| Broken::of(format!("{query}: kernel: {answer}; fast: {expected}")))
    });
    Ok(unlike.collect())
}

/// Whether a packet can be made that asks it.
fn has_packet(query: &Query) -> bool {
    [
        Protocol::TCP,
        Protocol::UDP,
        Protocol::SCTP,
        Protocol::ICMP,
        Protocol::ICMPV6,
    ]
    .contains(&query.protocol)
}

/// Writes a world, and beside it the smallest one in which the engines differ still.
fn write_world(folder: &Path, number: u64, world: &Value) -> Result<(), Failure> {
    let fails = |world: &Value| {
        let found = World::read(world).and_then(|world| disagreements(&world));
        found.is_ok_and(|found| !found.is_empty())
    };
    fs::create_dir_all(folder)?;
    fs::write(
        folder.join(format!("world-{number}.json")),
        world.to_string(),
    )?;
    if fails(world) {
        let small = smallest(world, fails);
        fs::write(
            folder.join(format!("smallest-{number}.json")),
            small.to_string(),
        )?;
    }
    Ok(())
}

impl From<Broken> for Failure {
    fn from(broken: Broken) -> Self {
        Self::Refused(broken.to_string())
    }
}
