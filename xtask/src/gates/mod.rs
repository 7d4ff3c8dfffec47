//! `cargo xtask gates`: what must hold and is not a test.

mod attacks;
mod bpf_rules;
mod build;
mod direction;
mod size;
mod source;

use std::{process::ExitCode, time::Instant};

use crate::{failure::Failure, workspace::Workspace};

type Gate = fn(&Workspace) -> Result<Outcome, Failure>;

/// How a gate that did not fail ended.
enum Outcome {
    Holds,
    /// Could not be asked on this machine, with the reason.
    Skipped(&'static str),
}

/// Quick ones first.
const GATES: &[(&str, Gate)] = &[
    ("direction", direction::check),
    ("size", size::check),
    ("modules", source::modules),
    ("unsafe", source::unsafe_code),
    ("bpf-rules", bpf_rules::check),
    ("attack-cases", attacks::check),
    ("fmt", build::rust_format),
    ("clang-format", build::c_format),
    ("bpf-object", build::bpf_object),
    ("clippy", build::clippy),
    ("docs", build::docs),
    ("wasm", build::wasm),
];

/// Runs the named gates, or all; every one is run, even after a failure.
pub(crate) fn run(workspace: &Workspace, names: &[String]) -> Result<ExitCode, Failure> {
    if let Some(unknown) = names
        .iter()
        .find(|name| GATES.iter().all(|(known, _)| known != name))
    {
        let known: Vec<&str> = GATES.iter().map(|(name, _)| *name).collect();
        return Err(Failure::new(format!(
            "no gate `{unknown}`; there are: {}",
            known.join(", ")
        )));
    }
    let (mut held, mut failed, mut skipped) = (0, 0, 0);
    for (name, gate) in GATES {
        if !names.is_empty() && !names.iter().any(|wanted| wanted == name) {
            continue;
        }
        let started = Instant::now();
        let outcome = gate(workspace);
        let took = started.elapsed().as_secs_f64();
        match outcome {
            Ok(Outcome::Holds) => {
                held += 1;
                println!("gate {name}: holds ({took:.1} s)");
            }
            Ok(Outcome::Skipped(reason)) => {
                skipped += 1;
                println!("gate {name}: skipped, {reason}");
            }
            Err(failure) => {
                failed += 1;
                println!("gate {name}: FAILED ({took:.1} s)\n{failure}");
            }
        }
    }
    println!("{held} gates hold, {failed} failed, {skipped} skipped");
    Ok(if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Turns a list of complaints into a gate's result.
fn judge(complaints: &[String]) -> Result<Outcome, Failure> {
    if complaints.is_empty() {
        Ok(Outcome::Holds)
    } else {
        Err(Failure::new(complaints.join("\n")))
    }
}
