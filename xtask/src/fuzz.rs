//! `cargo xtask fuzz`: one law of the policy engine against whatever libFuzzer thinks of.
//!
//! The program is built with coverage counters into a target folder of its own, by the toolchain
//! that builds everything else. All files of a run lie under `target/fuzz/`.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
};

use clap::Args;

use crate::{
    failure::Failure,
    workspace::{Workspace, capture, show, succeed},
};

/// What to fuzz, and for how long.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The target; without one, or with `list`, the targets are listed.
    target: Option<String>,
    /// How long to run.
    #[arg(long, default_value_t = 600)]
    seconds: u32,
    /// Where seeds and changes come from; 0 leaves it to the clock.
    #[arg(long, default_value_t = 0)]
    seed: u32,
    /// Only this input, as a crash left it.
    #[arg(long)]
    input: Option<PathBuf>,
}

/// How rustc puts libFuzzer's counters into a program.
const COVERAGE: [&str; 5] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
];

/// The most memory of the whole process, corpus included, in MiB.
const MEMORY: u32 = 2048;
/// The longest that one input may take, in seconds.
const PATIENCE: u32 = 25;

/// One line of the list that the targets' package prints.
#[derive(Debug)]
struct Target {
    name: String,
    max_len: String,
    law: String,
}

/// What a run came to.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Tally {
    executions: u64,
    crashes: u64,
}

