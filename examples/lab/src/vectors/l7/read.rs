//! L7 rules of a case, read as a policy document would be.

use porin::policy::{L7Rules, Options, Semantics, parse_documents};
use serde_json::{Value, json};

use crate::vectors::Fault;

/// Reads an element of `toPorts` that stands in this list of a policy.
///
/// # Errors
/// It is refused, and why.
pub(super) fn port_rule(list: &str, element: &Value) -> Result<L7Rules, String> {
    let document = json!({
        "apiVersion": "cilium.io/v2",
        "kind": "CiliumNetworkPolicy",
        "metadata": {"name": "case", "namespace": "default"},
        "spec": {"endpointSelector": {}, list: [{"toPorts": [element]}]},
    });
    let parsed = parse_documents("case", &document.to_string());
    let options = Options::new().semantics(Semantics::Cilium);
    let documents = parsed.documents.iter();
    let objections = documents
        .clone()
        .filter_map(|one| one.accept(&options).err());
    let refused = parsed.refused.iter().map(|refused| &refused.error);
    if let Some(error) = refused.chain(objections).next() {
        return Err(error.to_string());
    }
    let specs = documents.flat_map(|document| &document.specs);
    let elements = specs
        .flat_map(|spec| &spec.rules)
        .flat_map(|rule| rule.ports.iter().flatten());
    let mut rules = elements.map(|element| element.l7.clone());
    Ok(rules.next().unwrap_or_default())
}

/// Reads a list of rules of one kind, on a port where such rules may stand.
pub(super) fn rules(field: &str, rules: &Value) -> Result<L7Rules, String> {
    let (list, port) = match field {
        "dns" => ("egress", json!({"port": "53", "protocol": "UDP"})),
        _ => ("ingress", json!({"port": "80", "protocol": "TCP"})),
    };
    port_rule(list, &json!({"ports": [port], "rules": {field: rules}}))
}

/// Reads a list that has to be accepted.
pub(super) fn accepted(field: &str, list: &Value) -> Result<L7Rules, Fault> {
    rules(field, list).map_err(Fault::of)
}

/// What two answers to the same question have to say against each other: ours, and the reason that is
/// recorded for a refusal. `None` if both refuse.
pub(super) fn both_accept<T>(
    ours: Result<T, String>,
    recorded: Option<&str>,
) -> Option<Result<T, String>> {
    match (ours, recorded) {
        (Err(_), Some(_)) => None,
        (Err(reason), None) => Some(Err(format!("refused, is valid: {reason}"))),
        (Ok(_), Some(reason)) => Some(Err(format!("accepted, is refused: {reason}"))),
        (Ok(rules), None) => Some(Ok(rules)),
    }
}
