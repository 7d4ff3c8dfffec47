//! Forms and filters against what the real `hubble` client printed and the real server chose.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::fs;
use std::path::PathBuf;

use porin_flow::{Filters, Flow, ReadFlowErrorKind};
use serde_json::Value;

fn vectors(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../vectors")
        .join(name);
    fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The flows that the record has a place for, with their line number; the others say so.
fn readable(name: &str) -> Vec<(usize, String, Flow)> {
    let text = vectors(name);
    let mut flows = Vec::new();
    for (number, line) in text.lines().enumerate() {
        match Flow::from_json(line) {
            Ok(flow) => flows.push((number, line.to_owned(), flow)),
            Err(error) => assert!(
                matches!(error.kind(), ReadFlowErrorKind::NotYet { .. }),
                "line {number}: {error}"
            ),
        }
    }
    flows
}

#[test]
fn lines_are_those_of_the_client() {
    let flows = readable("flow-print/in.jsonl");
    assert!(flows.len() >= 20, "only {} flows are readable", flows.len());
    type Form = fn(&Flow) -> String;
    let forms: [(&str, Form); 3] = [
        ("out.compact.txt", |flow| flow.to_string()),
        ("out.compact-numeric.txt", |flow| {
            flow.compact().numeric().to_string()
        }),
        ("out.compact-node-policy.txt", |flow| {
            flow.compact().with_node().with_policies().to_string()
        }),
    ];
    for (file, form) in forms {
        let expected = vectors(&format!("flow-print/{file}"));
        let expected: Vec<&str> = expected.lines().collect();
        for (number, _, flow) in &flows {
            assert_eq!(form(flow), expected[*number], "{file}, line {number}");
        }
    }
}

/// Labels are a set here and a list there, so their order may differ.
fn with_sorted_labels(line: &str) -> Value {
    fn sort(value: &mut Value) {
        match value {
            Value::Object(fields) => fields.iter_mut().for_each(|(name, field)| match field {
                Value::Array(labels) if name == "labels" => {
                    labels.sort_by_key(ToString::to_string);
                }
                other => sort(other),
            }),
            Value::Array(items) => items.iter_mut().for_each(sort),
            _ => {}
        }
    }
    let mut value = serde_json::from_str(line).expect("the vectors are JSON");
    sort(&mut value);
    value
}

#[test]
fn json_comes_back_as_it_was() {
    for file in ["flow-print/out.jsonpb.txt", "flow-sample.jsonl"] {
        let mut exact = 0;
        let flows = readable(file);
        for (number, line, flow) in &flows {
            let mut expected = with_sorted_labels(line);
            // The bare numbers of an unknown event are all that a flow without one has.
            expected
                .as_object_mut()
                .expect("an object")
                .entry("node_name")
                .or_insert("".into());
            let mut written = with_sorted_labels(&flow.to_json());
            written
                .as_object_mut()
                .expect("an object")
                .entry("node_name")
                .or_insert("".into());
            assert_eq!(written, expected, "{file}, line {number}");
            exact += usize::from(flow.to_json() == *line);
            assert_eq!(
                Flow::from_json(&flow.to_json()).as_ref(),
                Ok(flow),
                "{file}, line {number}"
            );
        }
        assert!(
            exact * 10 >= flows.len() * 4,
            "{file}: only {exact} of {} byte for byte",
            flows.len()
        );
    }
}

/// The flags that build a filter given as JSON; `None` when a field is not supported.
fn flags(filter: &Value) -> Option<Vec<String>> {
    let mut args = Vec::new();
    for (field, values) in filter.as_object()? {
        let flag = match field.as_str() {
            "verdict" => "--verdict",
            "drop_reason_desc" => "--drop-reason-desc",
            "traffic_direction" => "--traffic-direction",
            "source_pod" => "--from-pod",
            "destination_pod" => "--to-pod",
            "source_label" => "--from-label",
            "destination_label" => "--to-label",
            "source_port" => "--from-port",
            "destination_port" => "--to-port",
            "source_identity" => "--from-identity",
            "destination_identity" => "--to-identity",
            _ => return None,
        };
        for value in values.as_array()? {
            let value = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            if value == "TRAFFIC_DIRECTION_UNKNOWN" {
                return None;
            }
            args.extend([flag.to_owned(), value]);
        }
    }
    Some(args)
}

#[test]
fn filters_choose_what_the_server_chose() {
    let flows = readable("flow-sample.jsonl");
    let (mut chosen, mut refused) = (0, 0);
    for line in vectors("flow-filters.jsonl").lines() {
        let case: Value = serde_json::from_str(line).expect("the vectors are JSON");
        let Some(args) = case.get("filter").and_then(flags) else {
            continue;
        };
        let filters = Filters::from_args(&args);
        let Some(matches) = case["matches"].as_array() else {
            assert!(filters.is_err(), "{line}");
            refused += 1;
            continue;
        };
        let filters = filters.unwrap_or_else(|e| panic!("{line}: {e}"));
        for (number, _, flow) in &flows {
            let expected = matches.contains(&Value::from(*number));
            assert_eq!(
                filters.matches(flow),
                expected,
                "{}: flow {number}: {flow}",
                case["id"]
            );
        }
        chosen += 1;
    }
    assert!(
        chosen >= 20 && refused >= 3,
        "{chosen} filters compared, {refused} refused"
    );
}

#[test]
fn arguments_make_the_filters_that_the_client_makes() {
    let mut compared = 0;
    for line in vectors("flow-cli-args.jsonl").lines() {
        let case: Value = serde_json::from_str(line).expect("the vectors are JSON");
        let args: Vec<&str> = case["args"]
            .as_array()
            .expect("a list")
            .iter()
            .filter_map(Value::as_str)
            .collect();
        let made = Filters::from_args(&args);
        if case.get("error").is_some() {
            assert!(made.is_err(), "{line}");
            continue;
        }
        let list = |name: &str| -> Option<Vec<_>> {
            let filter = |filter| Filters::from_args(flags(filter)?).ok()?.allow.pop();
            case[name].as_array()?.iter().map(filter).collect()
        };
        let (Some(allow), Some(deny)) = (list("allowlist"), list("denylist")) else {
            continue;
        };
        if args.iter().any(|arg| arg.starts_with("--denylist")) {
            continue;
        }
        assert_eq!(made, Ok(Filters { allow, deny }), "{line}");
        compared += 1;
    }
    assert!(compared >= 15, "only {compared} argument lists compared");
}
