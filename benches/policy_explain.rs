//! What does it take to say why a flow was dropped: which rules came close, and what is in the way?

use std::{error::Error, hint::black_box};

use porin::policy::{Options, PolicySet, Query, Resolver};
use porin_benches::{Size, World, settings};

fn main() -> Result<(), Box<dyn Error>> {
    let world = World::new(Size::chosen())?;
    let mut policies = PolicySet::new(Options::default());
    policies.load(world.policies())?;
    let mut resolver = Resolver::new(&policies, &world.identities().snapshot());
    let policy = resolver.resolve(World::pod(World::SUBJECT))?;
    let query = Query::ingress(World::pod(World::EXACT_PEER)).tcp(12_345);
    if resolver.explain(&policy, &query).near_misses.is_empty() {
        return Err("nothing comes close; too little would be measured".into());
    }
    let mut criterion = settings();
    criterion
        .benchmark_group("policy.explain")
        .bench_function(world.name(), |bencher| {
            bencher.iter(|| resolver.explain(&policy, black_box(&query)));
        });
    criterion.final_summary();
    Ok(())
}
