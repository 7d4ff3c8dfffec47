//! Flows: forms and filters.

use std::path::Path;

use porin::flow::{Filters, Flow, ReadFlowErrorKind};
use serde_json::Value;

use super::tally::Outcome;
use super::{Fault, Runner};
use crate::failure::Failure;
use crate::input::read;

/// A line in JSON must come back as it was.
pub(super) fn round_trip(line: &str) -> Outcome {
    let flow = match readable(line) {
        Ok(flow) => flow,
        Err(outcome) => return outcome,
    };
    let (written, expected) = (canonical(&flow.to_json()), canonical(line));
    Outcome::of(Vec::from_iter(
        (written != expected).then(|| format!("written as {}", flow.to_json())),
    ))
}

/// The reference client's lines lie beside the flows.
pub(super) fn print(path: &Path) -> Result<Runner, Failure> {
    let directory = path.parent().unwrap_or(Path::new("."));
    let lines = |name: &str| -> Result<Vec<String>, Failure> {
        Ok(read(&directory.join(name))?
            .lines()
            .map(str::to_owned)
            .collect())
    };
    let plain = lines("out.compact.txt")?;
    let numeric = lines("out.compact-numeric.txt")?;
    let long = lines("out.compact-node-policy.txt")?;
    Ok(Box::new(move |at, line, _| {
        let flow = match readable(line) {
            Ok(flow) => flow,
            Err(outcome) => return Ok(outcome),
        };
        let forms = [
            (flow.to_string(), plain.get(at)),
            (flow.compact().numeric().to_string(), numeric.get(at)),
            (
                flow.compact().with_node().with_policies().to_string(),
                long.get(at),
            ),
        ];
        let wrong = forms
            .into_iter()
            .filter(|(ours, theirs)| Some(ours) != *theirs);
        let text = |(ours, theirs): (String, Option<&String>)| {
            format!("`{ours}`, `{}` expected", theirs.map_or("", String::as_str))
        };
        Ok(Outcome::of(wrong.map(text).collect()))
    }))
}

/// The flows that are chosen from lie beside the filters.
pub(super) fn filters(path: &Path) -> Result<Runner, Failure> {
    let sample = read(&path.with_file_name("flow-sample.jsonl"))?;
    // A flow of a kind that cannot be read yet is left out of the comparison.
    let readable = |(at, line): (usize, &str)| Some((at, Flow::from_json(line).ok()?));
    let flows: Vec<_> = sample.lines().enumerate().filter_map(readable).collect();
    Ok(Box::new(move |_, line, _| filter(line, &flows)))
}

fn filter(line: &str, flows: &[(usize, Flow)]) -> Result<Outcome, Fault> {
    let case: Value = serde_json::from_str(line)?;
    let lists = match case.get("filter") {
        Some(filter) => (vec![filter.clone()], Vec::new()),
        None => (list(&case, "whitelist"), list(&case, "blacklist")),
    };
    let flags = [&lists.0, &lists.1].into_iter().flatten().map(flags);
    if let Some(field) = flags.filter_map(Result::err).next() {
        return Ok(Outcome::NotApplicable(field));
    }
    let made = merge(&lists.0).and_then(|allow| {
        Ok(Filters {
            allow,
            deny: merge(&lists.1)?,
        })
    });
    let Some(matches) = case.get("matches").and_then(Value::as_array) else {
        return Ok(Outcome::of(Vec::from_iter(
            made.is_ok().then(|| "accepted, is rejected".to_owned()),
        )));
    };
    let filters = match made {
        Ok(filters) => filters,
        Err(error) => return Ok(Outcome::of(vec![error])),
    };
    let wrong = flows
        .iter()
        .filter(|(at, flow)| filters.matches(flow) != matches.contains(&Value::from(*at)));
    Ok(Outcome::of(
        wrong
            .map(|(at, flow)| format!("flow {at}: {flow}"))
            .collect(),
    ))
}

