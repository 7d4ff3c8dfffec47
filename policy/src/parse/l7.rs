//! The `rules` of a `toPorts` element.

use std::collections::BTreeMap;

use super::at::{At, Reader};
use super::error::ParseError;
use super::port::Port;
use crate::direction::Direction;
use crate::l7::{
    DnsRule, HeaderMatch, HeaderRule, HttpRule, KafkaRole, KafkaRule, L7Rules, Mismatch, SecretRef,
};
use crate::rule::PortProtocol;
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
    if ports.iter().any(|port| port.number == Some(0)) {
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
            .any(|port| port.number.is_some() && port.is_range())
        {
            return Err(reader.invalid(at, "`dns` rules take no range of ports; remove `endPort`"));
        }
    } else if ports
        .iter()
        .any(|port| port.protocol != Some(PortProtocol::Tcp))
    {
        return Err(reader.invalid(
            at,
            "these rules need TCP; write `protocol: TCP` beside every port",
        ));
    }
    Ok(())
}

fn read(reader: &mut Reader<'_>, at: &At<'_>) -> Result<L7Rules, ParseError> {
    let http = reader.each(at, "http", http)?;
    let kafka = reader.each(at, "kafka", kafka)?;
    let dns = reader.each(at, "dns", dns)?;
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

fn http(reader: &mut Reader<'_>, at: &At<'_>) -> Result<HttpRule, ParseError> {
    reader.fields(at, &["method", "path", "host", "headers", "headerMatches"])?;
    Ok(HttpRule {
        method: expression(reader, at, "method")?,
        path: expression(reader, at, "path")?,
        host: reader.boxed_of(at, "host")?,
        headers: reader.each(at, "headers", |reader, at| {
            reader.text(at).map(HeaderRule::from_text)
        })?,
        header_matches: reader.each(at, "headerMatches", header_match)?,
    })
}

fn expression(
    reader: &Reader<'_>,
    at: &At<'_>,
    field: &str,
) -> Result<Option<Box<str>>, ParseError> {
    let Some(value) = at.get(field) else {
        return Ok(None);
    };
    let text = reader.text(&value)?;
    if !is_simple(text)
        && let Err(error) = regex::Regex::new(text)
    {
        let first = error
            .to_string()
            .lines()
            .last()
            .unwrap_or_default()
            .trim()
            .to_owned();
        return Err(reader.invalid(
            &value,
            format!("`{text}` is no regular expression ({first}); mend it"),
        ));
    }
    Ok((!text.is_empty()).then(|| text.into()))
}

/// Plain words and paths with `.` and `.*`, as most rules have: no need to compile them.
fn is_simple(text: &str) -> bool {
    let mut last = 0;
    text.bytes().all(|byte| {
        let fits = byte.is_ascii_alphanumeric()
            || matches!(byte, b'/' | b'-' | b'_' | b'.')
            || byte == b'*' && last == b'.';
        last = byte;
        fits
    })
}

fn header_match(reader: &mut Reader<'_>, at: &At<'_>) -> Result<HeaderMatch, ParseError> {
    reader.fields(at, &["name", "value", "secret", "mismatch"])?;
    let Some(name) = reader.boxed_of(at, "name")? else {
        return Err(reader.invalid(at, "`name` is missing; name the header"));
    };
    let mismatch = match reader.text_of(at, "mismatch")? {
        None => Mismatch::Fail,
        Some("LOG") => Mismatch::Log,
        Some("ADD") => Mismatch::Add,
        Some("DELETE") => Mismatch::Delete,
        Some("REPLACE") => Mismatch::Replace,
        Some(other) => {
            return Err(reader.invalid(
                at,
                format!("unknown action `{other}`; use LOG, ADD, DELETE or REPLACE"),
            ));
        }
    };
    let secret = at.get("secret").map(|at| secret(reader, &at)).transpose()?;
    Ok(HeaderMatch {
        name,
        value: reader.boxed_of(at, "value")?,
        secret,
        mismatch,
    })
}

pub(super) fn secret(reader: &Reader<'_>, at: &At<'_>) -> Result<SecretRef, ParseError> {
    reader.fields(at, &["namespace", "name"])?;
    match reader.boxed_of(at, "name")? {
        Some(name) => Ok(SecretRef {
            namespace: reader.boxed_of(at, "namespace")?,
            name,
        }),
        None => Err(reader.invalid(at, "`name` is missing; name the secret")),
    }
}

fn kafka(reader: &mut Reader<'_>, at: &At<'_>) -> Result<KafkaRule, ParseError> {
    reader.fields(at, &["role", "apiKey", "apiVersion", "clientID", "topic"])?;
    let role = reader.text_of(at, "role")?;
    let key = reader.text_of(at, "apiKey")?;
    if role.is_some() && key.is_some() {
        return Err(reader.invalid(at, "`role` and `apiKey` exclude each other; keep one"));
    }
    let topic = reader.boxed_of(at, "topic")?;
    if let Some(reason) = topic.as_deref().and_then(topic_fault) {
        return Err(reader.invalid(at, reason));
    }
    Ok(KafkaRule {
        role: role.map(|text| kafka_role(reader, at, text)).transpose()?,
        api_key: key.map(|text| kafka_key(reader, at, text)).transpose()?,
        api_version: reader
            .text_of(at, "apiVersion")?
            .map(|text| kafka_version(reader, at, text))
            .transpose()?,
        client_id: reader.boxed_of(at, "clientID")?,
        topic,
    })
}

fn topic_fault(topic: &str) -> Option<&'static str> {
    let fits =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'\\');
    match topic {
        _ if topic.len() > 255 => Some("a topic has at most 255 characters; shorten it"),
        _ if !topic.bytes().all(fits) => {
            Some("a topic has letters, digits, `.`, `_` and `-`; remove what else is there")
        }
        _ => None,
    }
}

