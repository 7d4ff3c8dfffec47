//! What the cluster-scoped kinds share: a subject, a priority, rules with actions.

use super::{peer, port};
use crate::direction::Direction;
use crate::parse::at::{At, Reader};
use crate::parse::error::ParseError;
use crate::peers::{Peer, Peers};
use crate::port_rule::{Port, PortSpec};
use crate::rule::{Action, DefaultDeny, Guards, Rule, Spec, Tier};

/// The most characters of the name of a rule.
const MAX_RULE_NAME: usize = 100;

/// The highest number of a priority, which is the weakest.
const MAX_PRIORITY: u16 = 1000;

/// In what the cluster-scoped kinds differ.
pub(super) struct Shape {
    /// The fields of `spec`.
    pub(super) fields: &'static [&'static str],
    /// The tier; `None` where `tier` says it.
    pub(super) tier: Option<Tier>,
    /// What rules may do, in the words of the kind.
    pub(super) actions: &'static [(&'static str, Action)],
    /// The most elements of a list of rules, peers or ports.
    pub(super) most: usize,
    /// The peers of egress rules.
    pub(super) destinations: &'static [&'static str],
    /// Whether `pods` has to name its namespaces; else a missing selector is the one of all.
    pub(super) names_namespaces: bool,
    /// The field of the ports.
    pub(super) ports: &'static str,
    /// Reads an element of it.
    pub(super) port: fn(&mut Reader<'_>, &At<'_>) -> Result<PortSpec, ParseError>,
}

pub(super) fn spec(
    reader: &mut Reader<'_>,
    at: &At<'_>,
    shape: &Shape,
) -> Result<Spec, ParseError> {
    reader.fields(at, shape.fields)?;
    let tier = match shape.tier {
        Some(tier) => tier,
        None => tier(reader, at)?,
    };
    let priority = match shape.fields.contains(&"priority") {
        true => priority(reader, at)?,
        false => 0,
    };
    let subject = peer::subject(reader, at, shape)?;
    let mut rules = Vec::new();
    for direction in Direction::ALL {
        let found = up_to(reader, at, direction.name(), shape.most, |reader, at| {
            rule(reader, at, direction, shape)
        })?;
        rules.extend((0..).zip(found).map(|(index, rule)| Rule { index, ..rule }));
    }
    Ok(Spec {
        guards: Guards::Endpoints,
        subject,
        tier,
        priority,
        rules,
        empty_lists: Vec::new(),
        default_deny: DefaultDeny::default(),
        policy_types: None,
        labels: Vec::new(),
        description: None,
        log: None,
        location: reader.location(at),
        position: None,
    })
}

fn tier(reader: &Reader<'_>, at: &At<'_>) -> Result<Tier, ParseError> {
    let Some(at) = at.get("tier") else {
        return Err(reader.invalid(at, "`tier` is missing; add Admin or Baseline"));
    };
    match reader.text(&at)? {
        "Admin" => Ok(Tier::Admin),
        "Baseline" => Ok(Tier::Baseline),
        other => Err(reader.invalid(
            &at,
            format!("unknown tier `{other}`; use Admin or Baseline"),
        )),
    }
}

fn priority(reader: &Reader<'_>, at: &At<'_>) -> Result<u16, ParseError> {
    let Some(at) = at.get("priority") else {
        let reason = format!("`priority` is missing; add a number from 0 to {MAX_PRIORITY}");
        return Err(reader.invalid(at, reason));
    };
    let number = reader.integer(&at)?;
    match u16::try_from(number) {
        Ok(priority) if priority <= MAX_PRIORITY => Ok(priority),
        _ => {
            let reason = format!(
                "{number} is no priority; use a number from 0 (strongest) to {MAX_PRIORITY}"
            );
            Err(reader.invalid(&at, reason))
        }
    }
}

/// A list of at most so many elements.
pub(super) fn up_to<T>(
    reader: &mut Reader<'_>,
    at: &At<'_>,
    field: &str,
    most: usize,
    read: impl FnMut(&mut Reader<'_>, &At<'_>) -> Result<T, ParseError>,
) -> Result<Vec<T>, ParseError> {
    let found = reader.each(at, field, read)?;
    match at.get(field) {
        Some(list) if found.len() > most => {
            let reason = format!(
                "{} elements, at most {most} fit; write another policy for the rest",
                found.len()
            );
            Err(reader.invalid(&list, reason))
        }
        _ => Ok(found),
    }
}

