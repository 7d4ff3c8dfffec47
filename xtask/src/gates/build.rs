//! Gates that ask a compiler or a formatter.

use std::{collections::BTreeSet, path::Path, process::Command};

use super::Outcome;
use crate::{
    bpf,
    failure::Failure,
    workspace::{Workspace, capture, succeed},
};

/// Build everywhere Rust does, browsers included.
const PURE: &[&str] = &["porin-identity", "porin-policy", "porin-flow"];
const WASM: &str = "wasm32-unknown-unknown";

pub(super) fn rust_format(workspace: &Workspace) -> Result<Outcome, Failure> {
    succeed(workspace.cargo().args(["fmt", "--all", "--check"])).map(|()| Outcome::Holds)
}

pub(super) fn c_format(workspace: &Workspace) -> Result<Outcome, Failure> {
    let files = workspace.files(&[".c", ".h"])?;
    let mut command = Command::new("clang-format-22");
    command
        .current_dir(workspace.root())
        .args(["--dry-run", "--Werror"])
        .args(files);
    succeed(&mut command).map(|()| Outcome::Holds)
}

pub(super) fn bpf_object(workspace: &Workspace) -> Result<Outcome, Failure> {
    bpf::check(workspace).map(|()| Outcome::Holds)
}

/// The whole workspace as it is built by default and with everything on, then each library
/// with no feature and with each feature alone.
pub(super) fn clippy(workspace: &Workspace) -> Result<Outcome, Failure> {
    let lint = |arguments: &[&str]| {
        let mut command = workspace.cargo();
        command
            .args(["clippy", "--quiet", "--all-targets"])
            .args(arguments);
        succeed(command.args(["--", "--deny", "warnings"]))
    };
    lint(&["--workspace"])?;
    lint(&["--workspace", "--all-features"])?;
    let metadata = workspace.metadata()?;
    for package in metadata.workspace_packages() {
        let features: BTreeSet<&str> = package
            .features
            .keys()
            .map(String::as_str)
            .filter(|name| *name != "default")
            .collect();
        if features.is_empty() {
            continue;
        }
        let one = ["--package", package.name.as_str(), "--no-default-features"];
        lint(&one)?;
        for feature in features {
            lint(&[one.as_slice(), &["--features", feature]].concat())?;
        }
    }
    Ok(Outcome::Holds)
}

pub(super) fn docs(workspace: &Workspace) -> Result<Outcome, Failure> {
    let mut command = workspace.cargo();
    command.env("RUSTDOCFLAGS", "--deny warnings");
    command.args([
        "doc",
        "--quiet",
        "--workspace",
        "--no-deps",
        "--all-features",
    ]);
    succeed(&mut command).map(|()| Outcome::Holds)
}

pub(super) fn wasm(workspace: &Workspace) -> Result<Outcome, Failure> {
    let library =
        capture(Command::new("rustc").args(["--print", "target-libdir", "--target", WASM]))?;
    if !Path::new(library.trim()).exists() {
        return Ok(Outcome::Skipped(
            "the target wasm32-unknown-unknown is not installed",
        ));
    }
    let mut command = workspace.cargo();
    command.args(["check", "--quiet", "--lib", "--target", WASM]);
    for package in PURE {
        command.args(["--package", package]);
    }
    succeed(&mut command).map(|()| Outcome::Holds)
}
