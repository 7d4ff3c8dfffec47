//! Random worlds asked of the kernel program.

#![allow(clippy::panic, reason = "a test fails by panicking")]

use std::process::{Command, ExitCode};

use porin_testbed::suite::{Outcome, Test, run};

fn kernel_agrees_in_random_worlds() -> Outcome {
    let mut lab = Command::new(env!("CARGO_BIN_EXE_porin-lab"));
    let output = lab
        .args([
            "agree", "--engine", "kernel", "--seed", "20", "--worlds", "350",
        ])
        .output()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}{complaint}");
    let last = said.lines().last().unwrap_or_default();
    let flows: usize = last.split(' ').next().unwrap_or_default().parse()?;
    assert!(flows >= 20_000, "{said}");
    Ok(())
}

fn main() -> ExitCode {
    run(vec![Test::new(
        "kernel_agrees_in_random_worlds",
        kernel_agrees_in_random_worlds,
    )])
}
