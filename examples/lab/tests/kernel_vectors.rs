//! The recorded answers asked of the kernel program.

#![allow(clippy::panic, reason = "a test fails by panicking")]

use std::process::{Command, ExitCode};

use porin_testbed::suite::{Outcome, Test, run};

fn kernel_decides_as_recorded() -> Outcome {
    let files = [
        "policy-unit",
        "policy-generated",
        "knp-generated",
        "anp-generated",
    ]
    .map(|kind| format!("{}/../../vectors/{kind}.jsonl", env!("CARGO_MANIFEST_DIR")));
    let mut lab = Command::new(env!("CARGO_BIN_EXE_porin-lab"));
    let output = lab
        .args(["vectors", "--engine", "all"])
        .args(files)
        .output()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}{complaint}");
    assert!(complaint.is_empty(), "every engine takes part: {complaint}");
    let last = said.lines().last().unwrap_or_default();
    let passed: usize = last.split(' ').next().unwrap_or_default().parse()?;
    assert!(passed > 210, "{said}");
    Ok(())
}

fn main() -> ExitCode {
    run(vec![Test::new(
        "kernel_decides_as_recorded",
        kernel_decides_as_recorded,
    )])
}
