//! Parts of the language that are read and checked, but not enforced by this release.

use super::{dns, http, l7};
use crate::direction::Direction;
use crate::parse::at::{At, Reader};
use crate::parse::error::ParseError;
use crate::parse::selector;
use crate::yaml::Value;

/// The most types of one ICMP element.
const MAX_FIELDS: usize = 40;

/// `icmps` of a rule.
pub(super) fn icmps(reader: &mut Reader<'_>, at: &At<'_>) -> Result<(), ParseError> {
    let elements = reader.each(at, "icmps", |reader, at| {
        reader.fields(at, &["fields"])?;
        let fields = reader.each(at, "fields", icmp_field)?;
        match fields.len() {
            0..=MAX_FIELDS => Ok(()),
            count => Err(reader.invalid(
                at,
                format!("{count} types in one element, at most {MAX_FIELDS} fit; use another"),
            )),
        }
    })?;
    let Some(list) = at.get("icmps").filter(|_| !elements.is_empty()) else {
        return Ok(());
    };
    if let Some(ports) = at.get("toPorts")
        && reader.items(&ports)?.len() > 0
    {
        return Err(reader.invalid(
            &list,
            "`icmps` and `toPorts` exclude each other; write two rules",
        ));
    }
    reader.not_yet(&list, "icmps");
    Ok(())
}

/// Names of ICMP types (RFC 792, RFC 1256, RFC 8335) in the spelling of the policy API.
const ICMP4: &[&str] = &[
    "EchoReply",
    "DestinationUnreachable",
    "Redirect",
    "Echo",
    "EchoRequest",
    "RouterAdvertisement",
    "RouterSelection",
    "TimeExceeded",
    "ParameterProblem",
    "Timestamp",
    "TimestampReply",
    "Photuris",
    "ExtendedEchoRequest",
    "ExtendedEchoReply",
];

/// Names of ICMPv6 types (RFC 4443, RFC 4861 and others).
const ICMP6: &[&str] = &[
    "DestinationUnreachable",
    "PacketTooBig",
    "TimeExceeded",
    "ParameterProblem",
    "EchoRequest",
    "EchoReply",
    "MulticastListenerQuery",
    "MulticastListenerReport",
    "MulticastListenerDone",
    "RouterSolicitation",
    "RouterAdvertisement",
    "NeighborSolicitation",
    "NeighborAdvertisement",
    "RedirectMessage",
    "RouterRenumbering",
    "ICMPNodeInformationQuery",
    "ICMPNodeInformationResponse",
    "InverseNeighborDiscoverySolicitation",
    "InverseNeighborDiscoveryAdvertisement",
    "HomeAgentAddressDiscoveryRequest",
    "HomeAgentAddressDiscoveryReply",
    "MobilePrefixSolicitation",
    "MobilePrefixAdvertisement",
    "DuplicateAddressRequestCodeSuffix",
    "DuplicateAddressConfirmationCodeSuffix",
    "ExtendedEchoRequest",
    "ExtendedEchoReply",
];

fn icmp_field(reader: &mut Reader<'_>, at: &At<'_>) -> Result<(), ParseError> {
    reader.fields(at, &["family", "type"])?;
    let names = match reader.text_of(at, "family")? {
        None | Some("IPv4") => ICMP4,
        Some("IPv6") => ICMP6,
        Some(other) => {
            return Err(reader.invalid(at, format!("unknown family `{other}`; use IPv4 or IPv6")));
        }
    };
    let Some(kind) = at.get("type") else {
        return Err(reader.invalid(at, "`type` is missing; use a number or a name"));
    };
    match &kind.node.value {
        Value::Int(0..=255) => Ok(()),
        Value::Text(text) if names.contains(&text.as_ref()) || text.parse::<u8>().is_ok() => Ok(()),
        Value::Text(text) => {
            Err(reader.invalid(&kind, format!("unknown ICMP type `{text}`; use a number")))
        }
        _ => Err(reader.mismatch(&kind, "a number from 0 to 255")),
    }
}

/// `authentication` of a rule.
pub(super) fn authentication(reader: &mut Reader<'_>, at: &At<'_>) -> Result<(), ParseError> {
    let Some(at) = at.get("authentication") else {
        return Ok(());
    };
    reader.fields(&at, &["mode"])?;
    match reader.text_of(&at, "mode")?.unwrap_or_default() {
        "disabled" | "required" | "test-always-fail" => {
            reader.not_yet(&at, "authentication");
            Ok(())
        }
        other => Err(reader.invalid(
            &at,
            format!("unknown authentication mode `{other}`; use required or disabled"),
        )),
    }
}

