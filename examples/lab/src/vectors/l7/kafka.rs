//! Kafka rules: what they mean, and what passes them.

use porin::policy::{KafkaMatcher, KafkaRequest, KafkaRule, L7Rules};
use serde::Deserialize;
use serde_json::{Value, json};

use super::read::{accepted, both_accept, rules};
use crate::vectors::Fault;
use crate::vectors::tally::Outcome;

#[derive(Debug, Deserialize)]
struct Rule {
    rule: Value,
    error: Option<String>,
    /// Absent: every kind of request.
    api_keys: Option<Vec<i16>>,
    /// -1: every version.
    #[serde(default)]
    api_version: i16,
}

/// A line of `l7-kafka-rule`.
pub(super) fn rule(line: &str) -> Result<Outcome, Fault> {
    let case: Rule = serde_json::from_str(line)?;
    let ours = rules("kafka", &json!([case.rule]));
    let difference = match both_accept(ours, case.error.as_deref()) {
        None => None,
        Some(Err(difference)) => Some(difference),
        Some(Ok(rules)) => {
            let [rule] = list(&rules) else {
                return Err(Fault::of("one rule is expected"));
            };
            let (keys, version) = (rule.api_keys(), rule.api_version.unwrap_or(-1));
            let same = keys == case.api_keys.as_deref() && version == case.api_version;
            (!same).then(|| {
                let expected = (case.api_keys, case.api_version);
                format!(
                    "kinds and version {:?}, {expected:?} expected",
                    (keys, version)
                )
            })
        }
    };
    Ok(Outcome::of(difference.into_iter().collect()))
}

fn list(rules: &L7Rules) -> &[KafkaRule] {
    match rules {
        L7Rules::Kafka(list) => list,
        _ => &[],
    }
}

#[derive(Debug, Deserialize)]
struct Case {
    rules: Value,
    request_hex: String,
    /// Absent: the reference could not read the request.
    api_key: Option<i16>,
    #[serde(default)]
    api_version: i16,
    topics: Option<Vec<String>>,
    verdict: String,
}

/// A line of `l7-kafka-match`. What is in the request is recorded but for the client id, which is read
/// from its bytes; to find out that a request cannot be read is the business of a parser. The reference
/// reads no client id from requests of version 0, so none is shown to the rules either.
pub(super) fn judge(line: &str) -> Result<Outcome, Fault> {
    let case: Case = serde_json::from_str(line)?;
    let Some(api_key) = case.api_key else {
        return Ok(Outcome::NotApplicable(
            "parser of Kafka requests".to_owned(),
        ));
    };
    let client = match case.api_version {
        0 => String::new(),
        _ => client_id(&case.request_hex).ok_or_else(|| Fault::of("the request has no head"))?,
    };
    let topics: Vec<&str> = case.topics.iter().flatten().map(String::as_str).collect();
    let request = KafkaRequest::new(api_key, case.api_version)
        .client_id(&client)
        .topics(&topics);
    let rules = accepted("kafka", &case.rules)?;
    let found = match KafkaMatcher::new(list(&rules)).judge(&request) {
        Some(_) => "allow",
        None => "deny",
    };
    let differs = found != case.verdict;
    let difference = differs.then(|| format!("{found}, {} expected: {request:?}", case.verdict));
    Ok(Outcome::of(difference.into_iter().collect()))
}

/// The client id in the head of a request: size, kind, version, number, then a text with its length,
/// which is negative if there is none.
fn client_id(hex: &str) -> Option<String> {
    let bytes: Vec<u8> = (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(hex.get(at..at + 2)?, 16).ok())
        .collect::<Option<_>>()?;
    let length = i16::from_be_bytes(*bytes.get(12..)?.first_chunk()?);
    let Ok(length) = usize::try_from(length) else {
        return Some(String::new());
    };
    String::from_utf8(bytes.get(14..14 + length)?.to_vec()).ok()
}
