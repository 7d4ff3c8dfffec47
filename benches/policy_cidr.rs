//! What does it take to make a table anew of a resolved policy about blocks, without and with denials?

use std::error::Error;

use porin::policy::{Options, PolicySet, Resolver, Semantics};
use porin_benches::{Blocks, is_smoke_run, settings};

fn main() -> Result<(), Box<dyn Error>> {
    let rules = if is_smoke_run() { 50 } else { 1_000 };
    let mut criterion = settings();
    for (id, with_denials) in [("policy.cidr", false), ("policy.cidr_deny", true)] {
        let blocks = Blocks::new(rules, with_denials)?;
        let mut policies = PolicySet::new(Options::new().semantics(Semantics::Cilium));
        policies.load([("blocks.json", &blocks.policy)])?;
        let mut resolver = Resolver::new(&policies, &blocks.identities.snapshot());
        let policy = resolver.resolve(Blocks::SUBJECT)?;
        let entries = policy.map_state().len();
        eprintln!("entries of {id}: {entries}");
        criterion
            .benchmark_group(id)
            .bench_function(format!("rules={rules}"), |bencher| {
                bencher.iter_with_large_drop(|| policy.distil());
            });
    }
    criterion.final_summary();
    Ok(())
}
