//! What does one flow cost as a line of JSON?

use std::hint::black_box;

use porin_benches::{refused_flow, settings};

fn main() {
    let flow = refused_flow();
    let mut criterion = settings();
    criterion
        .benchmark_group("flow.json")
        .bench_function("labels=12", |bencher| {
            bencher.iter(|| black_box(&flow).to_json())
        });
    criterion.final_summary();
}
