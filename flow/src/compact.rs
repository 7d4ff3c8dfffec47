//! The line of `hubble observe -o compact`.

use std::fmt::{self, Write};
use std::net::IpAddr;

use porin_identity::IdentityId;
use porin_policy::Direction;

use crate::drop_reason::DropReason;
use crate::endpoint::{Endpoint, Service};
use crate::escape::EscapedSink;
use crate::event::{EventType, FlowVerdict};
use crate::flow::{Extra, Flow};

/// Shows a [`Flow`] as the line that the `hubble` client (1.19) prints; made by [`Flow::compact`].
///
/// Control characters in any text are escaped, see [`Escaped`](crate::Escaped).
#[derive(Debug, Clone, Copy)]
pub struct Compact<'a> {
    flow: &'a Flow,
    numeric: bool,
    node: bool,
    policies: bool,
}

impl<'a> Compact<'a> {
    pub(crate) const fn new(flow: &'a Flow) -> Self {
        Self {
            flow,
            numeric: false,
            node: false,
            policies: false,
        }
    }

    /// Addresses instead of names (`--numeric`).
    #[must_use]
    pub const fn numeric(self) -> Self {
        Self {
            numeric: true,
            ..self
        }
    }

    /// The node after the time (`--print-node-name`).
    #[must_use]
    pub const fn with_node(self) -> Self {
        Self { node: true, ..self }
    }

    /// The names of the deciding policies after the verdict (`--print-policy-names`).
    #[must_use]
    pub const fn with_policies(self) -> Self {
        Self {
            policies: true,
            ..self
        }
    }
}

impl fmt::Display for Compact<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flow = self.flow;
        let mut out = EscapedSink(f);
        match flow.time {
            Some(time) => write!(out, "{}", time.compact())?,
            None => out.write_str("N/A")?,
        }
        if self.node {
            write!(out, " [{}]", flow.node)?;
        }
        out.write_str(": ")?;
        self.ends(&mut out)?;
        out.write_str(" ")?;
        occasion(&mut out, flow)?;
        write!(out, " {}", verdict(flow))?;
        if self.policies {
            policies(&mut out, flow)?;
        }
        write!(out, " ({})", Summary(flow))
    }
}

impl Compact<'_> {
    fn ends(&self, out: &mut EscapedSink<'_, '_>) -> fmt::Result {
        let flow = self.flow;
        let (source, destination) = (End::source(flow), End::destination(flow));
        let (left, arrow, right) = match flow.reply {
            None => (source, "<>", destination),
            Some(false) => (source, "->", destination),
            Some(true) => (destination, "<-", source),
        };
        left.write(out, self.numeric)?;
        write!(out, " {arrow} ")?;
        right.write(out, self.numeric)
    }
}

/// All that the line says of one side.
struct End<'a> {
    endpoint: Option<&'a Endpoint>,
    address: Option<IpAddr>,
    mac: Option<&'a str>,
    port: u16,
    names: &'a [Box<str>],
    service: Option<&'a Service>,
}

impl<'a> End<'a> {
    fn source(flow: &'a Flow) -> Self {
        let extra = flow.extra.as_deref();
        Self {
            endpoint: flow.source.as_deref(),
            address: flow.addresses.map(|a| a.source),
            mac: extra
                .and_then(|e| e.ethernet.as_ref())
                .map(|(source, _)| &**source),
            port: flow.ports().map_or(0, |(source, _)| source),
            names: extra.map_or(&[], |e: &Extra| &e.source_names),
            service: extra.and_then(|e| e.source_service.as_ref()),
        }
    }

    fn destination(flow: &'a Flow) -> Self {
        let extra = flow.extra.as_deref();
        Self {
            endpoint: flow.destination.as_deref(),
            address: flow.addresses.map(|a| a.destination),
            mac: extra
                .and_then(|e| e.ethernet.as_ref())
                .map(|(_, destination)| &**destination),
            port: flow.ports().map_or(0, |(_, destination)| destination),
            names: extra.map_or(&[], |e: &Extra| &e.destination_names),
            service: extra.and_then(|e| e.destination_service.as_ref()),
        }
    }

    fn write(&self, out: &mut EscapedSink<'_, '_>, numeric: bool) -> fmt::Result {
        self.host(out, numeric)?;
        let identity = self.endpoint.map_or(IdentityId::UNKNOWN, |e| e.identity);
        match identity.reserved_name() {
            Some(name) => write!(out, " ({name})"),
            None => write!(out, " (ID:{identity})"),
        }
    }

