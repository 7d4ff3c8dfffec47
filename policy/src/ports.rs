//! Which packets a compiled rule speaks of: groups of port keys, and what their content must be.

use crate::chain::PortKey;
use crate::l7::{DnsRule, HttpRule, KafkaRule, L7Rules, Mismatch};
use crate::port_rule::{Port, PortRule, PortSpec};
use crate::{Parser, PortPrefix, Protocol, Semantics};

/// One written port or range of one protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PortGroup {
    /// The port as written: elements of one policy set with the same id may share a proxy's rules.
    pub(crate) id: GroupId,
    pub(crate) keys: Vec<PortKey>,
    pub(crate) content: Content,
}

/// Protocol, port and end of the range, as written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct GroupId {
    pub(crate) protocol: Protocol,
    pub(crate) port: u16,
    pub(crate) end: u16,
}

/// What a rule asks of the content on its ports.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Content {
    /// Nothing.
    Plain,
    /// That it fits the rules of a parser; `open` if they let everything through.
    Rules {
        parser: Parser,
        name: Option<Box<str>>,
        open: bool,
    },
}

impl GroupId {
    pub(crate) const ALL: Self = Self {
        protocol: Protocol::ANY,
        port: 0,
        end: 0,
    };

    /// Every port written as a range from zero. Upstream opens all ports then and does not tell
    /// its proxies.
    pub(crate) fn is_unseen_by_proxies(self) -> bool {
        self.port == 0 && self.end != 0
    }
}

/// The groups of a rule's ports; no ports at all means every packet.
pub(crate) fn port_groups(ports: Option<&[PortRule]>, semantics: Semantics) -> Vec<PortGroup> {
    let Some(ports) = ports else {
        return vec![PortGroup {
            id: GroupId::ALL,
            keys: vec![PortKey::ANY],
            content: Content::Plain,
        }];
    };
    let mut groups = Vec::new();
    for element in ports {
        for spec in &element.ports {
            let Port::Number(number) = spec.port else {
                continue;
            };
            for protocol in spec.protocol.protocols() {
                let id = GroupId {
                    protocol,
                    port: number,
                    end: spec.end_port.unwrap_or(0),
                };
                let content = content(&element.l7, protocol);
                groups.push(PortGroup {
                    id,
                    keys: keys(spec, number, protocol, semantics),
                    content,
                });
            }
        }
    }
    groups
}

fn keys(spec: &PortSpec, number: u16, protocol: Protocol, semantics: Semantics) -> Vec<PortKey> {
    let key = |port| PortKey::new(protocol, port);
    match (number, spec.end_port) {
        (0, Some(end)) if end > 0 && semantics == Semantics::Strict => {
            PortPrefix::cut(0, end).map(key).collect()
        }
        (0, _) => vec![key(PortPrefix::ALL)],
        (first, Some(last)) if last > first => PortPrefix::cut(first, last).map(key).collect(),
        (port, _) => vec![key(PortPrefix::exact(port))],
    }
}

/// Only TCP carries the stream protocols; DNS rules stay on every protocol they are written for.
fn content(l7: &L7Rules, protocol: Protocol) -> Content {
    let rules = |parser, name: Option<&str>, open| Content::Rules {
        parser,
        name: name.map(Box::from),
        open,
    };
    match l7 {
        L7Rules::Dns(list) if !list.is_empty() => {
            rules(Parser::Dns, None, list.iter().any(fits_every_name))
        }
        _ if protocol != Protocol::TCP => Content::Plain,
        L7Rules::Http(list) if !list.is_empty() => {
            rules(Parser::Http, None, list.iter().any(fits_every_request))
        }
        L7Rules::Kafka(list) if !list.is_empty() => {
            rules(Parser::Kafka, None, list.contains(&KafkaRule::default()))
        }
        L7Rules::Other {
            parser,
            rules: list,
        } => {
            let open = list.is_empty() || list.iter().any(std::collections::BTreeMap::is_empty);
            rules(Parser::Other, Some(parser), open)
        }
        L7Rules::None | L7Rules::Http(_) | L7Rules::Kafka(_) | L7Rules::Dns(_) => Content::Plain,
    }
}

/// A pattern of nothing but stars, with or without the dot of the root.
fn fits_every_name(rule: &DnsRule) -> bool {
    let pattern = rule.match_pattern.as_deref().unwrap_or_default();
    let stars = pattern.strip_suffix('.').unwrap_or(pattern);
    !stars.is_empty() && stars.bytes().all(|byte| byte == b'*')
}

fn fits_every_request(rule: &HttpRule) -> bool {
    let never_fails = rule
        .header_matches
        .iter()
        .all(|header| header.mismatch != Mismatch::Fail);
    let bare = HttpRule {
        header_matches: rule.header_matches.clone(),
        ..HttpRule::default()
    };
    never_fails && *rule == bare
}
