//! `spec` and `specs`.

use std::str::FromStr;

use porin_identity::{Label, Selector};

use super::rule::rule;
use crate::direction::Direction;
use crate::parse::at::{At, Reader};
use crate::parse::error::ParseError;
use crate::parse::selector;
use crate::rule::{
    Action, DefaultDeny, EmptyList, Guards, Objector, PolicyKind, Rule, Spec, Tier, list_field,
};
use crate::yaml::Value;

/// The four rule lists, in the order in which their rules are kept.
const LISTS: [(Direction, Action); 4] = [
    (Direction::Ingress, Action::Allow),
    (Direction::Ingress, Action::Deny),
    (Direction::Egress, Action::Allow),
    (Direction::Egress, Action::Deny),
];

const ROOT: &[&str] = &["apiVersion", "kind", "metadata", "spec", "specs", "status"];

/// Everything that `spec` and `specs` of a document say.
pub(in crate::parse) fn specs(
    reader: &mut Reader<'_>,
    root: &At<'_>,
    kind: PolicyKind,
) -> Result<Vec<Spec>, ParseError> {
    reader.fields(root, ROOT)?;
    if let Some(status) = root.get("status") {
        reader.fields(&status, &["conditions", "derivativePolicies"])?;
    }
    let mut found = Vec::new();
    if let Some(at) = root.get("spec") {
        found.reserve_exact(1);
        found.push(spec(reader, &at, kind, None)?);
    }
    match root.get("specs") {
        Some(list) => {
            let items = reader.items(&list)?;
            found.reserve_exact(items.len());
            for (position, at) in items.enumerate() {
                if at.node.is_null() {
                    return Err(reader.mismatch(&at, "a map"));
                }
                found.push(spec(reader, &at, kind, Some(position))?);
            }
        }
        None if found.is_empty() => {
            return Err(reader.invalid(
                root,
                "neither `spec` nor `specs` is there; add the rules of the policy",
            ));
        }
        None => {}
    }
    Ok(found)
}

/// The subjects of all specs, or nothing if one of them cannot be read.
pub(in crate::parse) fn subjects(
    reader: &mut Reader<'_>,
    root: &At<'_>,
) -> Result<Vec<Selector>, ParseError> {
    let mut found = Vec::new();
    if let Some(spec) = root.get("spec") {
        found.push(subject_of(reader, &spec)?);
    }
    found.extend(reader.each(root, "specs", subject_of)?);
    Ok(found)
}

fn subject_of(reader: &mut Reader<'_>, spec: &At<'_>) -> Result<Selector, ParseError> {
    match spec.get("endpointSelector") {
        Some(at) => selector::selector(reader, &at),
        None => Err(reader.invalid(spec, "`endpointSelector` is missing")),
    }
}

const FIELDS: &[&str] = &[
    "endpointSelector",
    "nodeSelector",
    "ingress",
    "ingressDeny",
    "egress",
    "egressDeny",
    "enableDefaultDeny",
    "labels",
    "description",
    "log",
];

fn spec(
    reader: &mut Reader<'_>,
    at: &At<'_>,
    kind: PolicyKind,
    position: Option<usize>,
) -> Result<Spec, ParseError> {
    reader.fields(at, FIELDS)?;
    let (subject, of_node) = subject(reader, at, kind)?;
    let mut rules = Vec::new();
    let mut empty_lists = Vec::new();
    for (direction, action) in LISTS {
        let Some(list) = at.get(list_field(direction, action)) else {
            continue;
        };
        let items = reader.items(&list)?;
        if items.len() == 0 {
            empty_lists.push(EmptyList {
                direction,
                action,
                location: reader.location(&list),
            });
        }
        rules.reserve_exact(items.len());
        for (index, item) in items.enumerate() {
            rules.push(rule(reader, &item, (direction, action), index, of_node)?);
        }
    }
    check_content(reader, at, &rules, &empty_lists)?;
    Ok(Spec {
        guards: if of_node {
            Guards::Nodes
        } else {
            Guards::Endpoints
        },
        subject,
        tier: Tier::Normal,
        priority: 0,
        policy_types: None,
        rules,
        empty_lists,
        default_deny: default_deny(reader, at)?,
        labels: reader.each(at, "labels", label)?,
        description: reader.boxed_of(at, "description")?,
        log: log(reader, at)?,
        location: reader.location(at),
        position,
    })
}

