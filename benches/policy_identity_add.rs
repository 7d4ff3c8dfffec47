//! What does one new identity cost, until the map state of one endpoint has it?

use std::{
    error::Error,
    hint::black_box,
    time::{Duration, Instant},
};

use porin::{
    identity::{IdentityDelta, IdentityId},
    policy::{Options, PolicySet, Resolver},
};
use porin_benches::{Size, World, settings};

fn main() -> Result<(), Box<dyn Error>> {
    let world = World::new(Size::chosen())?;
    let mut policies = PolicySet::new(Options::default());
    policies.load(world.policies())?;
    let mut identities = world.identities().clone();
    identities.take_delta();
    let mut resolver = Resolver::new(&policies, &identities.snapshot());
    let mut policy = resolver.resolve(World::pod(World::SUBJECT))?;
    identities.insert_fixed(
        IdentityId::new(60_000),
        World::pod_labels(World::EXACT_PEER, "newcomer"),
    )?;
    let come = identities.take_delta();
    let gone = IdentityDelta {
        added: Vec::new(),
        removed: come.added.clone(),
    };
    let mut change = |delta| {
        resolver.apply(delta);
        resolver.refresh(&mut policy, delta)
    };
    if change(&come)?.is_empty() {
        return Err("the new identity changes nothing; nothing would be measured".into());
    }
    change(&gone)?;
    let mut criterion = settings();
    criterion
        .benchmark_group("policy.identity_add_1")
        .bench_function(world.name(), |bencher| {
            bencher.iter_custom(|rounds| {
                let mut took = Duration::ZERO;
                for _ in 0..rounds {
                    let started = Instant::now();
                    let changed = black_box(change(&come));
                    took += started.elapsed();
                    drop((changed, change(&gone)));
                }
                took
            });
        });
    criterion.final_summary();
    Ok(())
}