    fn host(&self, out: &mut EscapedSink<'_, '_>, numeric: bool) -> fmt::Result {
        let Some(address) = self.address else {
            return out.write_str(self.mac.unwrap_or_default());
        };
        if numeric || !self.name(out)? {
            return match (address, self.port) {
                (_, 0) => write!(out, "{address}"),
                (IpAddr::V6(_), port) => write!(out, "[{address}]:{port}"),
                (IpAddr::V4(_), port) => write!(out, "{address}:{port}"),
            };
        }
        if self.port == 0 {
            Ok(())
        } else {
            write!(out, ":{}", self.port)
        }
    }

    /// Writes the best name there is and says whether there is one.
    fn name(&self, out: &mut EscapedSink<'_, '_>) -> Result<bool, fmt::Error> {
        let namespace = match self.service {
            Some(service) => &*service.namespace,
            None => self
                .endpoint
                .and_then(|e| e.namespace.as_deref())
                .unwrap_or_default(),
        };
        let instance = self
            .endpoint
            .and_then(|e| e.name.as_deref())
            .filter(|name| !name.is_empty());
        let service = self
            .service
            .map(|s| &*s.name)
            .filter(|name| !name.is_empty());
        if let Some(name) = instance.or(service) {
            let slash = if namespace.is_empty() { "" } else { "/" };
            write!(out, "{namespace}{slash}{name}")?;
            return Ok(true);
        }
        for (n, name) in self.names.iter().enumerate() {
            write!(out, "{}{name}", if n == 0 { "" } else { "," })?;
        }
        Ok(!self.names.is_empty())
    }
}

/// The column between the ends and the verdict.
fn occasion(out: &mut EscapedSink<'_, '_>, flow: &Flow) -> fmt::Result {
    let event = flow.event.unwrap_or_default();
    match event.class {
        EventType::DROP => match u8::try_from(event.sub) {
            Ok(number) => write!(out, "{}", DropReason::new(number)),
            Err(_) => write!(out, "{}", event.sub),
        },
        EventType::POLICY_VERDICT => {
            write!(
                out,
                "policy-verdict:{} {}",
                flow.policy_match,
                direction_name(flow.direction)
            )
        }
        EventType::TRACE => match event.observation_point() {
            Some((_, text)) => out.write_str(text),
            None => write!(out, "{}", event.sub),
        },
        EventType::CAPTURE => {
            out.write_str(event.capture_point().unwrap_or("DBG_CAPTURE_POINT_UNKNOWN"))
        }
        _ => out.write_str("UNKNOWN"),
    }
}

pub(crate) fn direction_name(direction: Option<Direction>) -> &'static str {
    match direction {
        None => "TRAFFIC_DIRECTION_UNKNOWN",
        Some(Direction::Ingress) => "INGRESS",
        Some(Direction::Egress) => "EGRESS",
    }
}

fn verdict(flow: &Flow) -> &'static str {
    if flow
        .event
        .is_none_or(|event| event.class != EventType::POLICY_VERDICT)
    {
        return flow.verdict.name();
    }
    match flow.verdict {
        FlowVerdict::Forwarded | FlowVerdict::Redirected => "ALLOWED",
        FlowVerdict::Dropped | FlowVerdict::Error => "DENIED",
        FlowVerdict::Audit => "AUDITED",
        other => other.name(),
    }
}

/// A policy without a kind is left out, as the client does.
fn policies(out: &mut EscapedSink<'_, '_>, flow: &Flow) -> fmt::Result {
    let shown = flow
        .deciding_policies()
        .iter()
        .filter(|policy| !policy.kind.is_empty());
    for (n, policy) in shown.enumerate() {
        write!(
            out,
            "{}{} ({})",
            if n == 0 { " BY " } else { ", " },
            policy.name,
            policy.kind
        )?;
    }
    Ok(())
}

/// The summary with what the client puts before and after it.
struct Summary<'a>(&'a Flow);

impl fmt::Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let extra = self.0.extra.as_deref();
        if let Some((id, _)) = extra.and_then(|e| e.ip_trace_id) {
            write!(f, "IP Trace ID: {id}; ")?;
        }
        f.write_str(&self.0.summary())?;
        match extra.and_then(|e| e.auth_type) {
            Some(auth) => write!(f, "; Auth: {auth}"),
            None => Ok(()),
        }
    }
}