/// The subject, and whether it is a node.
fn subject(
    reader: &mut Reader<'_>,
    at: &At<'_>,
    kind: PolicyKind,
) -> Result<(Selector, bool), ParseError> {
    match (at.raw("endpointSelector"), at.raw("nodeSelector")) {
        (Some(endpoints), None) => Ok((selector::selector(reader, &endpoints)?, false)),
        (None, Some(nodes)) if kind == PolicyKind::CiliumClusterwideNetworkPolicy => {
            Ok((selector::selector(reader, &nodes)?, true))
        }
        (None, Some(nodes)) => {
            let reason = "nodes can only be guarded by a CiliumClusterwideNetworkPolicy; change the kind or use `endpointSelector`";
            Err(reader.invalid(&nodes, reason))
        }
        (Some(_), Some(nodes)) => Err(reader.invalid(
            &nodes,
            "`endpointSelector` and `nodeSelector` exclude each other; keep one",
        )),
        (None, None) => {
            let reason =
                "`endpointSelector` is missing; write `endpointSelector: {}` for every workload";
            Err(reader.invalid(at, reason))
        }
    }
}

/// A spec has to say something. An empty list of allowances says something under strict semantics
/// only, and something else beside other rules under neither.
fn check_content(
    reader: &mut Reader<'_>,
    at: &At<'_>,
    rules: &[Rule],
    empty: &[EmptyList],
) -> Result<(), ParseError> {
    if !rules.is_empty() {
        return Ok(());
    }
    match empty.iter().find(|list| list.action == Action::Allow) {
        None => {
            let reason = "no rule at all; add one of `ingress`, `ingressDeny`, `egress`, `egressDeny` with at least one element";
            Err(reader.invalid(at, reason))
        }
        Some(list) => {
            let field = list_field(list.direction, list.action);
            let reason =
                format!("an empty `{field}` is no rule; write `{field}: [{{}}]` to allow nothing");
            reader.object(Objector::Cilium, at, reason);
            Ok(())
        }
    }
}

fn default_deny(reader: &mut Reader<'_>, at: &At<'_>) -> Result<DefaultDeny, ParseError> {
    let Some(at) = at.get("enableDefaultDeny") else {
        return Ok(DefaultDeny::default());
    };
    reader.fields(&at, &["ingress", "egress"])?;
    Ok(DefaultDeny {
        ingress: at
            .get("ingress")
            .map(|at| reader.boolean(&at))
            .transpose()?,
        egress: at.get("egress").map(|at| reader.boolean(&at)).transpose()?,
    })
}

/// A label as text or in parts.
fn label(reader: &mut Reader<'_>, at: &At<'_>) -> Result<Label, ParseError> {
    let label = match at.node.value {
        Value::Text(_) => Label::from_str(reader.text(at)?),
        _ => {
            reader.fields(at, &["key", "value", "source"])?;
            let part = |field| reader.text_of(at, field).map(Option::unwrap_or_default);
            let source = reader.text_of(at, "source")?.unwrap_or("unspec");
            Label::new(source, part("key")?, part("value")?)
        }
    };
    label.map_err(|error| reader.invalid(at, error.to_string()))
}

fn log(reader: &mut Reader<'_>, at: &At<'_>) -> Result<Option<Box<str>>, ParseError> {
    let Some(at) = at.get("log") else {
        return Ok(None);
    };
    reader.fields(&at, &["value"])?;
    reader.boxed_of(&at, "value")
}
