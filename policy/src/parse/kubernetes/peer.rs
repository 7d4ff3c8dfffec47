//! Subjects and peers of the cluster-scoped kinds.

use porin_identity::Selector;

use super::block;
use super::selector::{Of, selector};
use super::spec::{Shape, filled};
use crate::direction::Direction;
use crate::parse::at::{At, Reader};
use crate::parse::error::{ParseError, suggest};
use crate::peers::{CidrPeer, CidrSource, FqdnPeer, Peer, PodPeer};
use crate::rule::{Action, Objector};
use crate::yaml::Value;

/// The most blocks or names of one peer.
const MOST: usize = 25;

/// The most characters of a domain name.
const MAX_NAME: usize = 253;

/// The peers of ingress rules.
const SOURCES: &[&str] = &["namespaces", "pods"];

/// What is a peer of another kind or direction, so no field of days to come.
const ELSEWHERE: &[&str] = &[
    "nodes",
    "networks",
    "domainNames",
    "podSelector",
    "namespaceSelector",
    "ipBlock",
];

/// `subject`: pods, by their own labels and those of their namespace.
pub(super) fn subject(
    reader: &mut Reader<'_>,
    at: &At<'_>,
    shape: &Shape,
) -> Result<Selector, ParseError> {
    let Some(at) = at.get("subject") else {
        let reason = "`subject` is missing; write `subject: {namespaces: {}}` for every pod";
        return Err(reader.invalid(at, reason));
    };
    reader.fields(&at, SOURCES)?;
    let PodPeer { pods, namespaces } = match (at.get("namespaces"), at.get("pods")) {
        (Some(at), None) => namespaces(reader, &at)?,
        (None, Some(at)) => pods(reader, &at, shape)?,
        _ => {
            let reason = "exactly one of `namespaces` and `pods` is needed; keep one";
            return Err(reader.invalid(&at, reason));
        }
    };
    let terms = pods
        .iter()
        .chain(&namespaces)
        .flat_map(Selector::requirements);
    Ok(terms.cloned().collect())
}

/// An element of `from` or `to`: the peers of its one field.
pub(super) fn peer(
    reader: &mut Reader<'_>,
    at: &At<'_>,
    direction: Direction,
    action: Action,
    shape: &Shape,
) -> Result<Vec<Peer>, ParseError> {
    let known = match direction {
        Direction::Ingress => SOURCES,
        Direction::Egress => shape.destinations,
    };
    let mut named = known
        .iter()
        .filter_map(|field| Some((*field, at.get(field)?)));
    let Some((field, value)) = named.next() else {
        return unknown(reader, at, known).map(|peer| vec![peer]);
    };
    if named.next().is_some() {
        return Err(reader.invalid(at, "a peer is of one kind; write an element for each"));
    }
    reader.fields(at, known)?;
    match field {
        "namespaces" => Ok(vec![Peer::Pods(namespaces(reader, &value)?)]),
        "pods" => Ok(vec![Peer::Pods(pods(reader, &value, shape)?)]),
        "nodes" => {
            let reason = "the labels of nodes are not known here, so `nodes` cannot be told apart; leave the rule out";
            reader.object(Objector::WithoutNodeLabels, &value, reason);
            Ok(vec![Peer::Nodes(selector(reader, &value, Of::Nodes)?)])
        }
        "networks" => networks(reader, at),
        _ => domain_names(reader, at, action),
    }
}

/// An element none of whose fields is known. A field that the API may get later is no mistake, and
/// its rule fails closed; a misspelt one is.
fn unknown(reader: &Reader<'_>, at: &At<'_>, known: &[&str]) -> Result<Peer, ParseError> {
    let Value::Map(entries) = &at.node.value else {
        return Err(reader.mismatch(at, "a map"));
    };
    if entries.is_empty() || entries.iter().any(|entry| known.contains(&&*entry.key)) {
        let reason = format!("a peer names somebody; add one of {}", known.join(", "));
        return Err(reader.invalid(at, reason));
    }
    let elsewhere = |field: &str| ELSEWHERE.contains(&field);
    for (field, value) in at.entries() {
        if elsewhere(field) {
            let reason = format!("no `{field}` here; use one of {}", known.join(", "));
            return Err(reader.invalid(&value, reason));
        }
        if suggest(field, known).is_some() {
            reader.fields(at, known)?;
        }
    }
    Ok(Peer::Unknown)
}

