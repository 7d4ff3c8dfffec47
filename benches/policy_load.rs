//! What does it take to get ready: register the identities, read the policies, match selectors with
//! identities, until the first endpoint can be resolved?

use std::error::Error;

use porin::policy::{Options, PolicySet, Resolver};
use porin_benches::{Size, World, settings};

fn main() -> Result<(), Box<dyn Error>> {
    let world = World::new(Size::chosen())?;
    let (name, files) = (world.name(), world.policies());
    let load = || -> Result<(World, PolicySet, Resolver), Box<dyn Error>> {
        let world = World::new(Size::chosen())?;
        let mut policies = PolicySet::new(Options::default());
        policies.load(files.iter().map(|(name, text)| (name, text)))?;
        let resolver = Resolver::new(&policies, &world.identities().snapshot());
        Ok((world, policies, resolver))
    };
    load()?;
    let mut criterion = settings();
    criterion
        .benchmark_group("policy.load")
        .bench_function(name, |bencher| bencher.iter_with_large_drop(load));
    criterion.final_summary();
    Ok(())
}