/// Builds, runs and counts; success is that nothing crashed.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<ExitCode, Failure> {
    let targets = list(workspace)?;
    let wanted = options.target.as_deref().unwrap_or("list");
    if wanted == "list" {
        for target in &targets {
            println!("{}: {}", target.name, target.law);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let Some(target) = targets.iter().find(|target| target.name == wanted) else {
        let names: Vec<&str> = targets.iter().map(|target| &*target.name).collect();
        return Err(Failure::new(format!(
            "no fuzz target `{wanted}`; there are: {}",
            names.join(", ")
        )));
    };
    // Before a build of minutes.
    let input = options.input.as_deref().map(absolute).transpose()?;
    let program = build(workspace, target)?;
    let home = workspace.target().join("fuzz").join(&target.name);
    let mut command = Command::new(program);
    let crashes = home.join("crashes");
    fs::create_dir_all(&crashes).map_err(|error| Failure::io(crashes.display(), &error))?;
    command
        .current_dir(&crashes)
        .arg(format!("-artifact_prefix={}/", crashes.display()))
        .arg(format!("-timeout={PATIENCE}"))
        .arg(format!("-rss_limit_mb={MEMORY}"));
    match input {
        Some(input) => drop(command.arg(input)),
        None => explore(workspace, options, target, &home, &mut command)?,
    }
    let tally = watch(&mut command, workspace, target, &crashes)?;
    println!(
        "{}: {} executions, {} crashes",
        target.name, tally.executions, tally.crashes
    );
    Ok(match tally.crashes {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}

fn list(workspace: &Workspace) -> Result<Vec<Target>, Failure> {
    let listing = capture(targets(workspace).arg("list"))?;
    let target = |line: &str| {
        let mut parts = line.split('\t').map(str::to_owned);
        Some(Target {
            name: parts.next()?,
            max_len: parts.next()?,
            law: parts.next()?,
        })
    };
    Ok(listing.lines().filter_map(target).collect())
}

/// The program that knows the targets; it is built like any other, without counters.
fn targets(workspace: &Workspace) -> Command {
    let mut command = workspace.cargo();
    command.args(["run", "--quiet", "--package", "porin-fuzz", "--"]);
    command
}

/// Counters go into what is built for a named platform only: not into build scripts and macros.
fn build(workspace: &Workspace, target: &Target) -> Result<PathBuf, Failure> {
    let about = capture(Command::new("rustc").arg("-vV"))?;
    let platform = about
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .ok_or_else(|| Failure::new("`rustc -vV` names no host"))?;
    let folder = workspace.target().join("fuzz").join("build");
    let mut cargo = workspace.cargo();
    cargo
        .env("RUSTFLAGS", COVERAGE.join(" "))
        .args(["build", "--quiet", "--profile", "fuzz"])
        .args(["--package", "porin-fuzz", "--features", "libfuzzer"])
        .args(["--bin", &target.name, "--target", platform, "--target-dir"])
        .arg(&folder);
    eprintln!("xtask: building {} (minutes, the first time)", target.name);
    succeed(&mut cargo)?;
    Ok(folder.join(platform).join("fuzz").join(&target.name))
}

/// Prepares seeds and words; what earlier runs found is used again.
fn explore(
    workspace: &Workspace,
    options: &Options,
    target: &Target,
    home: &Path,
    command: &mut Command,
) -> Result<(), Failure> {
    let (corpus, seeds) = (home.join("corpus"), home.join("seeds"));
    if seeds.exists() {
        fs::remove_dir_all(&seeds).map_err(|error| Failure::io(seeds.display(), &error))?;
    }
    fs::create_dir_all(&corpus).map_err(|error| Failure::io(corpus.display(), &error))?;
    succeed(
        targets(workspace)
            .args(["prepare", &target.name, &options.seed.to_string()])
            .arg(home),
    )?;
    command
        .arg(format!("-max_total_time={}", options.seconds))
        .arg(format!("-seed={}", options.seed))
        .arg(format!("-max_len={}", target.max_len))
        .arg("-print_final_stats=1")
        .args([corpus, seeds]);
    let words = home.join("words");
    if fs::metadata(&words).is_ok_and(|words| words.len() > 0) {
        command.arg(format!("-dict={}", words.display()));
    }
    Ok(())
}

/// Runs the program, shows what it says, and counts.
fn watch(
    command: &mut Command,
    workspace: &Workspace,
    target: &Target,
    crashes: &Path,
) -> Result<Tally, Failure> {
    let shown = show(command);
    let before = files(crashes)?;
    let mut child = command
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| Failure::io(&shown, &error))?;
    let mut tally = Tally::default();
    for line in child
        .stderr
        .take()
        .into_iter()
        .flat_map(|said| BufReader::new(said).split(b'\n'))
    {
        let line = line.map_err(|error| Failure::io(&shown, &error))?;
        let line = String::from_utf8_lossy(&line);
        eprintln!("{line}");
        tally.executions = executions(&line).unwrap_or(tally.executions);
    }
    let status = child.wait().map_err(|error| Failure::io(&shown, &error))?;
    let after = files(crashes)?;
    let kept: Vec<&PathBuf> = after.iter().filter(|path| !before.contains(path)).collect();
    for path in &kept {
        println!(
            "crash: cargo xtask fuzz {} --input {}",
            target.name,
            workspace.show(path)
        );
    }
    if !status.success() && tally.executions == 0 {
        return Err(Failure::new(format!(
            "`{shown}`: {status}, before anything ran"
        )));
    }
    // An input that was given is not kept once more.
    let failed = u64::from(!status.success());
    tally.crashes = failed.max(u64::try_from(kept.len()).unwrap_or(u64::MAX));
    Ok(tally)
}

/// What libFuzzer says about how often it ran the target: at the end, or for a single input.
fn executions(line: &str) -> Option<u64> {
    match line.strip_prefix("stat::number_of_executed_units:") {
        Some(number) => number.trim().parse().ok(),
        None => line.starts_with("Running: ").then_some(1),
    }
}

/// Inputs that libFuzzer kept because they crashed, took too long or too much memory.
fn files(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let failed = |error: &std::io::Error| Failure::io(folder.display(), error);
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(|error| failed(&error))? {
        let path = entry.map_err(|error| failed(&error))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if ["crash-", "timeout-", "oom-"]
            .iter()
            .any(|kind| name.starts_with(kind))
        {
            found.push(path);
        }
    }
    Ok(found)
}

fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    path.canonicalize()
        .map_err(|error| Failure::io(path.display(), &error))
}

#[cfg(test)]
mod tests {
    use super::executions;

    #[test]
    fn executions_are_read_from_what_libfuzzer_says() {
        assert_eq!(
            executions("stat::number_of_executed_units: 4194304"),
            Some(4_194_304)
        );
        assert_eq!(executions("Running: crash-1"), Some(1));
        assert_eq!(executions("#4194304	pulse  cov: 10 ft: 10"), None);
    }
}
