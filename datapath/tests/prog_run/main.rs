//! Packets by hand through the real programs (`BPF_PROG_TEST_RUN`), with every loader.

mod cost;
mod node;

use std::process::ExitCode;

use porin_datapath::Loader;
use porin_testbed::suite::{Outcome, Test, run};

type Body = fn(Loader) -> Outcome;

const TESTS: &[(&str, Body)] = &[("established_cost", cost::established)];

fn main() -> ExitCode {
    let loaders = Loader::available().iter();
    let tests = loaders.flat_map(|loader| {
        TESTS.iter().map(move |(name, body)| {
            Test::new(&format!("kernel_{name}_{loader}"), move || body(*loader))
        })
    });
    run(tests.collect())
}
