//! Port numbers, ranges and names.

use std::sync::Arc;

use crate::parse::at::{At, Reader};
use crate::parse::error::ParseError;
use crate::port_rule::{Port, PortProtocol, PortRule, PortSpec};
use crate::rule::Location;

/// The most characters of a port name (RFC 6335 §5.1).
const MAX_NAME: usize = 15;

/// A number from 1 to 65535.
pub(super) fn number(reader: &Reader<'_>, at: &At<'_>) -> Result<u16, ParseError> {
    let number = reader.integer(at)?;
    match u16::try_from(number) {
        Ok(port) if port > 0 => Ok(port),
        _ => Err(reader.invalid(
            at,
            format!("{number} is no port; use a number from 1 to 65535"),
        )),
    }
}

/// The number under a field that must be there.
pub(super) fn number_of<'a>(
    reader: &Reader<'_>,
    at: &'a At<'a>,
    field: &'a str,
) -> Result<u16, ParseError> {
    match at.get(field) {
        Some(at) => number(reader, &at),
        None => Err(reader.invalid(at, format!("`{field}` is missing; name the port"))),
    }
}

/// The name of a container port. Names of ports are in lower case, so one that is not is the name
/// of none.
pub(super) fn name(reader: &Reader<'_>, at: &At<'_>) -> Result<Port, ParseError> {
    let text = reader.text(at)?;
    let is_name = text.len() <= MAX_NAME
        && text.bytes().any(|byte| byte.is_ascii_lowercase())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
        && !text.contains("--");
    if is_name {
        return Ok(Port::Name(Arc::from(text)));
    }
    let reason = match text.parse::<u16>() {
        Ok(number) => format!("`{text}` in quotes is a name; write the number {number} without"),
        Err(_) => format!(
            "`{text}` is no port name; use at most {MAX_NAME} lower-case letters, digits and single inner dashes, with a letter among them"
        ),
    };
    Err(reader.invalid(at, reason))
}

/// The protocol under `protocol`; TCP if there is none.
pub(super) fn protocol(reader: &Reader<'_>, at: &At<'_>) -> Result<PortProtocol, ParseError> {
    let Some(at) = at.get("protocol") else {
        return Ok(PortProtocol::Tcp);
    };
    match reader.text(&at)? {
        "TCP" => Ok(PortProtocol::Tcp),
        "UDP" => Ok(PortProtocol::Udp),
        "SCTP" => Ok(PortProtocol::Sctp),
        other => Err(reader.invalid(
            &at,
            format!("unknown protocol `{other}`; use TCP, UDP or SCTP"),
        )),
    }
}

/// A port and the last of its range.
pub(super) fn range(
    reader: &Reader<'_>,
    at: &At<'_>,
    protocol: PortProtocol,
) -> Result<PortSpec, ParseError> {
    let start = number_of(reader, at, "start")?;
    let end = number_of(reader, at, "end")?;
    if end < start {
        let reason = format!("a range from {start} to {end} has no port; swap the two");
        return Err(reader.invalid(at, reason));
    }
    Ok(PortSpec {
        port: Port::Number(start),
        end_port: Some(end),
        protocol,
    })
}

/// One port.
pub(super) fn single(port: Port, protocol: PortProtocol) -> PortSpec {
    PortSpec {
        port,
        end_port: None,
        protocol,
    }
}

/// Every port is an element of its own.
pub(super) fn element(port: PortSpec, location: Location) -> PortRule {
    PortRule::plain(vec![port], location)
}

/// A name without a protocol: the ports of that name, each with the protocol that it has.
pub(super) fn named(reader: &Reader<'_>, at: &At<'_>) -> Result<PortSpec, ParseError> {
    Ok(single(name(reader, at)?, PortProtocol::Any))
}
