//! Which packets a compiled rule speaks of, and what their content must be.

use std::sync::Arc;

use crate::chain::PortKey;
use crate::l7::L7Rules;
use crate::port_rule::{ListenerRef, Port, PortRule, PortSpec, TlsRules};
use crate::{Parser, PortPrefix, Protocol, Semantics};

/// One written port, range of ports or port name of one protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PortGroup {
    /// The port as written: what is written alike is merged.
    pub(crate) id: GroupId,
    /// The blocks of ports; empty for a name, which every workload has for another number.
    pub(crate) keys: Vec<PortKey>,
    /// What is asked of the content; `None` if nothing is.
    pub(crate) content: Option<Arc<Content>>,
}

/// Protocol and port as written.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct GroupId {
    pub(crate) protocol: Protocol,
    pub(crate) port: Port,
    /// The end of the range; 0 if there is none.
    pub(crate) end: u16,
}

/// What a rule asks of the content on its ports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Content {
    pub(crate) parser: Parser,
    /// The name of a parser that the policy names.
    pub(crate) parser_name: Option<Box<str>>,
    /// The strength against other redirects: the smaller is the stronger.
    pub(crate) priority: u16,
    pub(crate) rules: L7Rules,
    /// Whether everything passes outright, beside the rules or for want of any.
    pub(crate) open: bool,
    pub(crate) server_names: Vec<Box<str>>,
    pub(crate) tls: TlsRules,
    pub(crate) listener: Option<Box<ListenerRef>>,
}

impl GroupId {
    pub(crate) const ALL: Self = Self {
        protocol: Protocol::ANY,
        port: Port::Number(0),
        end: 0,
    };

    /// Every port written as a range from zero. Upstream opens all ports then and does not tell
    /// its proxies.
    pub(crate) fn is_unseen_by_proxies(&self) -> bool {
        self.port == Port::Number(0) && self.end != 0
    }
}

/// The groups of a rule's ports; no ports at all means every packet.
pub(crate) fn port_groups(ports: Option<&[PortRule]>, semantics: Semantics) -> Vec<PortGroup> {
    let Some(ports) = ports else {
        return vec![PortGroup {
            id: GroupId::ALL,
            keys: vec![PortKey::ANY],
            content: None,
        }];
    };
    let mut groups = Vec::new();
    for element in ports {
        let mut shared: Vec<(Parser, Arc<Content>)> = Vec::new();
        for spec in &element.ports {
            for protocol in spec.protocol.protocols() {
                let content = parser(element, protocol).map(|parser| {
                    let made = shared.iter().find(|(of, _)| *of == parser);
                    if let Some((_, content)) = made {
                        return Arc::clone(content);
                    }
                    let content = Arc::new(Content::of(element, parser));
                    shared.push((parser, Arc::clone(&content)));
                    content
                });
                groups.push(PortGroup {
                    id: GroupId {
                        protocol,
                        port: spec.port.clone(),
                        end: spec.end_port.unwrap_or(0),
                    },
                    keys: keys(spec, protocol, semantics),
                    content,
                });
            }
        }
    }
    groups.shrink_to_fit();
    groups
}

/// The blocks of a range that begins where a name leads.
pub(crate) fn named_keys(number: u16, end: u16, protocol: Protocol) -> Vec<PortKey> {
    PortPrefix::cut(number, end.max(number))
        .map(|port| PortKey::new(protocol, port))
        .collect()
}

fn keys(spec: &PortSpec, protocol: Protocol, semantics: Semantics) -> Vec<PortKey> {
    let Port::Number(first) = spec.port else {
        return Vec::new();
    };
    let strict = semantics == Semantics::Strict;
    let is_type = matches!(protocol, Protocol::ICMP | Protocol::ICMPV6);
    let key = |port| PortKey::new(protocol, port);
    match (first, spec.end_port) {
        (0, Some(end)) if end > 0 && strict => PortPrefix::cut(0, end).map(key).collect(),
        (0, _) if is_type && strict => vec![key(PortPrefix::exact(0))],
        (0, _) => vec![key(PortPrefix::ALL)],
        (first, Some(last)) if last > first => PortPrefix::cut(first, last).map(key).collect(),
        (port, _) => vec![key(PortPrefix::exact(port))],
    }
}

/// Who reads the content on the ports of one protocol. Only TCP carries the stream protocols; DNS
/// rules stay on every protocol they are written for.
fn parser(element: &PortRule, protocol: Protocol) -> Option<Parser> {
    if element.listener.is_some() {
        return Some(Parser::Listener);
    }
    let tcp = protocol == Protocol::TCP;
    match &element.l7 {
        L7Rules::Dns(list) if !list.is_empty() => return Some(Parser::Dns),
        L7Rules::Http(list) if tcp && !list.is_empty() => return Some(Parser::Http),
        L7Rules::Kafka(list) if tcp && !list.is_empty() => return Some(Parser::Kafka),
        L7Rules::Other { .. } if tcp => return Some(Parser::Other),
        _ => {}
    }
    let tls = element.tls.terminating.is_some() || element.tls.originating.is_some();
    (tls || !element.server_names.is_empty()).then_some(Parser::Tls)
}

impl Content {
    fn of(element: &PortRule, parser: Parser) -> Self {
        let parser_name = match &element.l7 {
            L7Rules::Other { parser: name, .. } if parser == Parser::Other => Some(name.clone()),
            _ => None,
        };
        let own = element.listener.as_ref().map(|listener| listener.priority);
        Self {
            parser,
            parser_name,
            priority: own.filter(|own| *own > 0).unwrap_or(parser.priority()),
            open: element.l7.is_unrestricted(),
            rules: element.l7.clone(),
            server_names: element.server_names.clone(),
            tls: element.tls.clone(),
            listener: element.listener.clone(),
        }
    }

    /// Whether whoever reads the content lets everything through. Where nothing is denied by default
    /// (`eased`), HTTP and DNS rules do.
    pub(crate) fn is_open(&self, eased: bool) -> bool {
        let at_ease = eased && matches!(self.parser, Parser::Http | Parser::Dns);
        self.open || at_ease || self.rules.is_open()
    }

    /// Whether the flow has to go to the proxy even if its content cannot be refused.
    pub(crate) fn is_kept(&self) -> bool {
        self.listener.is_some() || self.tls != TlsRules::default()
    }

    /// Whether it holds rules of any kind; an empty list is none.
    pub(crate) fn has_rules(&self) -> bool {
        !self.rules.is_empty()
    }
}
