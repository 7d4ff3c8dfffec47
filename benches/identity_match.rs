//! How long does it take to find out which identities a selector of two labels picks?

use std::error::Error;

use porin::identity::{IdentityId, Selector};
use porin_benches::{Size, World, settings};

fn main() -> Result<(), Box<dyn Error>> {
    let size = Size::chosen();
    let world = World::new(size)?;
    let selector: Selector = "k8s:io.kubernetes.pod.namespace=ns-6,tier=t1".parse()?;
    let matching = || {
        let picked = world
            .identities()
            .iter()
            .filter(|(_, labels)| selector.matches(labels));
        picked.map(|(id, _)| id).collect::<Vec<IdentityId>>()
    };
    let mut criterion = settings();
    criterion
        .benchmark_group("identity.match")
        .bench_function(format!("identities={}", size.pods), |bencher| {
            bencher.iter(matching)
        });
    criterion.final_summary();
    Ok(())
}
