//! Which specs switch default deny on.

use super::clause::is_staged;
use crate::direction::Direction;
use crate::options::{NetworkPolicyReading, Options, Semantics};
use crate::rule::{Document, PolicyKind, Rule, Spec};
use crate::staged::Staging;

/// Whether a spec closes a direction for whom it guards, but for what is allowed.
pub(super) fn isolates(
    document: &Document,
    spec: &Spec,
    direction: Direction,
    options: &Options,
) -> bool {
    let has_rules = || {
        let in_force =
            |rule: &&Rule| rule.direction == direction && !is_staged(document, rule, options);
        spec.rules.iter().find(in_force).is_some()
    };
    match document.name.kind {
        PolicyKind::NetworkPolicy => {
            let listed = match spec.policy_types {
                Some(types) => types.get(direction),
                None => direction == Direction::Ingress || has_rules(),
            };
            let counts = options.network_policies == NetworkPolicyReading::Cilium && has_rules();
            !is_tried(document, options) && (listed || counts)
        }
        kind if kind.is_kubernetes() => false,
        _ => {
            let empty = options.semantics == Semantics::Strict
                && spec
                    .empty_lists
                    .iter()
                    .any(|list| list.direction == direction);
            let off = options.non_default_deny && spec.default_deny.get(direction) == Some(false);
            !off && (has_rules() || empty && !is_tried(document, options))
        }
    }
}

/// Whether nothing of a document is in force.
fn is_tried(document: &Document, options: &Options) -> bool {
    let namespace = document.name.namespace.as_deref();
    document.staging == Staging::Whole
        || namespace.is_some_and(|name| options.staged_namespaces.contains(name))
}
