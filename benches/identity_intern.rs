//! What does a new identity cost, beside those that are there?

use std::error::Error;

use criterion::BatchSize;
use porin_benches::{Size, World, settings};

fn main() -> Result<(), Box<dyn Error>> {
    let size = Size::chosen();
    let world = World::new(size)?;
    let mut registry = world.identities().clone();
    let mut turn = 0_u32;
    let mut unseen = || {
        turn += 1;
        World::pod_labels(turn % size.pods, &format!("new-{turn}"))
    };
    let mut criterion = settings();
    criterion.benchmark_group("identity.intern").bench_function(
        format!("identities={}", size.pods),
        |bencher| {
            bencher.iter_batched(
                &mut unseen,
                |labels| registry.intern(labels),
                BatchSize::SmallInput,
            )
        },
    );
    criterion.final_summary();
    Ok(())
}
