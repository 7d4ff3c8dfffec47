//! `cargo xtask test` and `cargo xtask demo`: cargo's own runs, counted.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    os::unix::process::CommandExt as _,
    process::{Command, ExitCode, Stdio},
    time::{Duration, Instant},
};

use crate::{
    failure::Failure,
    workspace::{Workspace, show},
};

/// Runs of `cargo test` that together are the whole suite.
const RUNS: &[(&str, &[&str])] = &[
    (
        "whole workspace, both loaders",
        &["--workspace", "--all-features"],
    ),
    (
        "datapath with libbpf alone",
        &[
            "--package",
            "porin-datapath",
            "--no-default-features",
            "--features",
            "libbpf",
            "--tests",
        ],
    ),
    (
        "one pass of every benchmark",
        &["--workspace", "--all-features", "--bench", "*"],
    ),
];

/// What one run, or all of them, came to.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Count {
    passed: u64,
    failed: u64,
    skipped: u64,
}

impl Count {
    /// Reads a runner's line `test result: ok. 3 passed; 0 failed; 1 ignored; …`.
    fn parse(line: &str) -> Option<Self> {
        let (_, numbers) = line.strip_prefix("test result: ")?.split_once(". ")?;
        let mut count = Self::default();
        for part in numbers.split(';') {
            let (number, word) = part.trim().split_once(' ')?;
            match word {
                "passed" => count.passed = number.parse().ok()?,
                "failed" => count.failed = number.parse().ok()?,
                "ignored" => count.skipped = number.parse().ok()?,
                _ => break,
            }
        }
        Some(count)
    }

    fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

/// Runs every test; the runner's own lines pass through, their sum is the last line.
pub(crate) fn test(workspace: &Workspace) -> Result<ExitCode, Failure> {
    let mut total = Count::default();
    let mut ends = Vec::new();
    let mut broken = false;
    for (name, arguments) in RUNS {
        let mut command = workspace.cargo();
        command.arg("test").args(*arguments).arg("--no-fail-fast");
        println!("\n== {name}: {}", show(&command));
        let started = Instant::now();
        let (count, success) = count(&mut command)?;
        broken |= !success;
        total.add(count);
        ends.push((*name, count, success, started.elapsed()));
    }
    println!();
    for (name, count, success, took) in ends {
        print_end(name, count, success, took);
    }
    println!(
        "{} passed, {} failed, {} skipped",
        total.passed, total.failed, total.skipped
    );
    Ok(if broken || total.failed > 0 {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

fn print_end(name: &str, count: Count, success: bool, took: Duration) {
    let word = match (success, count.failed) {
        (true, _) => "ok",
        (false, 0) => "FAILED (cargo itself; see above)",
        (false, _) => "FAILED",
    };
    println!(
        "{name}: {word}, {} passed, {} failed, {} skipped, {:.0} s",
        count.passed,
        count.failed,
        count.skipped,
        took.as_secs_f64()
    );
}

/// Runs a command, shows what it prints and adds up the results in it.
fn count(command: &mut Command) -> Result<(Count, bool), Failure> {
    let shown = show(command);
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| Failure::io(&shown, &error))?;
    let mut count = Count::default();
    if let Some(output) = child.stdout.take() {
        let mut ours = std::io::stdout();
        for line in BufReader::new(output).split(b'\n') {
            let line = line.map_err(|error| Failure::io(&shown, &error))?;
            let line = String::from_utf8_lossy(&line);
            writeln!(ours, "{line}").map_err(|error| Failure::io("standard output", &error))?;
            if let Some(one) = Count::parse(&line) {
                count.add(one);
            }
        }
    }
    let status = child.wait().map_err(|error| Failure::io(&shown, &error))?;
    Ok((count, status.success()))
}

/// Becomes the demo, so that signals and the exit status are its own; returns only on failure.
pub(crate) fn demo(workspace: &Workspace, arguments: &[String]) -> Failure {
    let mut command = workspace.cargo();
    command
        .args(["run", "--quiet", "--package", "porin-node", "--", "demo"])
        .args(arguments);
    let error = command.exec();
    Failure::io(show(&command), &error)
}

#[cfg(test)]
mod tests {
    use super::Count;

    #[test]
    fn results_of_the_runner_are_read() {
        let line = "test result: ok. 12 passed; 1 failed; 3 ignored; 0 measured; 7 filtered out; finished in 0.02s";
        assert_eq!(
            Count::parse(line),
            Some(Count {
                passed: 12,
                failed: 1,
                skipped: 3
            })
        );
        let failed =
            "test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out";
        assert_eq!(
            Count::parse(failed),
            Some(Count {
                passed: 1,
                failed: 2,
                skipped: 0
            })
        );
        assert_eq!(Count::parse("running 3 tests"), None);
    }
}
