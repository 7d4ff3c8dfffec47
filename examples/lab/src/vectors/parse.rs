//! Documents that are accepted or refused.

use porin::policy::{Options, Semantics, parse_documents};
use serde::Deserialize;

use super::Fault;
use super::tally::Outcome;

#[derive(Debug, Deserialize)]
struct Case {
    yaml: String,
    valid: bool,
    why: Option<String>,
    /// How many rules the reference makes of the document.
    rules: Option<usize>,
    /// What we answer where upstream does not look.
    ours: Option<Ours>,
}

#[derive(Debug, Deserialize)]
struct Ours {
    valid: bool,
}

pub(super) fn run(line: &str) -> Result<Outcome, Fault> {
    let case: Case = serde_json::from_str(line)?;
    let valid = case.ours.as_ref().map_or(case.valid, |ours| ours.valid);
    let parsed = parse_documents("policy.yaml", &case.yaml);
    let options = Options::new()
        .semantics(Semantics::Cilium)
        .node_labels(false);
    let mut documents = parsed.documents.iter();
    let objection = documents.find_map(|document| document.accept(&options).err());
    let refused = parsed
        .refused
        .first()
        .map(|refused| &refused.error)
        .or(objection);
    let specs: usize = parsed
        .documents
        .iter()
        .map(|document| document.specs.len())
        .sum();
    let mut differences = Vec::new();
    match refused {
        Some(error) if valid => differences.push(format!("refused, is valid: {error}")),
        None if valid && parsed.documents.is_empty() => {
            differences.push("no document, is valid".to_owned());
        }
        None if !valid && !parsed.documents.is_empty() => {
            let why = case.why.unwrap_or_default();
            differences.push(format!("accepted, is refused: {why}"));
        }
        None => match case.rules {
            Some(rules) if rules != specs => {
                differences.push(format!("{specs} specs, {rules} expected"))
            }
            _ => {}
        },
        Some(_) => {}
    }
    Ok(Outcome::of(differences))
}
