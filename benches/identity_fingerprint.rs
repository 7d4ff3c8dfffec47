//! What does the fingerprint of six labels cost?

use std::hint::black_box;

use porin::identity::Fingerprint;
use porin_benches::{World, settings};

fn main() {
    let labels = World::pod_labels(7, "7");
    let mut criterion = settings();
    criterion
        .benchmark_group("identity.fingerprint")
        .bench_function("labels=6", |bencher| {
            bencher.iter(|| Fingerprint::of(black_box(&labels)))
        });
    criterion.final_summary();
}
