//! Several rules on one port.

use std::collections::BTreeSet;

use porin::identity::{Families, Identities, IdentityId};
use porin::policy::{
    L7Policy, L7Rules, Options, PolicySet, Query, RefusedDocuments, Semantics, Verdict,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::read::{both_accept, port_rule};
use crate::vectors::Fault;
use crate::vectors::tally::Outcome;

#[derive(Debug, Deserialize)]
struct Case {
    rules: Vec<Rule>,
    validate_error: Option<String>,
    merge_error: Option<String>,
    result: Option<Merged>,
}

#[derive(Debug, Deserialize)]
struct Rule {
    /// `*`: from anybody; else the name of the only peer.
    from: String,
    kind: String,
    port_rule: Value,
}

impl Rule {
    fn list(&self) -> &'static str {
        match self.kind.as_str() {
            "deny" => "ingressDeny",
            _ => "ingress",
        }
    }
}

#[derive(Debug, Deserialize)]
struct Merged {
    per_selector: Vec<Selected>,
}

/// What the rules of one selector are together.
#[derive(Debug, Deserialize)]
struct Selected {
    from: String,
    #[serde(default)]
    deny: bool,
    /// Null: nobody asks for anything.
    l7: Option<Value>,
    #[serde(default)]
    server_names: Vec<Box<str>>,
}

/// A line of `l7-merge`: the rules of each selector, by themselves, come to what is recorded.
pub(super) fn run(line: &str) -> Result<Outcome, Fault> {
    let case: Case = serde_json::from_str(line)?;
    let read = |rule: &Rule| port_rule(rule.list(), &rule.port_rule);
    let ours: Result<Vec<_>, _> = case.rules.iter().map(read).collect();
    match both_accept(ours, case.validate_error.as_deref()) {
        None => return Ok(Outcome::Passed),
        Some(Err(difference)) => return Ok(Outcome::of(vec![difference])),
        Some(Ok(_)) => {}
    }
    if let Some(reason) = &case.merge_error {
        let difference = (!is_conflict(&case.rules)?).then(|| format!("no conflict: {reason}"));
        return Ok(Outcome::of(difference.into_iter().collect()));
    }
    let mut differences = Vec::new();
    for selected in case.result.iter().flat_map(|result| &result.per_selector) {
        let found = decide(&case.rules, &selected.from)?;
        if let Some(difference) = selected.compare(found)? {
            differences.push(format!("from {}: {difference}", selected.from));
        }
    }
    Ok(Outcome::of(differences))
}

/// What becomes of a connection.
enum Decided {
    Denied,
    Allowed(Option<L7Policy>),
    Conflict(String),
}

/// Whether rules cannot be together. The files were recorded with Cilium 1.17, where parsers of
/// different selectors were in each other's way, and a denial did not end a conflict; today only the
/// rules of one selector that are left can be in conflict.
fn is_conflict(rules: &[Rule]) -> Result<bool, Fault> {
    if rules.iter().any(|rule| rule.kind == "deny") {
        return Ok(true);
    }
    let selectors: BTreeSet<_> = rules.iter().map(|rule| rule.from.as_str()).collect();
    let mut parsers = BTreeSet::new();
    for from in selectors {
        match decide(rules, from)? {
            Decided::Conflict(_) => return Ok(true),
            Decided::Allowed(Some(told)) => {
                parsers.insert((told.parser, told.parser_name));
            }
            Decided::Allowed(None) | Decided::Denied => {}
        }
    }
    Ok(parsers.len() > 1)
}

