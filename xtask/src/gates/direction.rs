//! A crate may use only crates below it:
//! identity ← policy ← flow ← datapath ← facade ← examples.

use cargo_metadata::{DependencyKind, Metadata, Package};

use super::{Outcome, judge};
use crate::{failure::Failure, workspace::Workspace};

/// Each package of the workspace and the ones it may be built on.
const BELOW: &[(&str, &[&str])] = &[
    ("porin-identity", &[]),
    ("porin-policy", &["porin-identity"]),
    ("porin-flow", &["porin-identity", "porin-policy"]),
    (
        "porin-datapath",
        &["porin-identity", "porin-policy", "porin-flow"],
    ),
    (
        "porin",
        &[
            "porin-identity",
            "porin-policy",
            "porin-flow",
            "porin-datapath",
        ],
    ),
    ("porin-testbed", &[]),
    ("porin-worlds", &[]),
    (
        "porin-laws",
        &["porin-identity", "porin-policy", "porin-worlds"],
    ),
    (
        "porin-fuzz",
        &["porin-policy", "porin-worlds", "porin-laws"],
    ),
    ("porin-node", &["porin", "porin-testbed"]),
    (
        "porin-lab",
        &["porin", "porin-testbed", "porin-worlds", "porin-laws"],
    ),
    ("porin-benches", &["porin", "porin-testbed"]),
    ("xtask", &["porin-worlds"]),
];

/// Serve tests only, whoever uses them.
const FOR_TESTS: &[&str] = &["porin-testbed", "porin-worlds", "porin-laws"];

/// Crates that do no I/O, read no clock and run anywhere…
const PURE: &[&str] = &["porin-identity", "porin-policy", "porin-flow"];
/// …and therefore have no use for these.
const IMPURE: &[&str] = &["aya", "libbpf-rs", "libc", "nix", "rtnetlink", "tokio"];

pub(super) fn check(workspace: &Workspace) -> Result<Outcome, Failure> {
    let metadata = workspace.metadata()?;
    judge(&complaints(&metadata))
}

fn complaints(metadata: &Metadata) -> Vec<String> {
    let members: Vec<&Package> = metadata.workspace_packages();
    let mut complaints = Vec::new();
    for package in &members {
        let name = package.name.as_str();
        let Some((_, below)) = BELOW.iter().find(|(known, _)| *known == name) else {
            complaints.push(format!("`{name}` has no place in the dependency direction; give it one in xtask/src/gates/direction.rs"));
            continue;
        };
        for dependency in &package.dependencies {
            let other = dependency.name.as_str();
            let for_tests = dependency.kind == DependencyKind::Development;
            let ours = members.iter().any(|member| member.name.as_str() == other);
            if ours && !below.contains(&other) && !(for_tests && FOR_TESTS.contains(&other)) {
                complaints.push(format!("`{name}` must not depend on `{other}`"));
            }
            if PURE.contains(&name) && IMPURE.contains(&other) && !for_tests {
                complaints.push(format!("`{name}` is pure and must not depend on `{other}`"));
            }
        }
    }
    complaints
}
