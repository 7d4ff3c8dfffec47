//! Elements of `toPorts` that are accepted or refused.

use serde::Deserialize;
use serde_json::Value;

use super::read::{both_accept, port_rule as read};
use crate::vectors::Fault;
use crate::vectors::tally::Outcome;

#[derive(Debug, Deserialize)]
struct Case {
    direction: String,
    port_rule: Value,
    valid: bool,
    error: Option<String>,
}

pub(super) fn port_rule(line: &str) -> Result<Outcome, Fault> {
    let case: Case = serde_json::from_str(line)?;
    let why = case.error.unwrap_or_default();
    let recorded = (!case.valid).then_some(why.as_str());
    let answers = both_accept(read(&case.direction, &case.port_rule), recorded);
    let difference = answers.and_then(Result::err);
    Ok(Outcome::of(difference.into_iter().collect()))
}

#[derive(Debug, Deserialize)]
struct Merge {
    rules: Vec<MergeRule>,
    validate_error: Option<String>,
}

#[derive(Debug, Deserialize)]
struct MergeRule {
    kind: String,
    port_rule: Value,
}

/// The rules of a case one by one. What they are together is not asked yet.
pub(super) fn merge(line: &str) -> Result<Outcome, Fault> {
    let case: Merge = serde_json::from_str(line)?;
    let read = |rule: &MergeRule| {
        let list = if rule.kind == "deny" {
            "ingressDeny"
        } else {
            "ingress"
        };
        read(list, &rule.port_rule)
    };
    let ours: Result<Vec<_>, _> = case.rules.iter().map(read).collect();
    match both_accept(ours, case.validate_error.as_deref()) {
        None => Ok(Outcome::Passed),
        Some(Err(difference)) => Ok(Outcome::of(vec![difference])),
        Some(Ok(_)) => Ok(Outcome::NotApplicable("merging of rules".to_owned())),
    }
}
