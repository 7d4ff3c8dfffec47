//! How much is held by policies, identities and selectors, and by the policies of 100 endpoints?
//!
//! Every allocation is counted, so the figures are exact; prints one JSON object for each.

use std::{alloc::System, error::Error};

use porin::policy::{EndpointPolicy, Options, PolicySet, ResolveError, Resolver};
use porin_benches::{Size, World};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static COUNTED: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// What is allocated and not given back, in bytes.
fn held() -> f64 {
    // What a reallocation adds or takes is in both counts already.
    let counts = COUNTED.stats();
    counts.bytes_allocated as f64 - counts.bytes_deallocated as f64
}

fn main() -> Result<(), Box<dyn Error>> {
    let size = Size::chosen();
    let before = held();
    let (world, _policies, mut resolver) = loaded(size)?;
    let loaded = held();
    print("policy.memory_repo", loaded - before);
    let all = World::HUNDRED
        .map(|number| resolver.resolve(World::pod(number)))
        .collect::<Result<Vec<EndpointPolicy>, ResolveError>>()?;
    print("policy.memory_100", held() - loaded);
    let entries: usize = all.iter().map(|policy| policy.map_state().len()).sum();
    eprintln!("entries of the endpoints: {entries}; {}", world.name());
    Ok(())
}

/// What a node holds, without the texts it was read from.
fn loaded(size: Size) -> Result<(World, PolicySet, Resolver), Box<dyn Error>> {
    let start = held();
    let world = World::new(size)?;
    let identities = held();
    let mut policies = PolicySet::new(Options::default());
    policies.load(world.policies())?;
    let read = held();
    let resolver = Resolver::new(&policies, &world.identities().snapshot());
    let of = |from, to| (to - from) / f64::from(1 << 20);
    eprintln!(
        "MiB: identities {:.1}, policies {:.1}, selectors {:.1}",
        of(start, identities),
        of(identities, read),
        of(read, held()),
    );
    Ok((world, policies, resolver))
}

fn print(id: &str, bytes: f64) {
    println!(
        r#"{{"id":"{id}","value":{},"unit":"MiB"}}"#,
        bytes / f64::from(1 << 20)
    );
}
