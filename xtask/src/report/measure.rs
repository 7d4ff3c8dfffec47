//! Running our own benches and reading what they say.

use std::{fs, path::Path, process::Command};

use serde::Deserialize;

use super::{Section, Values};
use crate::{
    failure::Failure,
    workspace::{Workspace, capture, read},
};

/// A line of a bench that prints its figures itself.
#[derive(Debug, Deserialize)]
struct Line {
    id: String,
    value: f64,
}

/// What of criterion's estimates is used.
#[derive(Debug, Deserialize)]
struct Estimates {
    median: Estimate,
}

#[derive(Debug, Deserialize)]
struct Estimate {
    point_estimate: f64,
}

/// Runs the benches of a section once and adds one value per figure.
pub(super) fn ours(
    workspace: &Workspace,
    section: Section,
    values: &mut Values,
) -> Result<(), Failure> {
    let home = workspace.target().join("report").join(section.name());
    if home.exists() {
        fs::remove_dir_all(&home).map_err(|error| Failure::io(home.display(), &error))?;
    }
    let mut command = workspace.cargo();
    command
        .env("CRITERION_HOME", &home)
        .args(["bench", "--quiet", "--package", "porin-benches"]);
    for bench in benches(workspace, section)? {
        command.args(["--bench", &bench]);
    }
    if section == Section::Datapath {
        return lines(&mut command, values);
    }
    // Criterion tells its progress on standard output, which is ours to keep clean.
    let told = capture(command.args(["--", "--noplot"]))?;
    let (figures, progress): (Vec<_>, Vec<_>) =
        told.lines().partition(|line| line.starts_with('{'));
    eprintln!("{}", progress.join("\n"));
    read_lines(&figures, values)?;
    estimates(&home, values)
}

/// The bench targets whose names begin with the section's.
fn benches(workspace: &Workspace, section: Section) -> Result<Vec<String>, Failure> {
    let metadata = workspace.metadata()?;
    let packages = metadata.workspace_packages();
    let targets = packages
        .iter()
        .filter(|package| package.name.as_str() == "porin-benches")
        .flat_map(|package| &package.targets);
    let names: Vec<String> = targets
        .filter(|target| target.is_bench() && target.name.starts_with(section.name()))
        .map(|target| target.name.clone())
        .collect();
    if names.is_empty() {
        return Err(Failure::new(format!(
            "no bench of section `{}`",
            section.name()
        )));
    }
    Ok(names)
}

/// Reads figures printed as one JSON object per line.
pub(super) fn lines(command: &mut Command, values: &mut Values) -> Result<(), Failure> {
    let told = capture(command)?;
    let figures: Vec<_> = told.lines().filter(|line| line.starts_with('{')).collect();
    read_lines(&figures, values)
}

fn read_lines(figures: &[&str], values: &mut Values) -> Result<(), Failure> {
    for line in figures {
        let line: Line = serde_json::from_str(line)
            .map_err(|error| Failure::new(format!("`{line}`: {error}")))?;
        values.entry(line.id).or_default().push(line.value);
    }
    Ok(())
}

/// Reads criterion's folders: a group is a figure, the one function in it names the sizes.
fn estimates(home: &Path, values: &mut Values) -> Result<(), Failure> {
    for group in folders(home)? {
        let Some(id) = group.file_name().and_then(|name| name.to_str()) else {
            continue;
        };
        for function in folders(&group)? {
            let file = function.join("new").join("estimates.json");
            if !file.exists() {
                continue;
            }
            let text = read(&file)?;
            let estimates: Estimates = serde_json::from_str(&text)
                .map_err(|error| Failure::new(format!("{}: {error}", file.display())))?;
            values
                .entry(id.to_owned())
                .or_default()
                .push(estimates.median.point_estimate);
        }
    }
    Ok(())
}

fn folders(parent: &Path) -> Result<Vec<std::path::PathBuf>, Failure> {
    let entries = fs::read_dir(parent).map_err(|error| Failure::io(parent.display(), &error))?;
    Ok(entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.is_dir())
        .collect())
}
