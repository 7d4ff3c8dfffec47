//! What does one decision cost: by an exact entry, inside a port range, and with no entry at all?

use std::{error::Error, hint::black_box};

use porin::policy::{Options, PolicySet, Query, Verdict};
use porin_benches::{Size, World, settings};

fn main() -> Result<(), Box<dyn Error>> {
    let world = World::new(Size::chosen())?;
    let mut policies = PolicySet::new(Options::default());
    policies.load(world.policies())?;
    let policy = policies.resolve(World::pod(World::SUBJECT), &world.identities().snapshot())?;
    let from = |peer, port| Query::ingress(World::pod(peer)).tcp(port);
    let questions = [
        (
            "policy.decision_exact",
            from(World::EXACT_PEER, 80),
            Verdict::Allow,
        ),
        (
            "policy.decision_range",
            from(World::RANGE_PEER, 8083),
            Verdict::Allow,
        ),
        (
            "policy.decision_miss",
            from(World::EXACT_PEER, 12_345),
            Verdict::Deny,
        ),
    ];
    let mut criterion = settings();
    for (id, query, expected) in questions {
        let verdict = policy.check(&query).verdict();
        if verdict != expected {
            return Err(format!("{query}: {verdict:?}, not {expected:?}").into());
        }
        criterion
            .benchmark_group(id)
            .bench_function(world.name(), |bencher| {
                bencher.iter(|| policy.check(black_box(&query)))
            });
    }
    criterion.final_summary();
    Ok(())
}
