//! From the record to the messages.

use std::sync::Arc;

use serde_json::json;

use super::wire;
use crate::compact::direction_name;
use crate::drop_reason::DropReason;
use crate::endpoint::{Endpoint, Service};
use crate::event::{FlowKind, FlowVerdict};
use crate::flow::{Extra, Flow};
use crate::policies::PolicyRef;
use crate::transport::Transport;
use crate::tuple::{Icmp, TcpFlags};

pub(super) const STRUCT: &str = "type.googleapis.com/google.protobuf.Struct";

impl From<&Flow> for wire::Response {
    fn from(flow: &Flow) -> Self {
        Self {
            flow: Some(Box::new(flow.into())),
            node_name: flow.node.to_string(),
            time: flow.time.map(|time| time.to_string()),
        }
    }
}

impl From<&Flow> for wire::Flow {
    fn from(flow: &Flow) -> Self {
        let none = Extra::default();
        let extra = flow.extra.as_deref().unwrap_or(&none);
        let mut message = Self {
            tunnel: None,
            l7: None,
            ..headers(flow, extra)
        };
        judgement(&mut message, flow, extra);
        message
    }
}

/// Who, where and what kind of packet.
fn headers(flow: &Flow, extra: &Extra) -> wire::Flow {
    wire::Flow {
        time: flow.time.map(|time| time.to_string()),
        uuid: extra.uuid.to_string(),
        emitter: pair(&extra.emitter).map(|(name, version)| wire::Emitter { name, version }),
        ethernet: pair(&extra.ethernet).map(|(source, destination)| wire::Ethernet {
            source,
            destination,
        }),
        ip: addresses(flow, extra),
        l4: flow.transport.map(transport),
        source: flow.source.as_deref().map(endpoint),
        destination: flow.destination.as_deref().map(endpoint),
        kind: unless(flow.kind == FlowKind::Unknown, flow.kind.name()),
        node_name: flow.node.to_string(),
        node_labels: strings(&extra.node_labels),
        source_names: strings(&extra.source_names),
        destination_names: strings(&extra.destination_names),
        source_service: extra.source_service.as_ref().map(service),
        destination_service: extra.destination_service.as_ref().map(service),
        file: extra.file.as_ref().map(|(name, line)| wire::File {
            name: name.to_string(),
            line: *line,
        }),
        ip_trace_id: extra.ip_trace_id.map(|(id, option)| wire::IpTraceId {
            trace_id: wire::Long(id),
            ip_option_type: option,
        }),
        interface: interface(flow, extra),
        summary: flow.summary(),
        ..wire::Flow::default()
    }
}

/// What happened and why.
fn judgement(message: &mut wire::Flow, flow: &Flow, extra: &Extra) {
    message.verdict = unless(flow.verdict == FlowVerdict::Unknown, flow.verdict.name());
    message.drop_reason = flow.drop_reason.map_or(0, |reason| u32::from(reason.get()));
    message.drop_reason_desc = match flow.drop_reason.map(DropReason::hubble_name) {
        Some(name) => unless(name == DropReason::default().hubble_name(), name),
        None => String::new(),
    };
    message.auth_type = extra
        .auth_type
        .map_or_else(String::new, |auth| auth.name().to_owned());
    message.event_type = flow.event.map(|event| wire::EventType {
        class: event.class,
        sub: event.sub,
    });
    let event = flow.event.unwrap_or_default();
    message.trace_observation_point = event
        .observation_point()
        .map_or_else(String::new, |(name, _)| name.to_owned());
    message.debug_capture_point = event.capture_point().unwrap_or_default().to_owned();
    message.trace_reason = flow
        .trace_reason
        .map_or_else(String::new, |reason| reason.name().to_owned());
    message.traffic_direction = unless(flow.direction.is_none(), direction_name(flow.direction));
    message.policy_match_type = u32::from(flow.policy_match.number());
    message.is_reply = flow.reply;
    message.reply = flow.reply.unwrap_or(false);
    message.proxy_port = u32::from(flow.proxy_port);
    message.egress_allowed_by = policies(&flow.policies.egress_allowed);
    message.ingress_allowed_by = policies(&flow.policies.ingress_allowed);
    message.egress_denied_by = policies(&flow.policies.egress_denied);
    message.ingress_denied_by = policies(&flow.policies.ingress_denied);
    message.policy_log = strings(&extra.policy_log);
    message.extensions = extensions(flow);
}