fn kafka_role(reader: &Reader<'_>, at: &At<'_>, text: &str) -> Result<KafkaRole, ParseError> {
    match text.to_ascii_lowercase().as_str() {
        "produce" => Ok(KafkaRole::Produce),
        "consume" => Ok(KafkaRole::Consume),
        _ => Err(reader.invalid(at, format!("unknown role `{text}`; use produce or consume"))),
    }
}

fn kafka_version(reader: &Reader<'_>, at: &At<'_>, text: &str) -> Result<i16, ParseError> {
    text.parse()
        .ok()
        .filter(|version| *version >= 0)
        .ok_or_else(|| {
            reader.invalid(
                at,
                format!("`{text}` is no version; use a number from 0 to 32767"),
            )
        })
}

/// The names of Kafka's request kinds, by number (the protocol's own list).
const KAFKA_KEYS: &[&str] = &[
    "produce",
    "fetch",
    "offsets",
    "metadata",
    "leaderandisr",
    "stopreplica",
    "updatemetadata",
    "controlledshutdown",
    "offsetcommit",
    "offsetfetch",
    "findcoordinator",
    "joingroup",
    "heartbeat",
    "leavegroup",
    "syncgroup",
    "describegroups",
    "listgroups",
    "saslhandshake",
    "apiversions",
    "createtopics",
    "deletetopics",
    "deleterecords",
    "initproducerid",
    "offsetforleaderepoch",
    "addpartitionstotxn",
    "addoffsetstotxn",
    "endtxn",
    "writetxnmarkers",
    "txnoffsetcommit",
    "describeacls",
    "createacls",
    "deleteacls",
    "describeconfigs",
    "alterconfigs",
];

fn kafka_key(reader: &Reader<'_>, at: &At<'_>, text: &str) -> Result<i16, ParseError> {
    let name = text.to_ascii_lowercase();
    KAFKA_KEYS
        .iter()
        .position(|known| *known == name)
        .and_then(|key| i16::try_from(key).ok())
        .ok_or_else(|| {
            reader.invalid(
                at,
                format!(
                    "unknown request kind `{text}`; use a name of the Kafka protocol, such as fetch"
                ),
            )
        })
}

fn dns(reader: &mut Reader<'_>, at: &At<'_>) -> Result<DnsRule, ParseError> {
    reader.fields(at, &["matchName", "matchPattern"])?;
    Ok(DnsRule {
        match_name: dns_name(reader, at)?,
        match_pattern: dns_pattern(reader, at)?,
    })
}

const MAX_NAME: usize = 255;

pub(super) fn dns_name(reader: &Reader<'_>, at: &At<'_>) -> Result<Option<Box<str>>, ParseError> {
    let name = reader.boxed_of(at, "matchName")?;
    let labels = |name: &str| {
        let name = name.strip_suffix('.').unwrap_or(name);
        name.split('.')
            .all(|label| !label.is_empty() && label.bytes().all(is_name_byte))
    };
    match &name {
        Some(text) if !labels(text) => Err(reader.invalid(
            at,
            format!("`{text}` is no name; use letters, digits, `-`, `_` and single dots"),
        )),
        Some(text) if text.len() > MAX_NAME => {
            Err(reader.invalid(at, "a name has at most 255 characters; shorten it"))
        }
        _ => Ok(name),
    }
}

pub(super) fn dns_pattern(
    reader: &Reader<'_>,
    at: &At<'_>,
) -> Result<Option<Box<str>>, ParseError> {
    let pattern = reader.boxed_of(at, "matchPattern")?;
    let fits = |text: &str| {
        text.bytes()
            .all(|byte| is_name_byte(byte) || matches!(byte, b'.' | b'*'))
    };
    match &pattern {
        Some(text) if !fits(text) => Err(reader.invalid(
            at,
            format!("`{text}` is no pattern; use letters, digits, `-`, `_`, `.` and `*`"),
        )),
        Some(text) if text.len() > MAX_NAME => {
            Err(reader.invalid(at, "a pattern has at most 255 characters; shorten it"))
        }
        _ => Ok(pattern),
    }
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

fn pairs(reader: &mut Reader<'_>, at: &At<'_>) -> Result<BTreeMap<Box<str>, Box<str>>, ParseError> {
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
