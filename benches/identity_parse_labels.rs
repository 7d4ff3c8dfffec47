//! What does it take to read a pod's six labels from text?

use std::hint::black_box;

use porin::identity::Labels;
use porin_benches::{World, settings};

fn main() {
    let text = World::pod_labels(7, "7").to_string();
    let mut criterion = settings();
    criterion
        .benchmark_group("identity.parse_labels")
        .bench_function("labels=6", |bencher| {
            bencher.iter(|| black_box(&text).parse::<Labels>())
        });
    criterion.final_summary();
}
