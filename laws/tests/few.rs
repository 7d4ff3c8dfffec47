//! Every law, in a few worlds.

use std::ops::Range;

use porin_laws::{Broken, Random, World, disagreements};

const SEED: u64 = 1;
const WORLDS: Range<u64> = 0..100;

fn every_world(
    flows: usize,
    law: impl Fn(&World, u64) -> Result<(), Broken>,
) -> Result<(), Broken> {
    for number in WORLDS {
        let world = World::random(SEED, number, flows)?;
        law(&world, number).map_err(|broken| Broken::of(format!("world {number}: {broken}")))?;
    }
    Ok(())
}

#[test]
fn the_engines_agree() -> Result<(), Broken> {
    every_world(60, |world, _| {
        let first = disagreements(world)?.into_iter().next();
        first.map_or(Ok(()), Err)
    })
}

#[test]
fn history_leaves_no_trace() -> Result<(), Broken> {
    every_world(20, |world, number| {
        porin_laws::history_leaves_no_trace(world, &mut Random::new(number))
    })
}
