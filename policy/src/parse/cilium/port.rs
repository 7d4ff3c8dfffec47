//! `toPorts`.

use super::{l7, later};
use crate::direction::Direction;
use crate::parse::at::{At, Reader};
use crate::parse::error::ParseError;
use crate::port_rule::{PortProtocol, PortRule, PortSpec};
use crate::rule::{Action, Objector};

/// The most ports of one element.
const MAX_PORTS: usize = 40;

/// `toPorts` of a rule; absent and empty are the same.
pub(super) fn port_rules(
    reader: &mut Reader<'_>,
    at: &At<'_>,
    direction: Direction,
    action: Action,
    of_node: bool,
) -> Result<Option<Vec<PortRule>>, ParseError> {
    let rules = reader.each(at, "toPorts", |reader, at| match action {
        Action::Allow | Action::Pass => allowed(reader, at, direction, of_node),
        Action::Deny => denied(reader, at),
    })?;
    Ok((!rules.is_empty()).then_some(rules))
}

fn denied(reader: &mut Reader<'_>, at: &At<'_>) -> Result<PortRule, ParseError> {
    reader.fields(at, &["ports"])?;
    let ports = ports(reader, at)?;
    Ok(PortRule::plain(specs(&ports), reader.location(at)))
}

fn allowed(
    reader: &mut Reader<'_>,
    at: &At<'_>,
    direction: Direction,
    of_node: bool,
) -> Result<PortRule, ParseError> {
    let known = [
        "ports",
        "rules",
        "serverNames",
        "terminatingTLS",
        "originatingTLS",
        "listener",
    ];
    reader.fields(at, &known)?;
    let content = l7::Content::of(reader, at)?;
    let ports = ports(reader, at)?;
    later::tls(reader, at, &content)?;
    later::listener(reader, at, direction, &content)?;
    let l7 = l7::rules(reader, at, &content, direction, of_node, &ports)?;
    Ok(PortRule {
        l7,
        ..PortRule::plain(specs(&ports), reader.location(at))
    })
}

/// What is known of a port while its element is checked.
pub(super) struct Port {
    /// `None` for a name.
    pub(super) number: Option<u16>,
    pub(super) end_port: Option<i32>,
    /// `None` for the protocols without ports.
    pub(super) protocol: Option<PortProtocol>,
}

impl Port {
    /// Whether `endPort` makes a range of it. A name counts as zero here.
    pub(super) fn is_range(&self) -> bool {
        self.end_port
            .is_some_and(|end| end > i32::from(self.number.unwrap_or(0)))
    }
}

/// The ports that can be enforced. (A document with others is refused anyway.)
fn specs(ports: &[Port]) -> Vec<PortSpec> {
    let spec = |port: &Port| {
        let (port_number, protocol) = (port.number?, port.protocol?);
        // Upstream keeps the low 16 bits of `endPort`, and so does its semantics here.
        let end_port = port
            .end_port
            .map(|end| u16::try_from(end & 0xFFFF).unwrap_or(0))
            .filter(|end| *end > 0);
        Some(PortSpec {
            port: crate::Port::Number(port_number),
            end_port,
            protocol,
        })
    };
    ports.iter().filter_map(spec).collect()
}

fn ports(reader: &mut Reader<'_>, at: &At<'_>) -> Result<Vec<Port>, ParseError> {
    let ports = reader.each(at, "ports", port)?;
    if ports.len() > MAX_PORTS {
        let reason = format!(
            "{} ports in one element, at most {MAX_PORTS} fit; use ranges or another element",
            ports.len()
        );
        return Err(reader.invalid(at, reason));
    }
    Ok(ports)
}

fn port(reader: &mut Reader<'_>, at: &At<'_>) -> Result<Port, ParseError> {
    reader.fields(at, &["port", "endPort", "protocol"])?;
    let protocol = protocol(reader, at)?;
    let Some(value) = at.get("port") else {
        return Err(reader.invalid(at, "`port` is missing; write \"0\" for every port"));
    };
    let text = reader.text(&value)?;
    let number = match is_name(text) {
        true => None,
        false => Some(number(text).ok_or_else(|| {
            reader.invalid(
                &value,
                format!("`{text}` is no port; use a number from 0 to 65535"),
            )
        })?),
    };
    let end = at.get("endPort");
    let end_port = end.as_ref().map(|end| reader.integer(end)).transpose()?;
    if let (Some(end), Some(last)) = (&end, end_port)
        && !(0..=65535).contains(&last)
    {
        let reason = format!("{last} is no port; use a number from 1 to 65535");
        reader.object(Objector::Strict, end, reason);
    }
    match (number, protocol) {
        (None | Some(1..), None) => {
            return Err(reader.invalid(&value, "this protocol has no ports; write \"0\""));
        }
        (Some(0), None) => reader.not_yet(at, "protocol without ports"),
        (None, Some(_)) => reader.not_yet(&value, "port name"),
        (Some(_), Some(_)) => {}
    }
    Ok(Port {
        number,
        end_port,
        protocol,
    })
}

/// `None` for the protocols without ports.
fn protocol(reader: &Reader<'_>, at: &At<'_>) -> Result<Option<PortProtocol>, ParseError> {
    let Some(text) = reader.text_of(at, "protocol")? else {
        return Ok(Some(PortProtocol::Any));
    };
    match text.to_ascii_uppercase().as_str() {
        "ANY" => Ok(Some(PortProtocol::Any)),
        "TCP" => Ok(Some(PortProtocol::Tcp)),
        "UDP" => Ok(Some(PortProtocol::Udp)),
        "SCTP" => Ok(Some(PortProtocol::Sctp)),
        "VRRP" | "IGMP" | "GRE" | "IPIP" | "IPV6" | "ESP" | "AH" => Ok(None),
        _ => {
            let field = at.get("protocol").unwrap_or(*at);
            Err(reader.invalid(
                &field,
                format!("unknown protocol `{text}`; use TCP, UDP, SCTP or ANY"),
            ))
        }
    }
}

/// A port name: at most 15 letters, digits and single inner dashes, with a letter among them
/// (RFC 6335 §5.1). So `0x50` is a name.
fn is_name(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() <= 15
        && bytes.iter().any(u8::is_ascii_alphabetic)
        && bytes
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
        && !text.contains("--")
}

/// Digits; a leading zero makes them octal.
fn number(text: &str) -> Option<u16> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let radix = if text.len() > 1 && text.starts_with('0') {
        8
    } else {
        10
    };
    digits
        .then(|| u16::from_str_radix(text, radix).ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn port_text_is_a_name_or_a_number() {
        for (text, value) in [
            ("0", 0),
            ("443", 443),
            ("010", 8),
            ("65535", 65535),
            ("00", 0),
        ] {
            assert_eq!(number(text), Some(value), "{text}");
        }
        for text in ["", "-1", "65536", "080", "1_0", "+1", " 1"] {
            assert_eq!((number(text), is_name(text)), (None, false), "{text}");
        }
        for text in ["http", "HTTP", "a-b-c", "0x50", "8a", "abcdefghijklmno"] {
            assert!(is_name(text), "{text}");
        }
        for text in ["-a", "a-", "a--b", "abcdefghijklmnop", "a_b", "80"] {
            assert!(!is_name(text), "{text}");
        }
    }
}
