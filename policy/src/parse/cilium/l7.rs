//! The `rules` of a `toPorts` element.

use std::collections::BTreeMap;

use super::port::Port;
use super::{dns, http, kafka};
use crate::direction::Direction;
use crate::l7::L7Rules;
use crate::parse::at::{At, Reader};
use crate::parse::error::ParseError;
use crate::port_rule::PortProtocol;
use crate::yaml::{Node, Value};

/// What `rules` holds, as far as other fields of the element depend on it.
pub(super) struct Content {
    /// Any rule of any kind. (A bare `l7proto` is none.)
    pub(super) any: bool,
    dns: bool,
    http: bool,
    /// Kinds whose list is there, empty or not.
    kinds: usize,
}

impl Content {
    pub(super) fn of(reader: &Reader<'_>, at: &At<'_>) -> Result<Self, ParseError> {
        let Some(rules) = at.get("rules") else {
            return Ok(Self {
                any: false,
                dns: false,
                http: false,
                kinds: 0,
            });
        };
        reader.fields(&rules, &["http", "kafka", "dns", "l7proto", "l7"])?;
        let length = |field| match rules.node.get(field) {
            Some(Node {
                value: Value::List(items),
                ..
            }) => Some(items.len()),
            _ => None,
        };
        let kinds = ["http", "kafka", "dns"]
            .into_iter()
            .filter(|field| length(field).is_some())
            .count();
        let named = reader.text_of(&rules, "l7proto")?.is_some();
        let filled = |field| length(field).is_some_and(|length| length > 0);
        Ok(Self {
            any: ["http", "kafka", "dns", "l7"].into_iter().any(filled),
            dns: filled("dns"),
            http: filled("http"),
            kinds: kinds + usize::from(named),
        })
    }
}

/// Reads and checks the rules of an element.
pub(super) fn rules(
    reader: &mut Reader<'_>,
    at: &At<'_>,
    content: &Content,
    direction: Direction,
    of_node: bool,
    ports: &[Port],
) -> Result<L7Rules, ParseError> {
    let Some(rules) = at.get("rules") else {
        return Ok(L7Rules::None);
    };
    let read = read(reader, &rules)?;
    if !content.any {
        return Ok(read);
    }
    check_place(reader, &rules, content, direction, of_node)?;
    check_ports(reader, &rules, content, ports)?;
    if rules.get("l7").is_some() && reader.text_of(&rules, "l7proto")?.is_none() {
        return Err(reader.invalid(&rules, "`l7` needs `l7proto`; name the parser"));
    }
    if content.kinds > 1 {
        let reason =
            "more than one kind of rules in one element; write one `toPorts` element for each";
        return Err(reader.invalid(&rules, reason));
    }
    Ok(read)
}

fn check_place(
    reader: &Reader<'_>,
    at: &At<'_>,
    content: &Content,
    direction: Direction,
    of_node: bool,
) -> Result<(), ParseError> {
    if content.dns && direction == Direction::Ingress {
        return Err(reader.invalid(
            at,
            "`dns` rules judge queries that go out; move them to `egress`",
        ));
    }
    if content.http && of_node {
        return Err(reader.invalid(at, "`http` rules cannot guard a node; remove them"));
    }
    Ok(())
}

fn check_ports(
    reader: &Reader<'_>,
    at: &At<'_>,
    content: &Content,
    ports: &[Port],
) -> Result<(), ParseError> {
    if ports.iter().any(|port| port.number() == Some(0)) {
        return Err(reader.invalid(
            at,
            "rules need ports by number, and port 0 means every port; name them",
        ));
    }
    if content.dns {
        if ports.is_empty() {
            return Err(reader.invalid(at, "`dns` rules need a port; add `ports` with \"53\""));
        }
        if ports
            .iter()
            .any(|port| port.number().is_some() && port.is_range())
        {
            return Err(reader.invalid(at, "`dns` rules take no range of ports; remove `endPort`"));
        }
    } else if ports
        .iter()
        .any(|port| port.spec.protocol != PortProtocol::Tcp)
    {
        return Err(reader.invalid(
            at,
            "these rules need TCP; write `protocol: TCP` beside every port",
        ));
    }
    Ok(())
}

fn read(reader: &mut Reader<'_>, at: &At<'_>) -> Result<L7Rules, ParseError> {
    let http = reader.each(at, "http", http::http)?;
    let kafka = reader.each(at, "kafka", kafka::kafka)?;
    let dns = reader.each(at, "dns", dns::dns)?;
    let other = reader.each(at, "l7", pairs)?;
    Ok(match reader.boxed_of(at, "l7proto")? {
        Some(parser) => L7Rules::Other {
            parser,
            rules: other,
        },
        None if !http.is_empty() => L7Rules::Http(http),
        None if !kafka.is_empty() => L7Rules::Kafka(kafka),
        None if !dns.is_empty() => L7Rules::Dns(dns),
        None => L7Rules::None,
    })
}

fn pairs(reader: &mut Reader<'_>, at: &At<'_>) -> Result<BTreeMap<Box<str>, Box<str>>, ParseError> {
    reader.count_rule(at)?;
    if !matches!(at.node.value, Value::Map(_) | Value::Null) {
        return Err(reader.mismatch(at, "a map"));
    }
    let mut found = BTreeMap::new();
    for (key, value) in at.entries() {
        if key.is_empty() {
            return Err(reader.invalid(at, "a rule has an empty key; name it"));
        }
        found.insert(key.into(), reader.text(&value)?.into());
    }
    Ok(found)
}
