//! `toPorts`.

use super::{l7, redirect};
use crate::Protocol;
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
) -> Result<Vec<PortRule>, ParseError> {
    reader.each(at, "toPorts", |reader, at| match action {
        Action::Allow | Action::Pass => allowed(reader, at, direction, of_node),
        Action::Deny => denied(reader, at),
    })
}

fn denied(reader: &mut Reader<'_>, at: &At<'_>) -> Result<PortRule, ParseError> {
    reader.fields(at, &["ports"])?;
    let ports = ports(reader, at)?;
    Ok(PortRule::plain(specs(ports), reader.location(at)))
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
    let tls = redirect::tls(reader, at)?;
    let server_names = redirect::server_names(reader, at, &content, &tls)?;
    let listener = redirect::listener(reader, at, direction, &content)?;
    let l7 = l7::rules(reader, at, &content, direction, of_node, &ports)?;
    Ok(PortRule {
        ports: specs(ports),
        l7,
        server_names,
        tls,
        listener,
        location: reader.location(at),
    })
}

/// What is known of a port while its element is checked.
pub(super) struct Port {
    pub(super) spec: PortSpec,
    /// `endPort` as written.
    pub(super) end_port: Option<i32>,
}

impl Port {
    /// The number; `None` for a name.
    pub(super) fn number(&self) -> Option<u16> {
        match self.spec.port {
            crate::Port::Number(number) => Some(number),
            crate::Port::Name(_) => None,
        }
    }

    /// Whether `endPort` makes a range of it. A name counts as zero here.
    pub(super) fn is_range(&self) -> bool {
        self.end_port
            .is_some_and(|end| end > i32::from(self.number().unwrap_or(0)))
    }
}

fn specs(ports: Vec<Port>) -> Vec<PortSpec> {
    ports.into_iter().map(|port| port.spec).collect()
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
    let port = match protocol {
        PortProtocol::Portless(_) => portless(reader, at)?,
        _ => number_or_name(reader, at)?,
    };
    let end = at.get("endPort");
    let end_port = end.as_ref().map(|end| reader.integer(end)).transpose()?;
    if let (Some(end), Some(last)) = (&end, end_port)
        && !(0..=65535).contains(&last)
    {
        let reason = format!("{last} is no port; use a number from 1 to 65535");
        reader.object(Objector::Strict, end, reason);
    }
    // Upstream keeps the low 16 bits of `endPort`, and so does its semantics here.
    let kept = end_port.map(|end| u16::try_from(end & 0xFFFF).unwrap_or(0));
    Ok(Port {
        spec: PortSpec {
            port,
            end_port: kept.filter(|end| *end > 0),
            protocol,
        },
        end_port,
    })
}

fn number_or_name(reader: &Reader<'_>, at: &At<'_>) -> Result<crate::Port, ParseError> {
    let Some(value) = at.get("port") else {
        return Err(reader.invalid(at, "`port` is missing; write \"0\" for every port"));
    };
    let text = reader.text(&value)?;
    if is_name(text) {
        return Ok(crate::Port::Name(text.to_ascii_lowercase().into()));
    }
    number(text).map(crate::Port::Number).ok_or_else(|| {
        reader.invalid(
            &value,
            format!("`{text}` is no port; use a number from 0 to 65535"),
        )
    })
}

/// The port of a protocol that has none. Upstream looks at the protocol before it folds its case,
/// so that `gre` may have any port.
fn portless(reader: &mut Reader<'_>, at: &At<'_>) -> Result<crate::Port, ParseError> {
    let none = "this protocol has no ports; write \"0\"";
    let off =
        "protocols without ports are not switched on here; switch them on, or remove the port";
    let Some(value) = at.get("port").filter(|at| !reader.is_empty_text(at)) else {
        reader.object(Objector::WithoutPortless, at, off);
        return Ok(crate::Port::Number(0));
    };
    let port = number_or_name(reader, at)?;
    let protocol = reader.text_of(at, "protocol")?.unwrap_or_default();
    match (reader.text(&value)?, &port) {
        ("0", _) => reader.object(Objector::StrictWithoutPortless, at, off),
        (_, crate::Port::Number(_)) if protocol == protocol.to_ascii_uppercase() => {
            return Err(reader.invalid(&value, none));
        }
        _ => reader.object(Objector::Strict, &value, none),
    }
    Ok(port)
}

fn protocol(reader: &Reader<'_>, at: &At<'_>) -> Result<PortProtocol, ParseError> {
    let Some(text) = reader.text_of(at, "protocol")? else {
        return Ok(PortProtocol::Any);
    };
    Ok(match text.to_ascii_uppercase().as_str() {
        "ANY" => PortProtocol::Any,
        "TCP" => PortProtocol::Tcp,
        "UDP" => PortProtocol::Udp,
        "SCTP" => PortProtocol::Sctp,
        "VRRP" => PortProtocol::Portless(Protocol::VRRP),
        "IGMP" => PortProtocol::Portless(Protocol::IGMP),
        "GRE" => PortProtocol::Portless(Protocol::GRE),
        "IPIP" => PortProtocol::Portless(Protocol::IPIP),
        "IPV6" => PortProtocol::Portless(Protocol::IPV6),
        "ESP" => PortProtocol::Portless(Protocol::ESP),
        "AH" => PortProtocol::Portless(Protocol::AH),
        "ICMP" | "ICMPV6" => {
            let field = at.get("protocol").unwrap_or(*at);
            let reason = format!("`{text}` has no ports; write its types under `icmps`");
            return Err(reader.invalid(&field, reason));
        }
        _ => {
            let field = at.get("protocol").unwrap_or(*at);
            return Err(reader.invalid(
                &field,
                format!("unknown protocol `{text}`; use TCP, UDP, SCTP or ANY"),
            ));
        }
    })
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
pub(super) fn number(text: &str) -> Option<u16> {
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
