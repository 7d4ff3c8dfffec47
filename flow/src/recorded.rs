//! From a flow to what policies are asked about it.

use porin_policy::ask::{Recorded, RecordedEnd, Unjudged};
use porin_policy::{Protocol, Verdict};

use crate::endpoint::Endpoint;
use crate::event::{EventType, FlowVerdict};
use crate::flow::Flow;
use crate::transport::Transport;
use crate::tuple::TcpFlags;

impl Flow {
    /// The flow as a question to policies, with the verdict that was recorded.
    ///
    /// An audited flow counts as denied: it passed only because nothing was enforced.
    ///
    /// # Errors
    /// Why it is none: an answer, a packet without ports, a trace, a drop for another reason.
    ///
    /// ```
    /// use porin_flow::Flow;
    /// use porin_policy::Verdict;
    /// let line = r#"{"verdict":"DROPPED","drop_reason":133,"Type":"L3_L4",
    ///   "IP":{"source":"10.0.0.1","destination":"10.0.0.2","ipVersion":"IPv4"},
    ///   "l4":{"UDP":{"source_port":4000,"destination_port":53}},
    ///   "source":{"labels":["k8s:app=web","k8s:io.kubernetes.pod.namespace=shop"]},
    ///   "destination":{"labels":["reserved:world"]},"traffic_direction":"EGRESS"}"#;
    /// let recorded = Flow::from_json(line)?.recorded()?;
    /// assert_eq!((recorded.port, recorded.verdict), (53, Verdict::Deny));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn recorded(&self) -> Result<Recorded, Unjudged> {
        if self.reply == Some(true) || self.is_answer() {
            return Err(Unjudged::Reply);
        }
        let (protocol, port) = self.target().ok_or(Unjudged::NoPort)?;
        Ok(Recorded {
            source: self.recorded_end(true),
            destination: self.recorded_end(false),
            protocol,
            port,
            direction: self.direction,
            verdict: self.policy_verdict()?,
        })
    }

    /// The second packet of a TCP handshake, where connection tracking says nothing.
    fn is_answer(&self) -> bool {
        match self.transport {
            Some(Transport::Tcp {
                flags: Some(flags), ..
            }) => flags.contains(TcpFlags::SYN) && flags.contains(TcpFlags::ACK),
            _ => false,
        }
    }

    /// A trace of where a packet came from: no policy has judged it yet.
    fn is_from(&self) -> bool {
        let event = self.event.filter(|event| event.class == EventType::TRACE);
        let point = event.and_then(EventType::observation_point);
        point.is_some_and(|(name, _)| name.starts_with("FROM_"))
    }

    fn target(&self) -> Option<(Protocol, u16)> {
        Some(match self.transport? {
            Transport::Tcp {
                destination_port, ..
            } => (Protocol::TCP, destination_port),
            Transport::Udp {
                destination_port, ..
            } => (Protocol::UDP, destination_port),
            Transport::Sctp {
                destination_port, ..
            } => (Protocol::SCTP, destination_port),
            Transport::Icmpv4(icmp) => (Protocol::ICMP, u16::from(icmp.kind)),
            Transport::Icmpv6(icmp) => (Protocol::ICMPV6, u16::from(icmp.kind)),
        })
    }

    fn policy_verdict(&self) -> Result<Verdict, Unjudged> {
        if self.is_from() {
            return Err(Unjudged::NoVerdict);
        }
        match self.verdict {
            FlowVerdict::Forwarded => Ok(Verdict::Allow),
            FlowVerdict::Redirected => Ok(Verdict::Redirect),
            FlowVerdict::Audit => Ok(Verdict::Deny),
            FlowVerdict::Dropped if self.drop_reason.is_some_and(|reason| reason.is_policy()) => {
                Ok(Verdict::Deny)
            }
            FlowVerdict::Dropped | FlowVerdict::Error => Err(Unjudged::OtherReason),
            FlowVerdict::Unknown | FlowVerdict::Traced | FlowVerdict::Translated => {
                Err(Unjudged::NoVerdict)
            }
        }
    }

    fn recorded_end(&self, source: bool) -> RecordedEnd {
        let (end, address) = match source {
            true => (&self.source, self.addresses.map(|both| both.source)),
            false => (
                &self.destination,
                self.addresses.map(|both| both.destination),
            ),
        };
        let dns_names = self.extra.as_ref().map(|extra| match source {
            true => extra.source_names.clone(),
            false => extra.destination_names.clone(),
        });
        let end = end.as_deref().cloned().unwrap_or_default();
        RecordedEnd {
            name: name(&end),
            labels: end.labels,
            identity: end.identity,
            address,
            dns_names: dns_names.unwrap_or_default(),
        }
    }
}

fn name(end: &Endpoint) -> Option<Box<str>> {
    let name = end.name.as_deref()?;
    Some(match &end.namespace {
        Some(namespace) => format!("{namespace}/{name}").into(),
        None => name.into(),
    })
}
