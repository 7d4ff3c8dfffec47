//! L7 rules of a case, read as a policy document would be.

use porin::policy::{L7Rules, Options, ParseErrorKind, Semantics, parse_documents};
use serde_json::{Value, json};

use crate::vectors::Fault;

/// What becomes of an element of `toPorts`.
pub(super) enum Read {
    /// It is accepted.
    Accepted(L7Rules),
    /// It is refused, and why.
    Refused(String),
    /// It uses this, which is not built yet.
    NotYet(String),
}

/// Reads an element of `toPorts` that stands in this list of a policy.
pub(super) fn port_rule(list: &str, element: &Value) -> Read {
    let document = json!({
        "apiVersion": "cilium.io/v2",
        "kind": "CiliumNetworkPolicy",
        "metadata": {"name": "case", "namespace": "default"},
        "spec": {"endpointSelector": {}, list: [{"toPorts": [element]}]},
    });
    let parsed = parse_documents("case", &document.to_string());
    if let Some(refused) = parsed.refused.first() {
        return match refused.error.kind() {
            ParseErrorKind::NotYet { field } => Read::NotYet(field.clone()),
            _ => Read::Refused(refused.error.to_string()),
        };
    }
    let options = Options::new().semantics(Semantics::Cilium);
    let documents = parsed.documents.iter();
    if let Some(error) = documents.clone().find_map(|one| one.accept(&options).err()) {
        return Read::Refused(error.to_string());
    }
    let rules = documents
        .flat_map(|document| &document.specs)
        .flat_map(|spec| &spec.rules);
    let elements = rules.flat_map(|rule| rule.ports.iter().flatten());
    Read::Accepted(
        elements
            .map(|element| element.l7.clone())
            .next()
            .unwrap_or_default(),
    )
}

/// Reads a list of rules of one kind, on a port where such rules may stand.
pub(super) fn rules(field: &str, rules: &Value) -> Read {
    let (list, port) = match field {
        "dns" => ("egress", json!({"port": "53", "protocol": "UDP"})),
        _ => ("ingress", json!({"port": "80", "protocol": "TCP"})),
    };
    port_rule(list, &json!({"ports": [port], "rules": {field: rules}}))
}

/// Reads a list that has to be accepted.
pub(super) fn accepted(field: &str, list: &Value) -> Result<L7Rules, Fault> {
    match rules(field, list) {
        Read::Accepted(rules) => Ok(rules),
        Read::Refused(reason) | Read::NotYet(reason) => Err(Fault::of(reason)),
    }
}