/// An element of `fromGroups` or `toGroups`.
pub(super) fn group(reader: &mut Reader<'_>, at: &At<'_>) -> Result<(), ParseError> {
    reader.fields(at, &["aws"])?;
    let Some(aws) = at.get("aws") else {
        return Ok(());
    };
    reader.fields(
        &aws,
        &[
            "labels",
            "securityGroupsIds",
            "securityGroupsNames",
            "region",
        ],
    )?;
    reader.each(&aws, "securityGroupsIds", |reader, at| {
        reader.text(at).map(|_| ())
    })?;
    reader.each(&aws, "securityGroupsNames", |reader, at| {
        reader.text(at).map(|_| ())
    })?;
    Ok(())
}

/// An element of `toServices`.
pub(super) fn service(reader: &mut Reader<'_>, at: &At<'_>) -> Result<(), ParseError> {
    reader.fields(at, &["k8sService", "k8sServiceSelector"])?;
    if let Some(named) = at.get("k8sService") {
        reader.fields(&named, &["serviceName", "namespace"])?;
        reader.text_of(&named, "serviceName")?;
        reader.text_of(&named, "namespace")?;
    }
    if let Some(selected) = at.get("k8sServiceSelector") {
        reader.fields(&selected, &["selector", "namespace"])?;
        reader.text_of(&selected, "namespace")?;
        if let Some(at) = selected.get("selector") {
            selector::selector(reader, &at)?;
        }
    }
    Ok(())
}

/// An element of `toFQDNs`.
pub(super) fn fqdn(reader: &mut Reader<'_>, at: &At<'_>) -> Result<(), ParseError> {
    reader.fields(at, &["matchName", "matchPattern"])?;
    let name = dns::name(reader, at)?;
    let pattern = dns::pattern(reader, at)?;
    match (name, pattern) {
        (Some(_), Some(_)) => Err(reader.invalid(
            at,
            "`matchName` and `matchPattern` exclude each other; write two elements",
        )),
        _ => Ok(()),
    }
}

/// `serverNames`, `terminatingTLS` and `originatingTLS` of a `toPorts` element.
pub(super) fn tls(
    reader: &mut Reader<'_>,
    at: &At<'_>,
    content: &l7::Content,
) -> Result<(), ParseError> {
    let names = reader.each(at, "serverNames", |reader, at| match reader.text(at)? {
        "" => Err(reader.invalid(at, "an empty server name matches nothing; remove it")),
        name if name.bytes().all(|byte| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'*')
        }) =>
        {
            Ok(())
        }
        name => Err(reader.invalid(
            at,
            format!("`{name}` is no server name; use letters, digits, `-`, `_`, `.` and `*`"),
        )),
    })?;
    let terminating = at.get("terminatingTLS");
    if let Some(list) = at.get("serverNames").filter(|_| !names.is_empty()) {
        if content.any && terminating.is_none() {
            let reason =
                "`serverNames` beside `rules` need `terminatingTLS`; add it, or remove one of them";
            return Err(reader.invalid(&list, reason));
        }
        reader.not_yet(&list, "serverNames");
    }
    for field in ["terminatingTLS", "originatingTLS"] {
        let Some(tls) = at.get(field) else { continue };
        reader.fields(&tls, &["secret", "trustedCA", "certificate", "privateKey"])?;
        if let Some(secret) = tls.get("secret") {
            http::secret(reader, &secret)?;
        }
        reader.not_yet(&tls, field);
    }
    Ok(())
}

/// `listener` of a `toPorts` element.
pub(super) fn listener(
    reader: &mut Reader<'_>,
    at: &At<'_>,
    direction: Direction,
    content: &l7::Content,
) -> Result<(), ParseError> {
    let Some(at) = at.get("listener") else {
        return Ok(());
    };
    reader.fields(&at, &["envoyConfig", "name", "priority"])?;
    if direction == Direction::Ingress {
        return Err(reader.invalid(&at, "a `listener` takes what goes out; move it to `egress`"));
    }
    if content.any {
        return Err(reader.invalid(&at, "`listener` and `rules` exclude each other; keep one"));
    }
    if let Some(config) = at.get("envoyConfig") {
        reader.fields(&config, &["kind", "name"])?;
        reader.text_of(&config, "kind")?;
        reader.text_of(&config, "name")?;
    }
    reader.text_of(&at, "name")?;
    if let Some(priority) = at.get("priority") {
        reader.integer(&priority)?;
    }
    reader.not_yet(&at, "listener");
    Ok(())
}
