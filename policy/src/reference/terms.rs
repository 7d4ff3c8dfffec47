//! What a rule says about the flows that it covers.

use std::collections::BTreeSet;

use porin_identity::Labels;

use crate::l7::{DnsRule, HttpRule, KafkaRule, L7Rules};
use crate::port_rule::{ConfigKind, ListenerRef, PortRule, TlsRules};
use crate::rule::{Action, AuthMode};
use crate::{Parser, Protocol};

/// What a rule says, or several of them together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Terms {
    pub(super) action: Action,
    /// Who reads the content.
    pub(super) reader: Option<Reader>,
    /// The listener that takes the connection over.
    pub(super) listener: Option<Box<str>>,
    /// 1 (strongest) to 126: how strong a redirect is against others.
    pub(super) listener_priority: u16,
    pub(super) auth: Option<AuthMode>,
    pub(super) tls: TlsRules,
    pub(super) names: BTreeSet<Box<str>>,
    pub(super) content: L7Rules,
}

/// A parser, by its name if the policy gives it one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reader {
    pub(super) parser: Parser,
    pub(super) name: Option<Box<str>>,
}

impl Reader {
    fn new(parser: Parser) -> Self {
        Self { parser, name: None }
    }

    /// How strong its redirects are where nobody said it.
    fn listener_priority(&self) -> u16 {
        match self.parser {
            Parser::Http => 101,
            Parser::Kafka => 106,
            Parser::Other => 111,
            Parser::Tls => 116,
            Parser::Dns => 121,
            Parser::Listener => 126,
        }
    }
}

impl Terms {
    /// The flow passes, or does not, or is passed on, and nothing more.
    pub(super) fn plain(action: Action) -> Self {
        Self {
            action,
            reader: None,
            listener: None,
            listener_priority: 0,
            auth: None,
            tls: TlsRules::default(),
            names: BTreeSet::new(),
            content: L7Rules::None,
        }
    }

    /// What an allowing rule says about the ports of one element, in one protocol. Where nothing is
    /// denied by default (`eased`), HTTP and DNS rules let everything through.
    pub(super) fn of(
        element: &PortRule,
        protocol: Protocol,
        auth: Option<AuthMode>,
        eased: bool,
        subject: &Labels,
    ) -> Self {
        let content = readable(&element.l7, protocol);
        let secured = element.tls != TlsRules::default() || !element.server_names.is_empty();
        let by_content = match &content {
            L7Rules::None => secured.then(|| Reader::new(Parser::Tls)),
            L7Rules::Http(_) => Some(Reader::new(Parser::Http)),
            L7Rules::Kafka(_) => Some(Reader::new(Parser::Kafka)),
            L7Rules::Dns(_) => Some(Reader::new(Parser::Dns)),
            L7Rules::Other { parser, .. } => Some(Reader {
                parser: Parser::Other,
                name: Some(parser.clone()),
            }),
        };
        let listener = element.listener.as_ref();
        let reader = listener
            .map(|_| Reader::new(Parser::Listener))
            .or(by_content);
        let stated = listener
            .map(|listener| listener.priority)
            .filter(|stated| *stated > 0);
        let by_reader = reader.as_ref().map_or(0, Reader::listener_priority);
        Self {
            action: Action::Allow,
            listener: listener.map(|listener| full_name(listener, subject.namespace())),
            listener_priority: stated.unwrap_or(by_reader),
            reader,
            auth,
            tls: element.tls.clone(),
            names: element.server_names.iter().cloned().collect(),
            content: if eased { at_ease(content) } else { content },
        }
    }

    /// How strong it is against others of its tier and priority.
    pub(super) fn rank(&self) -> u16 {
        match (self.action, &self.reader) {
            (Action::Deny, _) => 255,
            (Action::Allow, Some(_)) => 255 - self.listener_priority,
            (Action::Allow, None) => 1,
            (Action::Pass, _) => 0,
        }
    }

    /// Whether it restricts what is said.
    pub(super) fn has_content(&self) -> bool {
        match &self.content {
            L7Rules::None => false,
            L7Rules::Http(rules) => !rules.is_empty(),
            L7Rules::Kafka(rules) => !rules.is_empty(),
            L7Rules::Dns(rules) => !rules.is_empty(),
            L7Rules::Other { rules, .. } => !rules.is_empty(),
        }
    }
}

/// The rules that can be read in a protocol: DNS in every one it is written for, all others in TCP.
/// No rules are none, but the name of a parser alone is something.
fn readable(written: &L7Rules, protocol: Protocol) -> L7Rules {
    let some = match written {
        L7Rules::None => false,
        L7Rules::Dns(rules) => !rules.is_empty(),
        L7Rules::Http(rules) => protocol == Protocol::TCP && !rules.is_empty(),
        L7Rules::Kafka(rules) => protocol == Protocol::TCP && !rules.is_empty(),
        L7Rules::Other { .. } => protocol == Protocol::TCP,
    };
    if some { written.clone() } else { L7Rules::None }
}

fn at_ease(content: L7Rules) -> L7Rules {
    match content {
        L7Rules::Http(_) | L7Rules::Dns(_) => with_everything(content),
        other => other,
    }
}

/// The same rules and one that everything fits.
pub(super) fn with_everything(content: L7Rules) -> L7Rules {
    fn add<R: PartialEq>(mut rules: Vec<R>, rule: R) -> Vec<R> {
        if !rules.contains(&rule) {
            rules.push(rule);
        }
        rules
    }
    let every_name = DnsRule {
        match_name: None,
        match_pattern: Some("*".into()),
    };
    match content {
        L7Rules::None => L7Rules::None,
        L7Rules::Http(rules) => L7Rules::Http(add(rules, HttpRule::default())),
        L7Rules::Kafka(rules) => L7Rules::Kafka(add(rules, KafkaRule::default())),
        L7Rules::Dns(rules) => L7Rules::Dns(add(rules, every_name)),
        L7Rules::Other { parser, rules } => {
            let rules = add(rules, std::collections::BTreeMap::new());
            L7Rules::Other { parser, rules }
        }
    }
}

/// `NAMESPACE/CONFIGURATION/LISTENER`; the namespace is that of the subject, and empty for
/// clusterwide configurations. A name that begins with the namespace stays as it is.
fn full_name(listener: &ListenerRef, subject: Option<&str>) -> Box<str> {
    let namespace = match listener.config {
        ConfigKind::Clusterwide => "",
        ConfigKind::Namespaced | ConfigKind::Unsaid => subject.unwrap_or_default(),
    };
    let ListenerRef {
        config_name, name, ..
    } = listener;
    match name.split_once('/') {
        Some((own, _)) if own == namespace => name.clone(),
        _ => format!("{namespace}/{config_name}/{name}").into(),
    }
}
