//! What does it take to resolve one endpoint's policy to a map state, with nothing known about its
//! peers' selectors (cold), and after a new revision, with the selectors known (warm)? And what for
//! the first 100 endpoints of a node?

use std::error::Error;

use criterion::BatchSize;
use porin::policy::{Options, PolicySet, Resolver};
use porin_benches::{Size, World, settings};

fn main() -> Result<(), Box<dyn Error>> {
    let world = World::new(Size::chosen())?;
    let mut policies = PolicySet::new(Options::default());
    policies.load(world.policies())?;
    let identities = world.identities().snapshot();
    let subject = World::pod(World::SUBJECT);
    let mut criterion = settings();
    criterion
        .benchmark_group("policy.resolve_cold")
        .bench_function(world.name(), |bencher| {
            bencher.iter_batched_ref(
                || Resolver::new(&policies, &identities),
                |resolver| resolver.resolve(subject),
                BatchSize::PerIteration,
            );
        });
    let mut resolver = Resolver::new(&policies, &identities);
    let entries = resolver.resolve(subject)?.map_state().len();
    eprintln!("entries of the measured endpoint: {entries}");
    criterion
        .benchmark_group("policy.resolve_warm")
        .bench_function(world.name(), |bencher| {
            bencher.iter(|| {
                resolver.update(&policies);
                resolver.resolve(subject)
            });
        });
    let hundred: Vec<_> = World::HUNDRED.map(World::pod).collect();
    criterion
        .benchmark_group("policy.resolve_100")
        .bench_function(world.name(), |bencher| {
            bencher.iter_batched_ref(
                || Resolver::new(&policies, &identities),
                |resolver| {
                    hundred
                        .iter()
                        .map(|pod| resolver.resolve(*pod))
                        .collect::<Vec<_>>()
                },
                BatchSize::PerIteration,
            );
        });
    criterion.final_summary();
    Ok(())
}