/// What Hubble's schema has no field for.
fn extensions(flow: &Flow) -> Option<wire::Extensions> {
    let mut value = serde_json::Map::new();
    if let Some(reason) = flow.drop_reason.filter(|reason| reason.is_own()) {
        value.insert("drop_reason".to_owned(), json!(reason.name()));
    }
    if let Some(rule) = &flow.rule {
        value.insert("rule".to_owned(), json!(&**rule));
    }
    (!value.is_empty()).then(|| wire::Extensions {
        message: STRUCT.to_owned(),
        value: value.into(),
    })
}

fn unless(absent: bool, name: &str) -> String {
    if absent {
        String::new()
    } else {
        name.to_owned()
    }
}

fn strings(list: &[Box<str>]) -> Vec<String> {
    list.iter().map(ToString::to_string).collect()
}

fn pair(pair: &Option<(Box<str>, Box<str>)>) -> Option<(String, String)> {
    pair.as_ref().map(|(a, b)| (a.to_string(), b.to_string()))
}

fn addresses(flow: &Flow, extra: &Extra) -> Option<wire::Ip> {
    let addresses = flow.addresses?;
    let version = if addresses.source.is_ipv4() {
        "IPv4"
    } else {
        "IPv6"
    };
    Some(wire::Ip {
        source: Some(addresses.source),
        source_xlated: extra.source_translated,
        destination: Some(addresses.destination),
        version: version.to_owned(),
        encrypted: extra.encrypted,
    })
}

fn transport(transport: Transport) -> wire::Layer4 {
    let icmp = |Icmp { kind, code }| Some(wire::Icmp { kind, code });
    let mut l4 = wire::Layer4::default();
    match transport {
        Transport::Tcp {
            source_port,
            destination_port,
            flags,
        } => {
            l4.tcp = Some(wire::Tcp {
                source_port,
                destination_port,
                flags: flags.map(tcp_flags),
            });
        }
        Transport::Udp {
            source_port,
            destination_port,
        } => {
            l4.udp = Some(wire::Ports {
                source_port,
                destination_port,
            });
        }
        Transport::Sctp {
            source_port,
            destination_port,
        } => {
            l4.sctp = Some(wire::Ports {
                source_port,
                destination_port,
            });
        }
        Transport::Icmpv4(message) => l4.icmpv4 = icmp(message),
        Transport::Icmpv6(message) => l4.icmpv6 = icmp(message),
    }
    l4
}

fn tcp_flags(flags: TcpFlags) -> wire::Flags {
    wire::Flags {
        fin: flags.contains(TcpFlags::FIN),
        syn: flags.contains(TcpFlags::SYN),
        rst: flags.contains(TcpFlags::RST),
        psh: flags.contains(TcpFlags::PSH),
        ack: flags.contains(TcpFlags::ACK),
        urg: flags.contains(TcpFlags::URG),
        ece: flags.contains(TcpFlags::ECE),
        cwr: flags.contains(TcpFlags::CWR),
        ns: flags.contains(TcpFlags::NS),
    }
}

fn endpoint(endpoint: &Endpoint) -> wire::Endpoint {
    let text = |text: &Option<Arc<str>>| text.as_deref().unwrap_or_default().to_owned();
    let owner = |owner: &crate::Owner| wire::Workload {
        name: owner.name.to_string(),
        kind: owner.kind.to_string(),
    };
    wire::Endpoint {
        id: endpoint.id.get(),
        identity: endpoint.identity.get(),
        cluster_name: text(&endpoint.cluster),
        namespace: text(&endpoint.namespace),
        labels: endpoint.labels.iter().map(ToString::to_string).collect(),
        pod_name: text(&endpoint.name),
        workloads: endpoint.owners.iter().map(owner).collect(),
    }
}

fn service(service: &Service) -> wire::Service {
    wire::Service {
        name: service.name.to_string(),
        namespace: service.namespace.to_string(),
    }
}

fn interface(flow: &Flow, extra: &Extra) -> Option<wire::Interface> {
    let known = flow.ifindex != 0 || !extra.interface.is_empty();
    known.then(|| wire::Interface {
        index: flow.ifindex,
        name: extra.interface.to_string(),
    })
}

fn policies(list: &[Arc<PolicyRef>]) -> Vec<wire::Policy> {
    let policy = |policy: &Arc<PolicyRef>| wire::Policy {
        name: policy.name.to_string(),
        namespace: policy.namespace.to_string(),
        labels: policy.labels.iter().map(ToString::to_string).collect(),
        revision: wire::Long(policy.revision),
        kind: policy.kind.to_string(),
    };
    list.iter().map(policy).collect()
}
