//! From the messages to the record.

use std::sync::Arc;

use porin_identity::{IdentityId, Label, Labels};
use porin_policy::Direction;

use super::wire;
use crate::drop_reason::DropReason;
use crate::endpoint::{Endpoint, Owner, Service};
use crate::error::{ReadFlowError, ReadFlowErrorKind};
use crate::event::{AuthType, EventType, FlowKind, FlowVerdict, TraceReason};
use crate::flow::{Addresses, Extra, Flow};
use crate::observation::{EndpointId, PolicyMatch};
use crate::policies::{Policies, PolicyRef};
use crate::time::Timestamp;
use crate::transport::Transport;
use crate::tuple::{Icmp, TcpFlags};

type Result<T> = std::result::Result<T, ReadFlowError>;

pub(super) fn flow(line: wire::Line) -> Result<Flow> {
    let mut message = match line {
        wire::Line::Response(response) => response.flow,
        wire::Line::Flow(flow) => flow,
    };
    refuse_unsupported(&message)?;
    let extra = extra(&mut message)?;
    let transport = message.l4.as_ref().map(transport).transpose()?.flatten();
    let mut flow = Flow {
        time: message.time.as_deref().map(time).transpose()?,
        node: Arc::from(message.node_name),
        kind: named("Type", &message.kind, FlowKind::from_name)?.unwrap_or_default(),
        verdict: named("verdict", &message.verdict, FlowVerdict::from_name)?.unwrap_or_default(),
        drop_reason: drop_reason(message.drop_reason, &message.drop_reason_desc)?,
        event: message.event_type.map(|e| EventType {
            class: e.class,
            sub: e.sub,
        }),
        addresses: message.ip.as_ref().map(addresses).transpose()?.flatten(),
        transport,
        source: message.source.map(endpoint).transpose()?,
        destination: message.destination.map(endpoint).transpose()?,
        direction: named("traffic_direction", &message.traffic_direction, direction)?.flatten(),
        policy_match: policy_match(message.policy_match_type)?,
        reply: message.is_reply,
        trace_reason: named(
            "trace_reason",
            &message.trace_reason,
            TraceReason::from_name,
        )?,
        ifindex: message
            .interface
            .as_ref()
            .map_or(0, |interface| interface.index),
        proxy_port: port("proxy_port", message.proxy_port)?,
        policies: Policies {
            egress_allowed: policies(message.egress_allowed_by),
            ingress_allowed: policies(message.ingress_allowed_by),
            egress_denied: policies(message.egress_denied_by),
            ingress_denied: policies(message.ingress_denied_by),
        },
        rule: message.extensions.as_ref().and_then(rule),
        extra: None,
    };
    flow.extra = summarised(&flow, extra, &message.summary);
    Ok(flow)
}

fn wrong(field: &'static str, value: &str) -> ReadFlowError {
    ReadFlowError::new(ReadFlowErrorKind::Value {
        field,
        value: value.to_owned(),
    })
}

/// Records of a kind that the record has no place for are not read in part.
fn refuse_unsupported(message: &wire::Flow) -> Result<()> {
    let l4 = message.l4.as_ref();
    let field = match message.kind.as_str() {
        "L7" => Some("l7"),
        "SOCK" => Some("sock_xlate_point"),
        _ if message.l7.is_some() => Some("l7"),
        _ if message.tunnel.is_some() => Some("tunnel"),
        _ if l4.is_some_and(|l4| l4.vrrp.is_some()) => Some("l4.VRRP"),
        _ if l4.is_some_and(|l4| l4.igmp.is_some()) => Some("l4.IGMP"),
        _ => None,
    };
    match field {
        Some(field) => Err(ReadFlowError::new(ReadFlowErrorKind::NotYet { field })),
        None => Ok(()),
    }
}

