//! NetworkPolicy of `networking.k8s.io/v1`.

use porin_identity::Selector;

use super::selector::{Of, selector};
use super::{block, port};
use crate::direction::Direction;
use crate::parse::at::{At, Reader};
use crate::parse::error::ParseError;
use crate::peers::{Peer, Peers, PodPeer};
use crate::port_rule::{Port, PortRule, PortSpec};
use crate::rule::{Action, DefaultDeny, Guards, PolicyTypes, Rule, Spec, Tier};

const FIELDS: &[&str] = &["podSelector", "ingress", "egress", "policyTypes"];

pub(super) fn spec(reader: &mut Reader<'_>, at: &At<'_>) -> Result<Spec, ParseError> {
    reader.fields(at, FIELDS)?;
    let mut rules = Vec::new();
    for direction in Direction::ALL {
        if let Some(list) = at.get(direction.name()) {
            for (index, item) in reader.items(&list)?.enumerate() {
                rules.push(rule(reader, &item, direction, index)?);
            }
        }
    }
    Ok(Spec {
        guards: Guards::Endpoints,
        subject: subject(reader, at)?,
        tier: Tier::Normal,
        priority: 0,
        rules,
        empty_lists: Vec::new(),
        default_deny: DefaultDeny::default(),
        policy_types: policy_types(reader, at)?,
        labels: Vec::new(),
        description: None,
        log: None,
        location: reader.location(at),
        position: None,
    })
}

/// `podSelector`; a missing one is the one of every pod.
pub(super) fn subject(reader: &mut Reader<'_>, at: &At<'_>) -> Result<Selector, ParseError> {
    match at.get("podSelector") {
        Some(at) => selector(reader, &at, Of::Pods),
        None => Ok(Selector::everything()),
    }
}

fn policy_types(reader: &mut Reader<'_>, at: &At<'_>) -> Result<Option<PolicyTypes>, ParseError> {
    let listed = reader.each(at, "policyTypes", |reader, at| match reader.text(at)? {
        "Ingress" => Ok(Direction::Ingress),
        "Egress" => Ok(Direction::Egress),
        other => Err(reader.invalid(
            at,
            format!("unknown policy type `{other}`; use Ingress and Egress"),
        )),
    })?;
    if let (3.., Some(list)) = (listed.len(), at.get("policyTypes")) {
        return Err(reader.invalid(&list, "there are two policy types; name each once"));
    }
    let types = PolicyTypes {
        ingress: listed.contains(&Direction::Ingress),
        egress: listed.contains(&Direction::Egress),
    };
    Ok((!listed.is_empty()).then_some(types))
}

fn rule(
    reader: &mut Reader<'_>,
    at: &At<'_>,
    direction: Direction,
    index: usize,
) -> Result<Rule, ParseError> {
    let peer_field = match direction {
        Direction::Ingress => "from",
        Direction::Egress => "to",
    };
    reader.count_rule(at)?;
    reader.fields(at, &[peer_field, "ports"])?;
    let peers = reader.each(at, peer_field, peer)?;
    let ports = reader.each(at, "ports", port_rule)?;
    Ok(Rule {
        direction,
        action: Action::Allow,
        index,
        name: None,
        peers: match peers.is_empty() {
            true => Peers::Unspecified,
            false => Peers::Listed(peers),
        },
        ports: (!ports.is_empty()).then_some(ports),
        auth: None,
        location: reader.location(at),
    })
}

fn peer(reader: &mut Reader<'_>, at: &At<'_>) -> Result<Peer, ParseError> {
    reader.fields(at, &["podSelector", "namespaceSelector", "ipBlock"])?;
    let mut select = |field, of| match at.get(field) {
        Some(at) => selector(reader, &at, of).map(Some),
        None => Ok(None),
    };
    let pods = select("podSelector", Of::Pods)?;
    let namespaces = select("namespaceSelector", Of::Namespaces)?;
    match (at.get("ipBlock"), pods.is_some() || namespaces.is_some()) {
        (Some(block), false) => Ok(Peer::Cidr(Box::new(block::ip_block(reader, &block)?))),
        (Some(block), true) => Err(reader.invalid(
            &block,
            "`ipBlock` stands alone; put the selectors into an element of their own",
        )),
        (None, true) => Ok(Peer::Pods(PodPeer { pods, namespaces })),
        (None, false) => Err(reader.invalid(
            at,
            "a peer names somebody; add `podSelector`, `namespaceSelector` or `ipBlock`",
        )),
    }
}

fn port_rule(reader: &mut Reader<'_>, at: &At<'_>) -> Result<PortRule, ParseError> {
    reader.fields(at, &["protocol", "port", "endPort"])?;
    let protocol = port::protocol(reader, at)?;
    let first = match at.get("port") {
        None => Port::Number(0),
        Some(at) if matches!(at.node.value, crate::yaml::Value::Text(_)) => {
            port::name(reader, &at)?
        }
        Some(at) => Port::Number(port::number(reader, &at)?),
    };
    let end_port = match at.get("endPort") {
        None => None,
        Some(at) => Some(end_port(reader, &at, &first)?),
    };
    let spec = PortSpec {
        port: first,
        end_port,
        protocol,
    };
    Ok(port::element(spec, reader.location(at)))
}

fn end_port(reader: &Reader<'_>, at: &At<'_>, first: &Port) -> Result<u16, ParseError> {
    let last = port::number(reader, at)?;
    match first {
        Port::Name(name) => Err(reader.invalid(
            at,
            format!("a range begins with a number; replace `{name}`, or remove `endPort`"),
        )),
        Port::Number(0) => Err(reader.invalid(
            at,
            "a range needs its first port; add `port`, or remove `endPort`",
        )),
        Port::Number(number) if last < *number => Err(reader.invalid(
            at,
            format!("a range from {number} to {last} has no port; swap the two"),
        )),
        Port::Number(_) => Ok(last),
    }
}
