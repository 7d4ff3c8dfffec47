//! Elements of `toPorts` that are accepted or refused.

use serde::Deserialize;
use serde_json::Value;

use super::read::{Read, port_rule as read};
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
    let difference = match read(&case.direction, &case.port_rule) {
        Read::NotYet(field) => return Ok(Outcome::NotApplicable(field)),
        Read::Accepted(_) if !case.valid => Some(format!(
            "accepted, is refused: {}",
            case.error.unwrap_or_default()
        )),
        Read::Refused(reason) if case.valid => Some(format!("refused, is valid: {reason}")),
        _ => None,
    };
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
    let mut refused = None;
    for rule in &case.rules {
        let list = if rule.kind == "deny" {
            "ingressDeny"
        } else {
            "ingress"
        };
        match read(list, &rule.port_rule) {
            Read::Refused(reason) => refused = Some(reason),
            Read::NotYet(_) | Read::Accepted(_) => {}
        }
    }
    let difference = match (refused, case.validate_error) {
        (None, None) => return Ok(Outcome::NotApplicable("merging of rules".to_owned())),
        (None, Some(reason)) => format!("accepted, one is refused: {reason}"),
        (Some(reason), None) => format!("refused, all are valid: {reason}"),
        (Some(_), Some(_)) => return Ok(Outcome::Passed),
    };
    Ok(Outcome::of(vec![difference]))
}