/// Arguments must make the filters that the reference client makes.
pub(super) fn arguments(line: &str) -> Result<Outcome, Fault> {
    let case: Value = serde_json::from_str(line)?;
    let args: Vec<String> = list(&case, "args")
        .iter()
        .filter_map(|a| a.as_str().map(str::to_owned))
        .collect();
    let made = Filters::from_args(&args);
    if case.get("error").is_some() {
        return Ok(Outcome::of(Vec::from_iter(
            made.is_ok().then(|| "accepted, is an error".to_owned()),
        )));
    }
    if let Some(list) = args
        .iter()
        .find(|arg| *arg == "--allowlist" || *arg == "--denylist")
    {
        return Ok(Outcome::NotApplicable(list.clone()));
    }
    let lists = (list(&case, "allowlist"), list(&case, "denylist"));
    let flags = [&lists.0, &lists.1].into_iter().flatten().map(flags);
    if let Some(field) = flags.filter_map(Result::err).next() {
        return Ok(Outcome::NotApplicable(field));
    }
    let expected = merge(&lists.0).and_then(|allow| {
        Ok(Filters {
            allow,
            deny: merge(&lists.1)?,
        })
    });
    let made = made.map_err(|error| error.to_string());
    Ok(Outcome::of(Vec::from_iter(
        (made != expected).then(|| format!("{made:?}, {expected:?} expected")),
    )))
}

fn readable(line: &str) -> Result<Flow, Outcome> {
    Flow::from_json(line).map_err(|error| match error.kind() {
        ReadFlowErrorKind::NotYet { field } => Outcome::NotApplicable((*field).to_owned()),
        _ => Outcome::of(vec![error.to_string()]),
    })
}

fn list(case: &Value, name: &str) -> Vec<Value> {
    case.get(name)
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default()
}

/// Filters given as JSON, by way of the flags that ask for the same.
fn merge(filters: &[Value]) -> Result<Vec<porin::flow::Filter>, String> {
    let mut made = Vec::new();
    for filter in filters {
        let mut built = Filters::from_args(flags(filter)?).map_err(|error| error.to_string())?;
        made.push(built.allow.pop().unwrap_or_default());
    }
    Ok(made)
}

/// The flags for a filter; the name of a field that has none is the error.
fn flags(filter: &Value) -> Result<Vec<String>, String> {
    const FLAGS: [(&str, &str); 11] = [
        ("verdict", "--verdict"),
        ("drop_reason_desc", "--drop-reason-desc"),
        ("traffic_direction", "--traffic-direction"),
        ("source_pod", "--from-pod"),
        ("destination_pod", "--to-pod"),
        ("source_label", "--from-label"),
        ("destination_label", "--to-label"),
        ("source_port", "--from-port"),
        ("destination_port", "--to-port"),
        ("source_identity", "--from-identity"),
        ("destination_identity", "--to-identity"),
    ];
    let mut args = Vec::new();
    for (field, values) in filter.as_object().into_iter().flatten() {
        let flag = FLAGS
            .into_iter()
            .find(|(known, _)| known == field)
            .ok_or_else(|| field.clone())?
            .1;
        for value in values.as_array().into_iter().flatten() {
            let value = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            if value == "TRAFFIC_DIRECTION_UNKNOWN" {
                return Err(value);
            }
            args.extend([flag.to_owned(), value]);
        }
    }
    Ok(args)
}

/// The line as a value in which sets are in order: labels are a list there and a set here.
fn canonical(line: &str) -> Value {
    fn sort(value: &mut Value) {
        match value {
            Value::Object(fields) => {
                for (name, field) in fields {
                    sort(field);
                    if let (Value::Array(labels), "labels") = (field, name.as_str()) {
                        labels.sort_by_key(ToString::to_string);
                    }
                }
            }
            Value::Array(items) => items.iter_mut().for_each(sort),
            _ => {}
        }
    }
    let mut value = serde_json::from_str(line).unwrap_or_default();
    sort(&mut value);
    value
}