/// What the rules of one selector say about a connection of its peer to port 80.
fn decide(rules: &[Rule], from: &str) -> Result<Decided, Fault> {
    let place = "k8s:io.kubernetes.pod.namespace=default,k8s:io.cilium.k8s.policy.cluster=default";
    let mut identities = Identities::new(Families::Dual);
    let mut pod = |app: &str| -> Result<IdentityId, Fault> {
        let labels = format!("k8s:app={app},{place}")
            .parse()
            .map_err(Fault::of)?;
        Ok(identities.intern(labels).map_err(Fault::of)?.id)
    };
    let (subject, peer) = (pod("subject")?, pod("a")?);
    let options = Options::new()
        .semantics(Semantics::Cilium)
        .refused(RefusedDocuments::Error);
    let mut set = PolicySet::new(options);
    let text = document(rules, from).to_string();
    set.load([("case", text.as_str())]).map_err(Fault::of)?;
    let policy = match set.resolve(subject, &identities.snapshot()) {
        Ok(policy) => policy,
        Err(conflict) => return Ok(Decided::Conflict(conflict.to_string())),
    };
    let decision = policy.check(&Query::ingress(peer).tcp(80));
    Ok(match decision.verdict() {
        Verdict::Deny => Decided::Denied,
        Verdict::Allow | Verdict::Redirect => Decided::Allowed(decision.l7()),
    })
}

fn document(rules: &[Rule], from: &str) -> Value {
    let list = |list: &str| -> Vec<Value> {
        let own = rules
            .iter()
            .filter(|rule| rule.from == from && rule.list() == list);
        own.map(|rule| match from {
            "*" => json!({"toPorts": [rule.port_rule]}),
            app => json!({
                "fromEndpoints": [{"matchLabels": {"app": app}}],
                "toPorts": [rule.port_rule],
            }),
        })
        .collect()
    };
    json!({
        "apiVersion": "cilium.io/v2",
        "kind": "CiliumNetworkPolicy",
        "metadata": {"name": "case", "namespace": "default"},
        "spec": {
            "endpointSelector": {"matchLabels": {"app": "subject"}},
            "ingress": list("ingress"),
            "ingressDeny": list("ingressDeny"),
        },
    })
}

impl Selected {
    fn compare(&self, found: Decided) -> Result<Option<String>, Fault> {
        let told = match found {
            Decided::Conflict(reason) => return Ok(Some(reason)),
            Decided::Denied if self.deny => return Ok(None),
            Decided::Denied => return Ok(Some("denied".to_owned())),
            Decided::Allowed(_) if self.deny => return Ok(Some("allowed".to_owned())),
            Decided::Allowed(told) => told,
        };
        let expected = self
            .l7
            .as_ref()
            .map(|rules| self.rules(rules))
            .transpose()?;
        let found = told.map(|told| match told.unrestricted {
            true => (None, told.server_names),
            false => (Some(told.rules), told.server_names),
        });
        let same = match (&found, &expected) {
            (None, None) => true,
            (Some((found, names)), Some((rules, listed))) => {
                names == listed && same_rules(found.as_ref(), rules.as_ref())
            }
            _ => false,
        };
        Ok((!same).then(|| format!("{found:?}, {expected:?} expected")))
    }

    /// The rules as they are expected, `None` if everything passes them, and the server names.
    fn rules(&self, rules: &Value) -> Result<(Option<L7Rules>, Vec<Box<str>>), Fault> {
        let open = |list: &Value| {
            list.as_array()
                .is_some_and(|list| list.contains(&json!({})))
        };
        let lists = rules.as_object().into_iter().flat_map(|map| map.values());
        let all = rules == &json!({}) || lists.into_iter().any(open);
        let element = json!({"ports": [{"port": "80", "protocol": "TCP"}], "rules": rules});
        let read = port_rule("ingress", &element).map_err(Fault::of)?;
        Ok(((!all).then_some(read), self.server_names.clone()))
    }
}

fn same_rules(found: Option<&L7Rules>, expected: Option<&L7Rules>) -> bool {
    fn same<T: PartialEq>(found: &[T], expected: &[T]) -> bool {
        found.len() == expected.len() && found.iter().all(|rule| expected.contains(rule))
    }
    match (found, expected) {
        (Some(L7Rules::Http(found)), Some(L7Rules::Http(expected))) => same(found, expected),
        (Some(L7Rules::Kafka(found)), Some(L7Rules::Kafka(expected))) => same(found, expected),
        (found, expected) => found == expected,
    }
}
