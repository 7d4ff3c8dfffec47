//! Policy cases: load, resolve, decide every flow with every engine.

use porin::identity::{Identities, IdentityId};
use porin::policy::{Direction, ParseErrorKind, PolicySet, parse_documents};

use super::Fault;
use super::case::{Answer, Case};
use super::engine::{Engines, Resolved};
use super::tally::{Difference, Outcome};

pub(super) fn run(line: &str, engines: &mut Engines) -> Result<Outcome, Fault> {
    let case: Case = serde_json::from_str(line)?;
    if let Some(field) = not_yet(&case)? {
        return Ok(Outcome::NotApplicable(field));
    }
    let mut differences = Vec::new();
    let set = load(&case, &mut differences)?;
    compare_prefixes(&case, &set, &mut differences);
    let identities = identities(&case)?.snapshot();
    let subject = IdentityId::new(case.subject);
    match set.resolve(subject, &identities) {
        Err(error) if !case.resolve_error => {
            differences.push(format!("not resolved: {error}").into());
        }
        Err(_) => {}
        Ok(_) if case.resolve_error => {
            differences.push("resolved, the reference cannot".to_owned().into());
        }
        Ok(policy) => {
            compare_enforced(
                &case,
                Direction::Ingress,
                policy.enforced(Direction::Ingress),
                &mut differences,
            );
            compare_enforced(
                &case,
                Direction::Egress,
                policy.enforced(Direction::Egress),
                &mut differences,
            );
            let resolved = Resolved {
                set: &set,
                identities: &identities,
                policy: &policy,
            };
            compare_flows(&case, &resolved, engines, &mut differences)?;
        }
    }
    // Verdict and redirect were compared; what a proxy would be told cannot be yet.
    let rest = case.flows.iter().find_map(|flow| flow.not_yet());
    match rest {
        Some(field) if differences.is_empty() => Ok(Outcome::NotApplicable(field.to_owned())),
        _ => Ok(Outcome::of(differences)),
    }
}

/// The first thing the case needs that is not built yet.
fn not_yet(case: &Case) -> Result<Option<String>, Fault> {
    let subject = case
        .identities
        .iter()
        .find(|identity| identity.id == case.subject);
    let subject = subject.ok_or_else(|| Fault::of("the subject has no identity"))?;
    let labels = subject.labels().map_err(Fault::of)?;
    for document in &case.policies {
        let parsed = parse_documents("policy", document);
        let options = case.options().map_err(Fault::of)?;
        let objections = parsed.documents.iter();
        let objections = objections.filter_map(|document| document.accept(&options).err());
        let refused = parsed.refused.iter().map(|refused| &refused.error);
        for error in refused.chain(objections) {
            match error.kind() {
                ParseErrorKind::NotYet { field } => return Ok(Some(field.clone())),
                ParseErrorKind::Kind { kind, .. } => return Ok(Some(kind.clone())),
                _ => {}
            }
        }
    }
    if labels.iter().any(|label| label.source() == "reserved") {
        return Ok(Some("subjects other than pods".to_owned()));
    }
    Ok(None)
}

/// Loads the documents; which of them are refused must be the same.
fn load(case: &Case, differences: &mut Vec<Difference>) -> Result<PolicySet, Fault> {
    let mut set = PolicySet::new(case.options().map_err(Fault::of)?);
    let named = |(index, text): (usize, &String)| (format!("policies[{index}]"), text.clone());
    let files: Vec<_> = case.policies.iter().enumerate().map(named).collect();
    let report = set
        .load(files.iter().map(|(file, text)| (file, text)))
        .map_err(Fault::of)?;
    for (index, (file, _)) in files.iter().enumerate() {
        let refused = report
            .refused
            .iter()
            .find(|refused| refused.error.location().file() == file);
        match (refused, case.refuses(index)) {
            (Some(refused), false) => {
                let text = format!("the reference accepts: {}", refused.error);
                differences.push(Difference::document(index, text));
            }
            (None, true) => {
                let text = format!("{file} is accepted, the reference refuses it");
                differences.push(Difference::document(index, text));
            }
            _ => {}
        }
    }
    Ok(set)
}

fn identities(case: &Case) -> Result<Identities, Fault> {
    let mut identities = Identities::new(case.families());
    for identity in &case.identities {
        let labels = identity.labels().map_err(Fault::of)?;
        let id = IdentityId::new(identity.id);
        identities.insert_fixed(id, labels).map_err(Fault::of)?;
    }
    Ok(identities)
}

fn compare_prefixes(case: &Case, set: &PolicySet, differences: &mut Vec<Difference>) {
    let Some(expected) = &case.cidr_prefixes else {
        return;
    };
    let expected: std::collections::BTreeSet<_> = expected.iter().copied().collect();
    let found = set.prefixes();
    if found != expected {
        let missing: Vec<_> = expected.difference(&found).collect();
        let extra: Vec<_> = found.difference(&expected).collect();
        differences.push(format!("prefixes: {missing:?} missing, {extra:?} too many").into());
    }
}

fn compare_enforced(
    case: &Case,
    direction: Direction,
    enforced: bool,
    differences: &mut Vec<Difference>,
) {
    let expected = match direction {
        Direction::Ingress => case.ingress_enforced,
        Direction::Egress => case.egress_enforced,
    };
    if enforced != expected {
        let text = format!("{direction} enforced is {enforced}, {expected} expected");
        differences.push(text.into());
    }
}

fn compare_flows(
    case: &Case,
    resolved: &Resolved<'_>,
    engines: &mut Engines,
    differences: &mut Vec<Difference>,
) -> Result<(), Fault> {
    let queries = case
        .flows
        .iter()
        .map(|flow| flow.query())
        .collect::<Result<Vec<_>, _>>();
    let queries = queries.map_err(Fault::of)?;
    for (engine, answers) in engines.decide(resolved, &queries)? {
        let asked = case.flows.iter().zip(&queries).enumerate();
        for ((at, (flow, query)), answer) in asked.zip(answers) {
            let expected: Answer = flow.answer();
            let parts = answer.unlike(&expected);
            if !parts.is_empty() {
                let text = format!("{engine}: {query}: {answer}, {expected} expected");
                differences.push(Difference::flow(at, parts, text));
            }
        }
    }
    Ok(())
}
