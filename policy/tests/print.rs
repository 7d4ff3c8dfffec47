//! What is printed reads as it was.

#![allow(clippy::unwrap_used, reason = "a test")]

mod documents;

use std::collections::BTreeSet;
use std::path::PathBuf;

use porin_laws::{group_reads_as_printed, reads_as_printed};
use porin_policy::parse_documents;
use proptest::prelude::*;
use serde_json::Value;

proptest! {
    #[test]
    fn every_document_reads_as_it_was_printed(document in documents::document()) {
        let text = document.to_string();
        let parsed = parse_documents("p.json", &text);
        // A rule that the annotation names may not be there, and a node may be guarded.
        for refused in &parsed.refused {
            let error = refused.error.to_string();
            let known = ["there is no rule", "cannot guard a node"];
            prop_assert!(known.iter().any(|part| error.contains(part)), "{text}\n{error}");
        }
        for document in &parsed.documents {
            reads_as_printed(document).map_err(|broken| TestCaseError::fail(broken.to_string()))?;
        }
    }
}

/// Every document that stands somewhere in a value, as text or as an object.
fn documents_in(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::String(text) if text.contains("apiVersion") => {
            found.insert(text.clone());
        }
        Value::Object(map) if map.contains_key("apiVersion") && map.contains_key("kind") => {
            found.insert(value.to_string());
        }
        Value::Object(map) => map.values().for_each(|value| documents_in(value, found)),
        Value::Array(list) => list.iter().for_each(|value| documents_in(value, found)),
        _ => {}
    }
}

#[test]
fn every_document_of_the_vectors_reads_as_it_was_printed() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let named = std::env::var_os("PORIN_VECTORS").map(PathBuf::from);
    let fullest = named.unwrap_or_else(|| root.join("../../shared/vectors"));
    let mut found = BTreeSet::new();
    for directory in [fullest, root.join("../vectors")] {
        let Ok(files) = std::fs::read_dir(directory) else {
            continue;
        };
        for file in files {
            let path = file.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let about = ["policy-", "knp-", "anp-"]
                .iter()
                .any(|kind| name.starts_with(kind));
            if !about {
                continue;
            }
            for line in std::fs::read_to_string(&path).unwrap().lines() {
                documents_in(&serde_json::from_str(line).unwrap(), &mut found);
            }
        }
    }
    let mut count = 0;
    for text in found {
        let parsed = parse_documents("vector", &text);
        for document in &parsed.documents {
            reads_as_printed(document).unwrap();
            count += 1;
        }
        for group in &parsed.cidr_groups {
            group_reads_as_printed(group).unwrap();
        }
    }
    assert!(count > 500, "only {count} documents were found");
    eprintln!("{count} documents");
}

#[test]
fn groups_of_blocks_read_as_they_were_printed() {
    let text = "apiVersion: cilium.io/v2\nkind: CiliumCIDRGroup\nmetadata: {name: g, labels: {a: b, c: ''}}\nspec: {externalCIDRs: [10.0.0.1/8, '::/0']}\n";
    let parsed = parse_documents("g.yaml", text);
    group_reads_as_printed(parsed.cidr_groups.first().unwrap()).unwrap();
}
