//! What does one new identity cost, until the map state of one endpoint, or of 100, has it?

use std::{
    error::Error,
    hint::black_box,
    time::{Duration, Instant},
};

use porin::{
    identity::{IdentityDelta, IdentityId},
    policy::{EndpointPolicy, MapChange, Options, PolicySet, ResolveError, Resolver},
};
use porin_benches::{Size, World, settings};

fn main() -> Result<(), Box<dyn Error>> {
    let world = World::new(Size::chosen())?;
    let mut policies = PolicySet::new(Options::default());
    policies.load(world.policies())?;
    let mut identities = world.identities().clone();
    identities.take_delta();
    let mut resolver = Resolver::new(&policies, &identities.snapshot());
    identities.insert_fixed(
        IdentityId::new(60_000),
        World::pod_labels(World::EXACT_PEER, "newcomer"),
    )?;
    let come = identities.take_delta();
    let gone = IdentityDelta {
        added: Vec::new(),
        removed: come.added.clone(),
    };
    let mut criterion = settings();
    let of_one = [World::SUBJECT].into_iter().collect();
    let sizes: [(_, Vec<u32>); 2] = [
        ("policy.identity_add_1", of_one),
        ("policy.identity_add_100", World::HUNDRED.collect()),
    ];
    for (id, pods) in sizes {
        let live = pods
            .into_iter()
            .map(|pod| resolver.resolve(World::pod(pod)));
        let mut live = live.collect::<Result<Vec<_>, _>>()?;
        if changes(&mut resolver, &mut live, &come)?.is_empty() {
            return Err("the new identity changes nothing; nothing would be measured".into());
        }
        changes(&mut resolver, &mut live, &gone)?;
        criterion
            .benchmark_group(id)
            .bench_function(world.name(), |bencher| {
                bencher.iter_custom(|rounds| {
                    let mut took = Duration::ZERO;
                    for _ in 0..rounds {
                        let started = Instant::now();
                        let changed = black_box(changes(&mut resolver, &mut live, &come));
                        took += started.elapsed();
                        drop((changed, changes(&mut resolver, &mut live, &gone)));
                    }
                    took
                });
            });
    }
    criterion.final_summary();
    Ok(())
}

/// The writes that bring every table up to date.
fn changes(
    resolver: &mut Resolver,
    live: &mut [EndpointPolicy],
    delta: &IdentityDelta,
) -> Result<Vec<MapChange>, ResolveError> {
    resolver.apply(delta);
    let mut all = Vec::new();
    for policy in live {
        all.extend(resolver.refresh(policy, delta)?);
    }
    Ok(all)
}
