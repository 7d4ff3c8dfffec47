//! Recorded truth tables of NetworkPolicy with real packets: every pod has a namespace, the enforcer
//! holds the node between them, and who reaches whom is what the table says.
//!
//! On every way that the table speaks of goes one packet for every probe. What is allowed must
//! arrive; what is denied must be reported as dropped by the policy of the end that denies it, and
//! must not arrive. `PORIN_CASES` says how many cases are run.

#![allow(clippy::indexing_slicing, reason = "a failed step is a failed test")]

mod case;
mod field;
mod probes;

use std::time::Duration;

use porin_testbed::Namespace;
use porin_testbed::suite::{Failed, Outcome, Test, run};

use case::Case;
use field::Field;

const CASES: usize = 8;

fn main() -> std::process::ExitCode {
    run(vec![Test::new(
        "kernel_matrices_are_as_recorded",
        matrices_are_as_recorded,
    )])
}

pub(crate) fn now() -> Duration {
    Duration::from_secs(1)
}

fn matrices_are_as_recorded() -> Outcome {
    let given = std::env::var("PORIN_CASES").ok();
    let count = given.and_then(|count| count.parse().ok()).unwrap_or(CASES);
    let cases = case::some(count)?;
    let (mut cells, mut steps) = (0, 0);
    for case in &cases {
        let node = Namespace::new()?;
        node.forward()?;
        let compared =
            node.run(|| follow(case).map_err(|error| format!("{}: {error:?}", case.name)))??;
        cells += compared;
        steps += case.steps.len();
    }
    eprintln!(
        "matrices: {} cases, {steps} tables, {cells} cells with real packets, 0 differ",
        cases.len()
    );
    assert!(cells > 100 * cases.len() / 2, "only {cells} cells");
    Ok(())
}

/// Goes through a case; how many cells were compared.
fn follow(case: &Case) -> Result<usize, Failed> {
    let mut field = Field::new()?;
    let mut cluster = &case.cluster;
    let mut cells = 0;
    for (number, step) in (1..).zip(&case.steps) {
        cluster = step.cluster.as_ref().unwrap_or(cluster);
        field.follow(cluster, step)?;
        let (differences, compared) = probes::compare(&mut field, &step.expect)?;
        if !differences.is_empty() {
            return Err(format!("step {number}:\n{}", differences.join("\n")).into());
        }
        cells += compared;
    }
    field.enforcer.close()?;
    Ok(cells)
}
