//! What does it cost to ask whether a flow passes a filter of verdict, port and label?

use std::{error::Error, hint::black_box};

use porin::flow::Filters;
use porin_benches::{refused_flow, settings};

fn main() -> Result<(), Box<dyn Error>> {
    let flow = refused_flow();
    let filters = Filters::from_args([
        "--verdict",
        "DROPPED",
        "--port",
        "8080",
        "--from-label",
        "app=app-1",
    ])?;
    let mut criterion = settings();
    criterion
        .benchmark_group("flow.filter")
        .bench_function("conditions=3", |bencher| {
            bencher.iter(|| filters.matches(black_box(&flow)))
        });
    criterion.final_summary();
    Ok(())
}
