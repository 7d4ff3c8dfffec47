//! Policy cases: load, resolve, decide every flow with every engine.

use porin::identity::{Identities, IdentityId};
use porin::policy::{Direction, PolicySet, Query};

use super::Fault;
use super::case::Case;
use super::engine::{Engine, Engines, Policy, Posed, Told};
use super::tally::{Difference, Outcome};

pub(super) fn run(line: &str, engines: &mut Engines) -> Result<Outcome, Fault> {
    let case: Case = serde_json::from_str(line)?;
    let mut differences = Vec::new();
    let set = load(&case, &mut differences)?;
    compare_prefixes(&case, &set, &mut differences);
    let posed = Posed {
        set: &set,
        identities: &identities(&case)?.snapshot(),
        subject: IdentityId::new(case.subject),
        named_ports: &case.named_ports().map_err(Fault::of)?,
        own_ports: &case.own_ports().map_err(Fault::of)?,
    };
    let queries: Result<Vec<_>, _> = case.flows.iter().map(|flow| flow.query()).collect();
    let queries = queries.map_err(Fault::of)?;
    for Told { engine, policy } in engines.ask(&posed, &queries)? {
        match policy {
            Err(_) if case.resolve_error => {}
            Err(error) => differences.push(format!("{engine}: not resolved: {error}").into()),
            Ok(_) if case.resolve_error => {
                let text = format!("{engine}: resolved, the reference cannot");
                differences.push(text.into());
            }
            Ok(policy) => compare(&case, engine, &queries, &policy, &mut differences)?,
        }
    }
    Ok(Outcome::of(differences))
}

/// Loads the documents; which of them are refused must be the same.
fn load(case: &Case, differences: &mut Vec<Difference>) -> Result<PolicySet, Fault> {
    let mut set = PolicySet::new(case.options().map_err(Fault::of)?);
    set.set_services(case.services());
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

fn compare(
    case: &Case,
    engine: Engine,
    queries: &[Query],
    policy: &Policy,
    differences: &mut Vec<Difference>,
) -> Result<(), Fault> {
    for (direction, found, expected) in [
        (Direction::Ingress, policy.ingress, case.ingress_enforced),
        (Direction::Egress, policy.egress, case.egress_enforced),
    ] {
        if found != expected {
            let text = format!("{engine}: {direction} enforced is {found}, {expected} expected");
            differences.push(text.into());
        }
    }
    let asked = case.flows.iter().zip(queries).enumerate();
    for ((at, (flow, query)), answer) in asked.zip(&policy.answers) {
        let expected = flow.answer().map_err(Fault::of)?;
        let parts = answer.unlike(&expected);
        if !parts.is_empty() {
            let text = format!("{engine}: {query}: {answer}; {expected} expected");
            differences.push(Difference::flow(at, parts, text));
        }
    }
    Ok(())
}
