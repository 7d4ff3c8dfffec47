//! AdminNetworkPolicy and BaselineAdminNetworkPolicy of `policy.networking.k8s.io/v1alpha1`, as of
//! v0.1.7.

use super::port;
use super::spec::Shape;
use crate::parse::at::{At, Reader};
use crate::parse::error::ParseError;
use crate::port_rule::{Port, PortSpec};
use crate::rule::{Action, Tier};

pub(super) const ADMIN: Shape = Shape {
    fields: &["priority", "subject", "ingress", "egress"],
    tier: Some(Tier::Admin),
    actions: &[
        ("Allow", Action::Allow),
        ("Deny", Action::Deny),
        ("Pass", Action::Pass),
    ],
    most: 100,
    destinations: &["namespaces", "pods", "nodes", "networks", "domainNames"],
    names_namespaces: true,
    ports: "ports",
    port: port_spec,
};

pub(super) const BASELINE: Shape = Shape {
    fields: &["subject", "ingress", "egress"],
    tier: Some(Tier::Baseline),
    actions: &[("Allow", Action::Allow), ("Deny", Action::Deny)],
    destinations: &["namespaces", "pods", "nodes", "networks"],
    ..ADMIN
};

/// Exactly one of `portNumber`, `portRange` and `namedPort`.
fn port_spec(reader: &mut Reader<'_>, at: &At<'_>) -> Result<PortSpec, ParseError> {
    reader.fields(at, &["portNumber", "portRange", "namedPort"])?;
    match (
        at.get("portNumber"),
        at.get("portRange"),
        at.get("namedPort"),
    ) {
        (Some(at), None, None) => {
            reader.fields(&at, &["protocol", "port"])?;
            let protocol = port::protocol(reader, &at)?;
            let number = port::number_of(reader, &at, "port")?;
            Ok(port::single(Port::Number(number), protocol))
        }
        (None, Some(at), None) => {
            reader.fields(&at, &["protocol", "start", "end"])?;
            let protocol = port::protocol(reader, &at)?;
            port::range(reader, &at, protocol)
        }
        (None, None, Some(at)) => port::named(reader, &at),
        _ => Err(reader.invalid(
            at,
            "exactly one of `portNumber`, `portRange`, `namedPort` is needed; keep one",
        )),
    }
}
