//! What does it take to read a whole set of policies, until the first endpoint can be resolved?

use std::error::Error;

use porin::policy::{LoadError, Options, PolicySet, Resolver};
use porin_benches::{Size, World, settings};

fn main() -> Result<(), Box<dyn Error>> {
    let world = World::new(Size::chosen())?;
    let (files, identities) = (world.policies(), world.identities().snapshot());
    let load = || -> Result<(PolicySet, Resolver), LoadError> {
        let mut policies = PolicySet::new(Options::default());
        policies.load(files.iter().map(|(name, text)| (name, text)))?;
        let resolver = Resolver::new(&policies, &identities);
        Ok((policies, resolver))
    };
    load()?;
    let mut criterion = settings();
    criterion
        .benchmark_group("policy.load")
        .bench_function(world.name(), |bencher| bencher.iter(load));
    criterion.final_summary();
    Ok(())
}
