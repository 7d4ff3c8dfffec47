//! The messages as serde sees them. Field order is the order of writing.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// Whether a value is the default of its type, which proto3 leaves out.
fn unset<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Declares messages whose fields may all be absent.
macro_rules! messages {
    ($($(#[$meta:meta])* struct $name:ident { $($field:ident $(= $wire:literal)? : $type:ty,)* })*) => {
        $(
            $(#[$meta])*
            #[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
            #[serde(default)]
            pub(super) struct $name {
                $(
                    #[serde(skip_serializing_if = "unset")]
                    $(#[serde(rename = $wire)])?
                    pub(super) $field: $type,
                )*
            }
        )*
    };
}

/// A 64-bit number: a string in JSON; a number is read too.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
pub(super) struct Long(pub(super) u64);

impl Serialize for Long {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Long {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            Number(u64),
            Text(String),
        }
        match Form::deserialize(deserializer)? {
            Form::Number(number) => Ok(Self(number)),
            Form::Text(text) => text.parse().map(Self).map_err(serde::de::Error::custom),
        }
    }
}

/// What a line may be: a response, or a bare flow.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Line {
    /// With the envelope.
    Response(Enveloped),
    /// Without it.
    Flow(Box<Flow>),
}

/// A response that has a flow.
#[derive(Debug, Deserialize)]
pub(super) struct Enveloped {
    pub(super) flow: Box<Flow>,
}

messages! {
    struct Response {
        flow: Option<Box<Flow>>,
        node_name: String,
        time: Option<String>,
    }

    struct Flow {
        time: Option<String>,
        uuid: String,
        emitter: Option<Emitter>,
        verdict: String,
        drop_reason: u32,
        auth_type: String,
        ethernet: Option<Ethernet>,
        ip = "IP": Option<Ip>,
        l4: Option<Layer4>,
        tunnel: Option<serde_json::Value>,
        source: Option<Endpoint>,
        destination: Option<Endpoint>,
        kind = "Type": String,
        node_name: String,
        node_labels: Vec<String>,
        source_names: Vec<String>,
        destination_names: Vec<String>,
        l7: Option<serde_json::Value>,
        reply: bool,
        event_type: Option<EventType>,
        source_service: Option<Service>,
        destination_service: Option<Service>,
        traffic_direction: String,
        policy_match_type: u32,
        trace_observation_point: String,
        trace_reason: String,
        file: Option<File>,
        ip_trace_id: Option<IpTraceId>,
        drop_reason_desc: String,
        is_reply: Option<bool>,
        debug_capture_point: String,
        interface: Option<Interface>,
        proxy_port: u32,
        summary = "Summary": String,
        extensions: Option<Extensions>,
        egress_allowed_by: Vec<Policy>,
        ingress_allowed_by: Vec<Policy>,
        egress_denied_by: Vec<Policy>,
        ingress_denied_by: Vec<Policy>,
        policy_log: Vec<String>,
    }

    struct Emitter { name: String, version: String, }
    struct Ethernet { source: String, destination: String, }

    struct Ip {
        source: Option<IpAddr>,
        source_xlated: Option<IpAddr>,
        destination: Option<IpAddr>,
        version = "ipVersion": String,
        encrypted: bool,
    }

    struct Layer4 {
        tcp = "TCP": Option<Tcp>,
        udp = "UDP": Option<Ports>,
        icmpv4 = "ICMPv4": Option<Icmp>,
        icmpv6 = "ICMPv6": Option<Icmp>,
        sctp = "SCTP": Option<Ports>,
        vrrp = "VRRP": Option<serde_json::Value>,
        igmp = "IGMP": Option<serde_json::Value>,
    }

    struct Tcp { source_port: u16, destination_port: u16, flags: Option<Flags>, }
    struct Ports { source_port: u16, destination_port: u16, }
    struct Icmp { kind = "type": u8, code: u8, }

    struct Flags {
        fin = "FIN": bool,
        syn = "SYN": bool,
        rst = "RST": bool,
        psh = "PSH": bool,
        ack = "ACK": bool,
        urg = "URG": bool,
        ece = "ECE": bool,
        cwr = "CWR": bool,
        ns = "NS": bool,
    }

    struct Endpoint {
        id = "ID": u32,
        identity: u32,
        cluster_name: String,
        namespace: String,
        labels: Vec<String>,
        pod_name: String,
        workloads: Vec<Workload>,
    }

    struct Workload { name: String, kind: String, }
    struct EventType { class = "type": i32, sub = "sub_type": i32, }
    struct Service { name: String, namespace: String, }
    struct File { name: String, line: u32, }
    struct IpTraceId { trace_id: Long, ip_option_type: u32, }
    struct Interface { index: u32, name: String, }

    struct Policy {
        name: String,
        namespace: String,
        labels: Vec<String>,
        revision: Long,
        kind: String,
    }

    struct Extensions {
        message = "@type": String,
        value: serde_json::Value,
    }
}
