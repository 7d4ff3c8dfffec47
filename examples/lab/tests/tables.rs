//! Who reaches whom in a cluster: the recorded truth tables, and that a wrong cell is seen.

#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Files that the project has a selection of its own of.
const OWN: [&str; 2] = ["knp-generated.jsonl", "anp-generated.jsonl"];

/// Files of a larger collection: `$PORIN_VECTORS`, else `../shared/vectors` beside the project.
const LARGER: [&str; 3] = [
    "knp-recipes.jsonl",
    "knp-cyclonus.jsonl",
    "anp-conformance.jsonl",
];

fn lab(engine: &str, files: &[PathBuf]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_porin-lab"))
        .args(["vectors", "--engine", engine])
        .args(files)
        .output()
        .unwrap()
}

fn own(file: &str) -> PathBuf {
    Path::new(ROOT).join("../../vectors").join(file)
}

fn all_pass(engine: &str, files: &[PathBuf], at_least: usize) {
    let output = lab(engine, files);
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{engine}: {said}");
    let last = said.lines().last().unwrap_or_default();
    let passed: usize = last.split(' ').next().unwrap_or_default().parse().unwrap();
    assert!(passed >= at_least && !said.contains("not yet"), "{said}");
}

#[test]
fn the_recorded_tables_hold() {
    let files = OWN.map(own);
    for engine in ["reference", "fast", "map"] {
        all_pass(engine, &files, 90);
    }
}

#[test]
fn the_tables_of_a_larger_collection_hold() {
    let named = std::env::var_os("PORIN_VECTORS").map(PathBuf::from);
    let larger = named.unwrap_or_else(|| Path::new(ROOT).join("../../../shared/vectors"));
    let files = LARGER.map(|file| larger.join(file));
    let there: Vec<_> = files.into_iter().filter(|file| file.exists()).collect();
    if there.is_empty() {
        eprintln!("not there; name the directory of all vectors in PORIN_VECTORS");
        return;
    }
    all_pass("fast", &there, there.len());
}

/// Turns the first allowed cell of a case around, in the tables of every probe.
#[test]
fn a_wrong_cell_fails() {
    let text = std::fs::read_to_string(own("knp-generated.jsonl")).unwrap();
    let mut case: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    let matrix = case.pointer_mut("/steps/0/expect/matrix").unwrap();
    for rows in matrix.as_object_mut().unwrap().values_mut() {
        *rows = rows.as_str().unwrap().replacen('.', "b", 1).into();
    }
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("knp-generated.jsonl");
    std::fs::write(&file, case.to_string()).unwrap();
    for engine in ["reference", "fast", "map"] {
        let output = lab(engine, std::slice::from_ref(&file));
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(1), "{engine}: {said}");
        assert!(said.contains("the table says otherwise"), "{said}");
    }
}
