//! The flow record.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use porin_policy::Direction;

use crate::compact::Compact;
use crate::drop_reason::DropReason;
use crate::endpoint::{Endpoint, Service};
use crate::event::{AuthType, EventType, FlowKind, FlowVerdict, TraceReason};
use crate::observation::PolicyMatch;
use crate::policies::Policies;
use crate::time::Timestamp;
use crate::transport::Transport;

/// One flow: what happened to a packet, between whom, by which rule.
///
/// The fields are those of Hubble's `flow.Flow` under Porin's names; [`to_json`](Self::to_json)
/// writes Hubble's JSON form and [`from_json`](Self::from_json) reads it. What a flow shares with
/// others (ends, policies, texts) is behind `Arc`; what only foreign producers fill in is boxed in
/// [`Extra`]. `Display` is the line of `hubble observe`.
///
/// | Porin | Hubble |
/// |---|---|
/// | `kind` | `Type` |
/// | `addresses`, `transport` | `IP`, `l4` |
/// | `event` | `event_type`, `trace_observation_point`, `debug_capture_point` |
/// | `direction`, `reply` | `traffic_direction`, `is_reply` and `reply` |
/// | `drop_reason` | `drop_reason`, `drop_reason_desc` |
/// | `policies` | `egress_allowed_by` … `ingress_denied_by` |
/// | `rule`, own drop reasons | `extensions`, see [`to_json`](Self::to_json) |
///
/// ```
/// use porin_flow::Flow;
///
/// let line = r#"{"flow":{"verdict":"DROPPED","IP":{"source":"10.0.0.1","destination":"10.0.0.2",
///   "ipVersion":"IPv4"},"l4":{"UDP":{"source_port":4000,"destination_port":53}},
///   "source":{"identity":9000},"destination":{"identity":2},"Type":"L3_L4"}}"#;
/// let flow = Flow::from_json(line)?;
/// assert_eq!(
///     flow.to_string(),
///     "N/A: 10.0.0.1:4000 (ID:9000) <> 10.0.0.2:53 (world) UNKNOWN DROPPED (UDP)"
/// );
/// # Ok::<(), porin_flow::ReadFlowError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Flow {
    /// When it happened, by the clock of the node.
    pub time: Option<Timestamp>,
    /// The node that saw it; may be empty.
    pub node: Arc<str>,
    /// The coarse class.
    pub kind: FlowKind,
    /// What became of the packet.
    pub verdict: FlowVerdict,
    /// Why it was dropped.
    pub drop_reason: Option<DropReason>,
    /// The class of the event.
    pub event: Option<EventType>,
    /// Both addresses; `None` for packets other than IP.
    pub addresses: Option<Addresses>,
    /// The transport header.
    pub transport: Option<Transport>,
    /// Who sent.
    pub source: Option<Arc<Endpoint>>,
    /// Who receives.
    pub destination: Option<Arc<Endpoint>>,
    /// Direction of the connection (not of the packet), seen from the local endpoint.
    pub direction: Option<Direction>,
    /// What the deciding policy entry fixed.
    pub policy_match: PolicyMatch,
    /// Whether the packet answers; `None` when that is not known.
    pub reply: Option<bool>,
    /// What connection tracking said.
    pub trace_reason: Option<TraceReason>,
    /// Index of the interface, 0 when not known.
    pub ifindex: u32,
    /// Port of the proxy that the packet goes to, 0 without one.
    pub proxy_port: u16,
    /// The policies behind the verdict.
    pub policies: Policies,
    /// The rule that decided, with its place in the file; `None` where no rule did.
    pub rule: Option<Arc<str>>,
    /// What is rarely there.
    pub extra: Option<Box<Extra>>,
}

/// Source and destination address of a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Addresses {
    /// Who sent, before any translation.
    pub source: IpAddr,
    /// Who receives.
    pub destination: IpAddr,
}

/// Fields that Porin's own datapath leaves empty and recorded flows of others may have.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Extra {
    /// Random id of the record.
    pub uuid: Box<str>,
    /// Name and version of the program that made the record.
    pub emitter: Option<(Box<str>, Box<str>)>,
    /// Source and destination MAC, lower case with colons.
    pub ethernet: Option<(Box<str>, Box<str>)>,
    /// Source address after translation.
    pub source_translated: Option<IpAddr>,
    /// Whether the packet is encrypted on the wire.
    pub encrypted: bool,
    /// Labels of the node.
    pub node_labels: Vec<Box<str>>,
    /// DNS names of the source address.
    pub source_names: Vec<Box<str>>,
    /// DNS names of the destination address.
    pub destination_names: Vec<Box<str>>,
    /// Service of the source address.
    pub source_service: Option<Service>,
    /// Service of the destination address.
    pub destination_service: Option<Service>,
    /// Authentication that policy asks for.
    pub auth_type: Option<AuthType>,
    /// Trace id of an IP option, and the number of that option.
    pub ip_trace_id: Option<(u64, u32)>,
    /// Source file and line of the datapath that dropped.
    pub file: Option<(Box<str>, u32)>,
    /// Name of the interface.
    pub interface: Box<str>,
    /// Texts of the matched policies for the log.
    pub policy_log: Vec<Box<str>>,
    /// A summary other than the one that follows from the headers.
    pub summary: Option<Box<str>>,
}

impl Flow {
    /// The text in brackets at the end of the compact line.
    #[must_use]
    pub fn summary(&self) -> String {
        match (
            self.extra
                .as_ref()
                .and_then(|extra| extra.summary.as_deref()),
            self.transport,
        ) {
            (Some(summary), _) => summary.to_owned(),
            (None, Some(transport)) => transport.to_string(),
            (None, None) => String::new(),
        }
    }

    /// Source and destination port, for the protocols that have ports.
    #[must_use]
    pub fn ports(&self) -> Option<(u16, u16)> {
        self.transport.and_then(Transport::ports)
    }

    /// Whether policy dropped the packet or the proxy failed over it.
    #[must_use]
    pub const fn is_denied(&self) -> bool {
        matches!(self.verdict, FlowVerdict::Dropped | FlowVerdict::Error)
    }

    /// The policies that gave the verdict, in the direction in which it was given.
    #[must_use]
    pub fn deciding_policies(&self) -> &[Arc<crate::PolicyRef>] {
        match self.direction {
            Some(direction) => self.policies.list(direction, self.is_denied()),
            None => &[],
        }
    }

    /// The line of `hubble observe`, with choices.
    #[must_use]
    pub const fn compact(&self) -> Compact<'_> {
        Compact::new(self)
    }
}

impl fmt::Display for Flow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.compact().fmt(f)
    }
}