/// Looks a name up; the empty name is the default.
fn named<T>(
    field: &'static str,
    name: &str,
    find: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>> {
    match (name, find(name)) {
        ("", _) => Ok(None),
        (_, Some(value)) => Ok(Some(value)),
        _ => Err(wrong(field, name)),
    }
}

fn direction(name: &str) -> Option<Option<Direction>> {
    match name {
        "TRAFFIC_DIRECTION_UNKNOWN" => Some(None),
        "INGRESS" => Some(Some(Direction::Ingress)),
        "EGRESS" => Some(Some(Direction::Egress)),
        _ => None,
    }
}

fn time(text: &str) -> Result<Timestamp> {
    text.parse().map_err(|_| wrong("time", text))
}

fn port(field: &'static str, number: u32) -> Result<u16> {
    u16::try_from(number).map_err(|_| wrong(field, &number.to_string()))
}

fn policy_match(number: u32) -> Result<PolicyMatch> {
    let known = u8::try_from(number).ok().and_then(PolicyMatch::from_number);
    known.ok_or_else(|| wrong("policy_match_type", &number.to_string()))
}

/// The number says more than the name, which Hubble lacks for our own reasons.
fn drop_reason(number: u32, name: &str) -> Result<Option<DropReason>> {
    if number != 0 {
        let number = u8::try_from(number).map_err(|_| wrong("drop_reason", &number.to_string()))?;
        return Ok(Some(DropReason::new(number)));
    }
    let reason = named("drop_reason_desc", name, |name| {
        name.parse::<DropReason>().ok()
    })?;
    Ok(reason.filter(|reason| reason.get() != 0))
}

fn addresses(ip: &wire::Ip) -> Result<Option<Addresses>> {
    match (ip.source, ip.destination) {
        (Some(source), Some(destination)) => Ok(Some(Addresses {
            source,
            destination,
        })),
        (None, None) => Ok(None),
        _ => Err(wrong("IP", "one address without the other")),
    }
}

fn transport(l4: &wire::Layer4) -> Result<Option<Transport>> {
    let icmp = |icmp: &wire::Icmp| Icmp {
        kind: icmp.kind,
        code: icmp.code,
    };
    let found = [
        l4.tcp.as_ref().map(|tcp| Transport::Tcp {
            source_port: tcp.source_port,
            destination_port: tcp.destination_port,
            flags: tcp.flags.as_ref().map(tcp_flags),
        }),
        l4.udp.as_ref().map(|udp| Transport::Udp {
            source_port: udp.source_port,
            destination_port: udp.destination_port,
        }),
        l4.sctp.as_ref().map(|sctp| Transport::Sctp {
            source_port: sctp.source_port,
            destination_port: sctp.destination_port,
        }),
        l4.icmpv4
            .as_ref()
            .map(|message| Transport::Icmpv4(icmp(message))),
        l4.icmpv6
            .as_ref()
            .map(|message| Transport::Icmpv6(icmp(message))),
    ];
    let mut found = found.into_iter().flatten();
    match (found.next(), found.next()) {
        (Some(_), Some(_)) => Err(wrong("l4", "more than one protocol")),
        (one, _) => Ok(one),
    }
}

fn tcp_flags(flags: &wire::Flags) -> TcpFlags {
    let set = [
        (flags.fin, TcpFlags::FIN),
        (flags.syn, TcpFlags::SYN),
        (flags.rst, TcpFlags::RST),
        (flags.psh, TcpFlags::PSH),
        (flags.ack, TcpFlags::ACK),
        (flags.urg, TcpFlags::URG),
        (flags.ece, TcpFlags::ECE),
        (flags.cwr, TcpFlags::CWR),
        (flags.ns, TcpFlags::NS),
    ];
    set.into_iter()
        .filter(|(set, _)| *set)
        .fold(TcpFlags::NONE, |all, (_, flag)| all | flag)
}

fn endpoint(message: wire::Endpoint) -> Result<Arc<Endpoint>> {
    let text = |text: String| (!text.is_empty()).then(|| Arc::from(text));
    let label = |text: &String| text.parse::<Label>().map_err(|_| wrong("labels", text));
    let owner = |owner: wire::Workload| Owner {
        name: owner.name.into(),
        kind: owner.kind.into(),
    };
    Ok(Arc::new(Endpoint {
        id: EndpointId::new(message.id),
        identity: IdentityId::new(message.identity),
        labels: message
            .labels
            .iter()
            .map(label)
            .collect::<Result<Labels>>()?,
        namespace: text(message.namespace),
        name: text(message.pod_name),
        cluster: text(message.cluster_name),
        owners: message.workloads.into_iter().map(owner).collect(),
    }))
}

fn policies(list: Vec<wire::Policy>) -> Vec<Arc<PolicyRef>> {
    let policy = |policy: wire::Policy| {
        Arc::new(PolicyRef {
            kind: policy.kind.into(),
            namespace: policy.namespace.into(),
            name: policy.name.into(),
            labels: policy.labels.into_iter().map(Arc::from).collect(),
            revision: policy.revision.0,
        })
    };
    list.into_iter().map(policy).collect()
}

fn rule(extensions: &wire::Extensions) -> Option<Arc<str>> {
    let ours = extensions.message == super::write::STRUCT;
    extensions
        .value
        .get("rule")
        .filter(|_| ours)?
        .as_str()
        .map(Arc::from)
}

/// Moves out of the message what only [`Extra`] has a place for.
fn extra(message: &mut wire::Flow) -> Result<Extra> {
    fn boxes(list: &mut Vec<String>) -> Vec<Box<str>> {
        std::mem::take(list)
            .into_iter()
            .map(String::into_boxed_str)
            .collect()
    }
    let service = |s: wire::Service| Service {
        name: s.name.into(),
        namespace: s.namespace.into(),
    };
    let interface = message
        .interface
        .as_mut()
        .map(|interface| std::mem::take(&mut interface.name));
    Ok(Extra {
        uuid: std::mem::take(&mut message.uuid).into(),
        emitter: message
            .emitter
            .take()
            .map(|e| (e.name.into(), e.version.into())),
        ethernet: message
            .ethernet
            .take()
            .map(|e| (e.source.into(), e.destination.into())),
        source_translated: message.ip.as_ref().and_then(|ip| ip.source_xlated),
        encrypted: message.ip.as_ref().is_some_and(|ip| ip.encrypted),
        node_labels: boxes(&mut message.node_labels),
        source_names: boxes(&mut message.source_names),
        destination_names: boxes(&mut message.destination_names),
        source_service: message.source_service.take().map(service),
        destination_service: message.destination_service.take().map(service),
        auth_type: named("auth_type", &message.auth_type, AuthType::from_name)?,
        ip_trace_id: message
            .ip_trace_id
            .take()
            .map(|id| (id.trace_id.0, id.ip_option_type)),
        file: message
            .file
            .take()
            .map(|file| (file.name.into(), file.line)),
        interface: interface.unwrap_or_default().into(),
        policy_log: boxes(&mut message.policy_log),
        summary: None,
    })
}

/// Keeps a summary only if it is not the one that the headers give. Without one (the field is
/// deprecated) the headers give it.
fn summarised(flow: &Flow, mut extra: Extra, summary: &str) -> Option<Box<Extra>> {
    if !summary.is_empty() && summary != flow.summary() {
        extra.summary = Some(summary.into());
    }
    (extra != Extra::default()).then(|| Box::new(extra))
}
