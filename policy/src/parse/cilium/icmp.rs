//! `icmps`.

use super::port::number;
use crate::parse::at::{At, Reader};
use crate::parse::error::ParseError;
use crate::port_rule::{Port, PortProtocol, PortRule, PortSpec};
use crate::rule::Objector;
use crate::yaml::Value;

/// The most types of one element.
const MAX_FIELDS: usize = 40;

/// `icmps` of a rule; absent and empty are the same.
pub(super) fn icmps(reader: &mut Reader<'_>, at: &At<'_>) -> Result<Vec<PortRule>, ParseError> {
    let elements = reader.each(at, "icmps", |reader, at| {
        reader.fields(at, &["fields"])?;
        let fields = reader.each(at, "fields", field)?;
        match fields.len() {
            0..=MAX_FIELDS => Ok(PortRule::plain(fields, reader.location(at))),
            count => Err(reader.invalid(
                at,
                format!("{count} types in one element, at most {MAX_FIELDS} fit; use another"),
            )),
        }
    })?;
    if let Some(list) = at.get("icmps").filter(|_| !elements.is_empty())
        && let Some(ports) = at.get("toPorts")
        && reader.items(&ports)?.len() > 0
    {
        return Err(reader.invalid(
            &list,
            "`icmps` and `toPorts` exclude each other; write two rules",
        ));
    }
    Ok(elements)
}

/// Names of ICMP types (RFC 792, RFC 1256, RFC 8335) in the spelling of the policy API.
const ICMP4: &[(&str, u16)] = &[
    ("EchoReply", 0),
    ("DestinationUnreachable", 3),
    ("Redirect", 5),
    ("Echo", 8),
    ("EchoRequest", 8),
    ("RouterAdvertisement", 9),
    ("RouterSelection", 10),
    ("TimeExceeded", 11),
    ("ParameterProblem", 12),
    ("Timestamp", 13),
    ("TimestampReply", 14),
    ("Photuris", 40),
    ("ExtendedEchoRequest", 42),
    ("ExtendedEchoReply", 43),
];

/// Names of ICMPv6 types (RFC 4443, RFC 4861 and others).
const ICMP6: &[(&str, u16)] = &[
    ("DestinationUnreachable", 1),
    ("PacketTooBig", 2),
    ("TimeExceeded", 3),
    ("ParameterProblem", 4),
    ("EchoRequest", 128),
    ("EchoReply", 129),
    ("MulticastListenerQuery", 130),
    ("MulticastListenerReport", 131),
    ("MulticastListenerDone", 132),
    ("RouterSolicitation", 133),
    ("RouterAdvertisement", 134),
    ("NeighborSolicitation", 135),
    ("NeighborAdvertisement", 136),
    ("RedirectMessage", 137),
    ("RouterRenumbering", 138),
    ("ICMPNodeInformationQuery", 139),
    ("ICMPNodeInformationResponse", 140),
    ("InverseNeighborDiscoverySolicitation", 141),
    ("InverseNeighborDiscoveryAdvertisement", 142),
    ("HomeAgentAddressDiscoveryRequest", 144),
    ("HomeAgentAddressDiscoveryReply", 145),
    ("MobilePrefixSolicitation", 146),
    ("MobilePrefixAdvertisement", 147),
    ("DuplicateAddressRequestCodeSuffix", 157),
    ("DuplicateAddressConfirmationCodeSuffix", 158),
    ("ExtendedEchoRequest", 160),
    ("ExtendedEchoReply", 161),
];

fn field(reader: &mut Reader<'_>, at: &At<'_>) -> Result<PortSpec, ParseError> {
    reader.fields(at, &["family", "type"])?;
    let (protocol, names) = match reader.text_of(at, "family")? {
        None | Some("IPv4") => (PortProtocol::Icmp, ICMP4),
        Some("IPv6") => (PortProtocol::Icmp6, ICMP6),
        Some(other) => {
            return Err(reader.invalid(at, format!("unknown family `{other}`; use IPv4 or IPv6")));
        }
    };
    let Some(kind) = at.get("type") else {
        return Err(reader.invalid(at, "`type` is missing; use a number or a name"));
    };
    let number = match &kind.node.value {
        Value::Int(number) => u16::try_from(*number).ok(),
        Value::Text(text) => {
            let named = names.iter().find(|(name, _)| name == text);
            named.map(|(_, number)| *number).or_else(|| number(text))
        }
        _ => return Err(reader.mismatch(&kind, "a number from 0 to 255")),
    };
    let Some(number) = number else {
        let span = kind.node.start as usize..kind.node.end as usize;
        let written = reader.lines.text().get(span).unwrap_or_default();
        let reason = format!(
            "unknown ICMP type `{}`; use a number from 0 to 255, or a name of the family such as EchoRequest",
            written.trim().trim_matches(['"', '\''])
        );
        return Err(reader.invalid(&kind, reason));
    };
    if number > 255 {
        let reason = format!("{number} is no ICMP type; use a number from 0 to 255");
        reader.object(Objector::Strict, &kind, reason);
    }
    Ok(PortSpec {
        port: Port::Number(number),
        end_port: None,
        protocol,
    })
}