fn namespaces(reader: &mut Reader<'_>, at: &At<'_>) -> Result<PodPeer, ParseError> {
    if let Some(old) = at.raw("namespaceSelector") {
        let reason = "this is the shape of the API up to v0.1.2; put the selector directly under `namespaces`";
        return Err(reader.invalid(&old, reason));
    }
    for field in ["sameLabels", "notSameLabels"] {
        if let Some(old) = at.raw(field) {
            let reason = format!(
                "`{field}` left the API with v0.1.3; write a policy for each value of the labels"
            );
            return Err(reader.invalid(&old, reason));
        }
    }
    Ok(PodPeer {
        pods: None,
        namespaces: Some(selector(reader, at, Of::Namespaces)?),
    })
}

fn pods(reader: &mut Reader<'_>, at: &At<'_>, shape: &Shape) -> Result<PodPeer, ParseError> {
    if let Some(old) = at.raw("namespaces") {
        let reason = "this is the shape of the API up to v0.1.2; write `namespaceSelector` with the selector";
        return Err(reader.invalid(&old, reason));
    }
    reader.fields(at, &["namespaceSelector", "podSelector"])?;
    let missing = |field| format!("`{field}` is missing; write `{field}: {{}}` for all");
    let Some(pods) = at.get("podSelector") else {
        return Err(reader.invalid(at, missing("podSelector")));
    };
    let namespaces = match at.get("namespaceSelector") {
        Some(at) => selector(reader, &at, Of::Namespaces)?,
        None if shape.names_namespaces => {
            return Err(reader.invalid(at, missing("namespaceSelector")));
        }
        None => Selector::everything(),
    };
    Ok(PodPeer {
        pods: Some(selector(reader, &pods, Of::Pods)?),
        namespaces: Some(namespaces),
    })
}

fn networks(reader: &mut Reader<'_>, at: &At<'_>) -> Result<Vec<Peer>, ParseError> {
    let blocks = filled(reader, at, "networks", MOST, |reader, at| {
        block::block(reader, at)
    })?;
    let blocks = blocks.unwrap_or_default();
    once(reader, at, "networks", &blocks)?;
    let peer = |block| CidrPeer {
        source: CidrSource::Block(block),
        except: Vec::new(),
    };
    Ok(blocks
        .into_iter()
        .map(|block| Peer::Cidr(Box::new(peer(block))))
        .collect())
}

fn domain_names(
    reader: &mut Reader<'_>,
    at: &At<'_>,
    action: Action,
) -> Result<Vec<Peer>, ParseError> {
    if action != Action::Allow {
        let reason = "names can only be allowed: whoever is denied one still has its addresses";
        return Err(reader.invalid(at, reason));
    }
    let names = filled(reader, at, "domainNames", MOST, |reader, at| {
        domain_name(reader, at)
    })?;
    let names = names.unwrap_or_default();
    once(reader, at, "domainNames", &names)?;
    Ok(names.into_iter().map(Peer::Fqdn).collect())
}

/// A name, or `*.` and a name for everything below it, at any depth. Case and a final dot do not
/// matter (RFC 4343, RFC 1034 §3.1).
fn domain_name(reader: &Reader<'_>, at: &At<'_>) -> Result<FqdnPeer, ParseError> {
    let text = reader.text(at)?;
    let (below, name) = match text.strip_prefix("*.") {
        Some(name) => (true, name),
        None => (false, text),
    };
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    let labels = || name.split('.');
    if name.len() > MAX_NAME || !labels().all(is_label) || (!below && labels().count() < 2) {
        let reason = format!(
            "`{text}` is no domain name; write it like www.example.com, or *.example.com for all below"
        );
        return Err(reader.invalid(at, reason));
    }
    Ok(match below {
        true => FqdnPeer::Pattern(format!("**.{name}").into()),
        false => FqdnPeer::Name(name.into()),
    })
}

fn is_label(label: &str) -> bool {
    let bytes = label.as_bytes();
    let end = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    (1..=63).contains(&bytes.len())
        && (end(bytes.first()) || label.starts_with('_'))
        && end(bytes.last())
        && label
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

/// The API keeps these lists as sets.
fn once<T: PartialEq>(
    reader: &Reader<'_>,
    at: &At<'_>,
    field: &str,
    found: &[T],
) -> Result<(), ParseError> {
    let list = at.get(field).unwrap_or(*at);
    let twice = |(place, one)| found.iter().take(place).any(|other| other == one);
    match found.iter().enumerate().any(twice) {
        true => Err(reader.invalid(&list, "an element stands twice; keep one of them")),
        false => Ok(()),
    }
}
