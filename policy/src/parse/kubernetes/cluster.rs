//! ClusterNetworkPolicy of `policy.networking.k8s.io/v1alpha2`, as of v0.2.0.

use super::port;
use super::spec::Shape;
use crate::parse::at::{At, Reader};
use crate::parse::error::ParseError;
use crate::port_rule::{Port, PortProtocol, PortSpec};
use crate::rule::Action;

pub(super) const CLUSTER: Shape = Shape {
    fields: &["tier", "priority", "subject", "ingress", "egress"],
    tier: None,
    actions: &[
        ("Accept", Action::Allow),
        ("Deny", Action::Deny),
        ("Pass", Action::Pass),
    ],
    most: 25,
    destinations: &["namespaces", "pods", "nodes", "networks", "domainNames"],
    names_namespaces: false,
    ports: "protocols",
    port: port_spec,
};

const PROTOCOLS: [(&str, PortProtocol); 3] = [
    ("tcp", PortProtocol::Tcp),
    ("udp", PortProtocol::Udp),
    ("sctp", PortProtocol::Sctp),
];

/// Exactly one of `tcp`, `udp`, `sctp` and `destinationNamedPort`.
fn port_spec(reader: &mut Reader<'_>, at: &At<'_>) -> Result<PortSpec, ParseError> {
    reader.fields(at, &["tcp", "udp", "sctp", "destinationNamedPort"])?;
    let mut found = Vec::new();
    for (field, protocol) in PROTOCOLS {
        if let Some(at) = at.get(field) {
            found.push(destination(reader, &at, protocol)?);
        }
    }
    if let Some(at) = at.get("destinationNamedPort") {
        found.push(port::named(reader, &at)?);
    }
    match (found.pop(), found.pop()) {
        (Some(spec), None) => Ok(spec),
        _ => Err(reader.invalid(
            at,
            "exactly one of `tcp`, `udp`, `sctp`, `destinationNamedPort` is needed; keep one",
        )),
    }
}

fn destination(
    reader: &mut Reader<'_>,
    at: &At<'_>,
    protocol: PortProtocol,
) -> Result<PortSpec, ParseError> {
    reader.fields(at, &["destinationPort"])?;
    let Some(at) = at.get("destinationPort") else {
        let reason = "`destinationPort` is missing; for every port write `range: {start: 1, end: 65535}` there";
        return Err(reader.invalid(at, reason));
    };
    reader.fields(&at, &["number", "range"])?;
    match (at.get("number"), at.get("range")) {
        (Some(number), None) => {
            let number = port::number(reader, &number)?;
            Ok(port::single(Port::Number(number), protocol))
        }
        (None, Some(at)) => {
            reader.fields(&at, &["start", "end"])?;
            let spec = port::range(reader, &at, protocol)?;
            match (&spec.port, spec.end_port) {
                (Port::Number(start), Some(end)) if *start == end => Err(reader.invalid(
                    &at,
                    format!("a range of one port is none; write `number: {start}`"),
                )),
                _ => Ok(spec),
            }
        }
        _ => Err(reader.invalid(
            &at,
            "exactly one of `number` and `range` is needed; keep one",
        )),
    }
}