/// A list of one to so many elements, if it is there.
pub(super) fn filled<T>(
    reader: &mut Reader<'_>,
    at: &At<'_>,
    field: &str,
    most: usize,
    read: impl FnMut(&mut Reader<'_>, &At<'_>) -> Result<T, ParseError>,
) -> Result<Option<Vec<T>>, ParseError> {
    let Some(list) = at.get(field) else {
        return Ok(None);
    };
    let found = up_to(reader, at, field, most, read)?;
    match found.is_empty() {
        true => Err(reader.invalid(&list, format!("`{field}` is empty; add an element"))),
        false => Ok(Some(found)),
    }
}

fn rule(
    reader: &mut Reader<'_>,
    at: &At<'_>,
    direction: Direction,
    shape: &Shape,
) -> Result<Rule, ParseError> {
    let peer_field = match direction {
        Direction::Ingress => "from",
        Direction::Egress => "to",
    };
    reader.count_rule(at)?;
    reader.fields(at, &["name", "action", peer_field, shape.ports])?;
    let action = action(reader, at, shape)?;
    let peers = filled(reader, at, peer_field, shape.most, |reader, at| {
        peer::peer(reader, at, direction, action, shape)
    })?;
    let Some(peers) = peers else {
        let reason = format!("`{peer_field}` is missing; name the other side of the rule");
        return Err(reader.invalid(at, reason));
    };
    let peers: Vec<Peer> = peers.into_iter().flatten().collect();
    let ports = filled(reader, at, shape.ports, shape.most, |reader, at| {
        let spec = (shape.port)(reader, at)?;
        check_name(reader, at, &spec, &peers)?;
        Ok(port::element(spec, reader.location(at)))
    })?;
    Ok(Rule {
        direction,
        action,
        index: 0,
        name: name(reader, at)?,
        peers: Peers::Listed(peers),
        ports,
        auth: None,
        location: reader.location(at),
    })
}

fn action(reader: &Reader<'_>, at: &At<'_>, shape: &Shape) -> Result<Action, ParseError> {
    let names = || {
        let names: Vec<&str> = shape.actions.iter().map(|(name, _)| *name).collect();
        names.join(", ")
    };
    let Some(at) = at.get("action") else {
        let reason = format!("`action` is missing; add one of {}", names());
        return Err(reader.invalid(at, reason));
    };
    let text = reader.text(&at)?;
    let known = shape.actions.iter().find(|(name, _)| *name == text);
    known.map(|(_, action)| *action).ok_or_else(|| {
        reader.invalid(
            &at,
            format!("unknown action `{text}`; use one of {}", names()),
        )
    })
}

fn name(reader: &Reader<'_>, at: &At<'_>) -> Result<Option<Box<str>>, ParseError> {
    let name = reader.boxed_of(at, "name")?;
    match (&name, at.get("name")) {
        (Some(text), Some(at)) if text.chars().count() > MAX_RULE_NAME => Err(reader.invalid(
            &at,
            format!("the name of a rule has at most {MAX_RULE_NAME} characters; shorten it"),
        )),
        _ => Ok(name),
    }
}

/// Only pods have names for their ports.
fn check_name(
    reader: &Reader<'_>,
    at: &At<'_>,
    spec: &PortSpec,
    peers: &[Peer],
) -> Result<(), ParseError> {
    let nameless = peers.iter().find_map(|peer| match peer {
        Peer::Cidr(_) => Some("networks"),
        Peer::Nodes(_) => Some("nodes"),
        Peer::Fqdn(_) => Some("domainNames"),
        _ => None,
    });
    match (&spec.port, nameless) {
        (Port::Name(name), Some(field)) => Err(reader.invalid(
            at,
            format!("`{field}` have no port names; write the number that `{name}` stands for"),
        )),
        _ => Ok(()),
    }
}

/// The `spec` of a document.
pub(super) fn of<'a>(reader: &Reader<'_>, root: &'a At<'a>) -> Result<At<'a>, ParseError> {
    root.get("spec").ok_or_else(|| {
        let reason = "`spec` is missing; add whom the policy guards and its rules";
        reader.invalid(root, reason)
    })
}
