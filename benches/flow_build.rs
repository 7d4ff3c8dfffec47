//! What does it take to put names and labels to one observation?

use std::hint::black_box;

use porin::flow::FlowBuilder;
use porin_benches::{refused_syn, settings, two_pods};

fn main() {
    let (observation, identities) = (refused_syn(), two_pods());
    let builder = FlowBuilder::new("node-1");
    let mut criterion = settings();
    criterion
        .benchmark_group("flow.build")
        .bench_function("labels=12", |bencher| {
            bencher.iter(|| builder.record(black_box(&observation), &identities, &()));
        });
    criterion.final_summary();
}
