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
