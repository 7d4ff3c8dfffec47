//! Acceptance and refusal of documents against recorded answers of the reference implementations.
//!
//! The files are looked for in `$PORIN_VECTORS`, else in `../shared/vectors` beside the project;
//! those that are not there, among the project's own `vectors`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

use std::path::PathBuf;

use porin_policy::{Options, Parsed, Semantics, parse_documents};
use serde_json::Value;

fn read(file: &str) -> Option<String> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let named = std::env::var_os("PORIN_VECTORS").map(PathBuf::from);
    let fullest = named.unwrap_or_else(|| root.join("../../shared/vectors"));
    [fullest, root.join("../vectors")]
        .iter()
        .find_map(|directory| std::fs::read_to_string(directory.join(file)).ok())
}

fn cases(file: &str) -> Vec<Value> {
    let text = read(file).unwrap_or_else(|| panic!("the project has its own {file}"));
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Whether the document loads under `Cilium`.
fn loads(parsed: &Parsed, node_labels: bool) -> Result<(), String> {
    if let Some(refused) = parsed.refused.first() {
        return Err(refused.error.to_string());
    }
    let options = Options::new()
        .semantics(Semantics::Cilium)
        .node_labels(node_labels);
    match parsed.documents.first() {
        None => Err("no document".to_owned()),
        Some(document) => document.accept(&options).map_err(ToString::to_string),
    }
}

#[derive(Default)]
struct Count {
    agree: usize,
    differ: Vec<String>,
    node_labels: bool,
}

impl Count {
    fn case(&mut self, name: &str, text: &str, valid: bool) {
        match loads(&parse_documents(name, text), self.node_labels) {
            answer if answer.is_ok() == valid => self.agree += 1,
            answer => self
                .differ
                .push(format!("{name}: expected {valid}, got {answer:?}\n{text}")),
        }
    }

    fn finish(self, file: &str, at_least: usize) {
        eprintln!("{file}: {} agree, {} differ", self.agree, self.differ.len());
        assert!(self.differ.is_empty(), "{}", self.differ.join("\n"));
        assert!(
            self.agree >= at_least,
            "only {} cases were compared",
            self.agree
        );
    }
}

#[test]
fn documents_are_accepted_and_refused_as_recorded() {
    let cases = cases("policy-parse.jsonl");
    let mut count = Count::default();
    for case in &cases {
        let recorded = case
            .pointer("/ours/valid")
            .unwrap_or(&case["valid"])
            .as_bool()
            .unwrap();
        count.case(
            case["name"].as_str().unwrap(),
            case["yaml"].as_str().unwrap(),
            recorded,
        );
    }
    count.finish("policy-parse.jsonl", 354);
}

#[test]
fn port_rules_are_accepted_and_refused_as_recorded() {
    let cases = cases("l7-portrule-validate.jsonl");
    let mut count = Count::default();
    for case in &cases {
        let direction = case["direction"].as_str().unwrap();
        let document = serde_json::json!({
            "apiVersion": "cilium.io/v2",
            "kind": "CiliumNetworkPolicy",
            "metadata": {"name": "p"},
            "spec": {"endpointSelector": {}, direction: [{"toPorts": [case["port_rule"]]}]},
        });
        count.case(
            case["id"].as_str().unwrap(),
            &document.to_string(),
            case["valid"].as_bool().unwrap(),
        );
    }
    count.finish("l7-portrule-validate.jsonl", 200);
}

#[test]
fn kafka_rules_are_accepted_and_refused_as_recorded() {
    let cases = cases("l7-kafka-rule.jsonl");
    let mut count = Count::default();
    for case in &cases {
        let ports = serde_json::json!([{"ports": [{"port": "9092", "protocol": "TCP"}], "rules": {"kafka": [case["rule"]]}}]);
        let document = serde_json::json!({
            "apiVersion": "cilium.io/v2",
            "kind": "CiliumNetworkPolicy",
            "metadata": {"name": "p"},
            "spec": {"endpointSelector": {}, "ingress": [{"toPorts": ports}]},
        });
        count.case(
            case["id"].as_str().unwrap(),
            &document.to_string(),
            case["error"].is_null(),
        );
    }
    count.finish("l7-kafka-rule.jsonl", 30);
}

/// Refused documents are named by their index, as text.
fn is_refused(errors: &Value, index: usize) -> bool {
    let index = index.to_string();
    match errors {
        Value::Array(listed) => listed.iter().any(|known| known.as_str() == Some(&index)),
        Value::Object(map) => map.contains_key(&index),
        _ => false,
    }
}

/// The policies of the decision vectors: the recorded refusals are ours too, and no other.
#[test]
fn documents_of_the_decision_vectors_are_accepted_and_refused_as_recorded() {
    for (file, at_least) in [
        ("policy-unit.jsonl", 50),
        ("policy-generated.jsonl", 70),
        ("policy-examples.jsonl", 50),
    ] {
        if read(file).is_none() {
            eprintln!("{file}: not there; name the directory of all vectors in PORIN_VECTORS");
            continue;
        }
        let cases = cases(file);
        let mut count = Count::default();
        for case in &cases {
            count.node_labels = case["config"]["node_selector_labels"] == true;
            for (index, text) in case["policies"].as_array().unwrap().iter().enumerate() {
                let refused = is_refused(&case["policy_errors"], index);
                let name = format!("{}/{index}", case["name"].as_str().unwrap());
                count.case(&name, text.as_str().unwrap(), !refused);
            }
        }
        count.finish(file, at_least);
    }
}
