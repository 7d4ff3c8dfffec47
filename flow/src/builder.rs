//! From the numbers of the datapath to a flow that names names.

use std::net::IpAddr;
use std::sync::Arc;

use porin_identity::{IdentityId, Snapshot};
use porin_policy::{Direction, RuleCookie};

use crate::endpoint::Endpoint;
use crate::event::{EventType, FlowKind, FlowVerdict, TraceReason, point};
use crate::flow::{Addresses, Extra, Flow};
use crate::observation::{EndpointId, Observation, ObservationKind, Outcome};
use crate::policies::{Policies, PolicyRef};
use crate::transport::Transport;

/// The rule behind a cookie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attributed {
    /// Its policy.
    pub policy: Arc<PolicyRef>,
    /// The rule and its place, as its `Display` says it.
    pub rule: Arc<str>,
}

/// Whoever knows what stands behind the numbers of an [`Observation`]: the enforcer that gave
/// them out.
///
/// Answers are shared, not copied: they are asked for once per flow.
pub trait Attribution {
    /// The rule that `cookie` names in the policy of `endpoint`; `None` for computed entries and
    /// rules that are gone.
    fn rule(&self, endpoint: EndpointId, cookie: RuleCookie) -> Option<Attributed>;

    /// The policies that switched default deny on for `endpoint` in `direction`.
    fn default_deny(&self, endpoint: EndpointId, direction: Direction) -> Vec<Arc<PolicyRef>>;

    /// The local endpoint of this number.
    fn endpoint(&self, id: EndpointId) -> Option<Arc<Endpoint>>;

    /// The endpoint that has this address, as far as is known.
    fn endpoint_at(&self, address: IpAddr) -> Option<Arc<Endpoint>>;
}

/// Attribution of nobody who knows anything: flows keep their numbers and their labels.
impl Attribution for () {
    fn rule(&self, _: EndpointId, _: RuleCookie) -> Option<Attributed> {
        None
    }

    fn default_deny(&self, _: EndpointId, _: Direction) -> Vec<Arc<PolicyRef>> {
        Vec::new()
    }

    fn endpoint(&self, _: EndpointId) -> Option<Arc<Endpoint>> {
        None
    }

    fn endpoint_at(&self, _: IpAddr) -> Option<Arc<Endpoint>> {
        None
    }
}

/// Makes flows of observations.
#[derive(Debug, Clone)]
pub struct FlowBuilder {
    node: Arc<str>,
}

impl FlowBuilder {
    /// A builder for what the node of this name observes.
    #[must_use]
    pub fn new(node: &str) -> Self {
        Self {
            node: Arc::from(node),
        }
    }

    /// The flow of an observation, with names, labels and policies.
    ///
    /// The identity that the datapath judged by stands in the flow even if the address belongs to
    /// somebody else by now; such an end then has the labels of the identity and no name.
    #[must_use]
    pub fn record(&self, seen: &Observation, identities: &Snapshot, by: &dyn Attribution) -> Flow {
        let (tuple, leaving) = (&seen.tuple, seen.direction == Direction::Egress);
        let local = |here: bool| {
            if here {
                by.endpoint(seen.endpoint)
            } else {
                None
            }
        };
        let end = |identity, address, here| {
            let known = local(here).or_else(|| by.endpoint_at(address));
            judged_as(identity, known, identities)
        };
        let direction = connection_direction(seen);
        let attributed = by.rule(seen.endpoint, seen.cookie);
        let transport = Transport::of(tuple);
        Flow {
            time: Some(seen.time),
            node: Arc::clone(&self.node),
            kind: FlowKind::L3L4,
            verdict: verdict(seen.outcome),
            drop_reason: match seen.outcome {
                Outcome::Drop(reason) => Some(reason),
                Outcome::Forward | Outcome::Redirect | Outcome::Audit => None,
            },
            event: Some(event(seen)),
            addresses: Some(Addresses {
                source: tuple.source,
                destination: tuple.destination,
            }),
            transport,
            source: Some(end(seen.source, tuple.source, leaving)),
            destination: Some(end(seen.destination, tuple.destination, !leaving)),
            direction: Some(direction),
            policy_match: seen.match_kind,
            reply: seen.reply,
            trace_reason: trace_reason(seen),
            ifindex: seen.ifindex,
            proxy_port: 0,
            policies: policies(seen, direction, attributed.as_ref(), by),
            rule: attributed.map(|attributed| attributed.rule),
            extra: summary(seen, transport).map(summarised),
        }
    }
}

/// The end as it was judged: what is known of it, unless that has another identity.
fn judged_as(
    identity: IdentityId,
    known: Option<Arc<Endpoint>>,
    identities: &Snapshot,
) -> Arc<Endpoint> {
    match known {
        Some(known) if known.identity == identity => known,
        _ => {
            let labels = identities.labels(identity).cloned().unwrap_or_default();
            Arc::new(Endpoint::of_identity(identity, labels))
        }
    }
}

/// The hook tells the direction of the packet; the packets of a reply run against the connection.
fn connection_direction(seen: &Observation) -> Direction {
    match (seen.direction, seen.reply) {
        (Direction::Ingress, Some(true)) => Direction::Egress,
        (Direction::Egress, Some(true)) => Direction::Ingress,
        (direction, _) => direction,
    }
}

fn verdict(outcome: Outcome) -> FlowVerdict {
    match outcome {
        Outcome::Forward => FlowVerdict::Forwarded,
        Outcome::Redirect => FlowVerdict::Redirected,
        Outcome::Drop(_) => FlowVerdict::Dropped,
        Outcome::Audit => FlowVerdict::Audit,
    }
}

fn event(seen: &Observation) -> EventType {
    let (class, sub) = match (seen.kind, seen.outcome) {
        (ObservationKind::Verdict, _) => (EventType::POLICY_VERDICT, 0),
        (_, Outcome::Drop(reason)) => (EventType::DROP, i32::from(reason.get())),
        (_, Outcome::Redirect) => (EventType::TRACE, point::TO_PROXY),
        _ if seen.direction == Direction::Egress => (EventType::TRACE, point::FROM_ENDPOINT),
        _ => (EventType::TRACE, point::TO_ENDPOINT),
    };
    EventType { class, sub }
}

fn trace_reason(seen: &Observation) -> Option<TraceReason> {
    let traced = event(seen).class == EventType::TRACE;
    match seen.reply.filter(|_| traced)? {
        true => Some(TraceReason::Reply),
        false => Some(TraceReason::Established),
    }
}

/// Names the policy of the deciding rule; where nothing allowed, those that made that a denial.
fn policies(
    seen: &Observation,
    direction: Direction,
    rule: Option<&Attributed>,
    by: &dyn Attribution,
) -> Policies {
    let mut policies = Policies::default();
    let (denied, judged) = match seen.outcome {
        Outcome::Forward | Outcome::Redirect => (false, true),
        Outcome::Drop(reason) => (true, reason.is_policy() || rule.is_some()),
        Outcome::Audit => (true, true),
    };
    if !judged {
        return policies;
    }
    let list = policies.list_mut(direction, denied);
    match rule {
        Some(attributed) => list.push(Arc::clone(&attributed.policy)),
        None if denied => list.extend(by.default_deny(seen.endpoint, direction)),
        None => {}
    }
    policies
}

/// Hubble's schema has no place for the number of other protocols, nor for what a connection came
/// to; the summary has. `None`: it is the one that follows from the headers.
fn summary(seen: &Observation, transport: Option<Transport>) -> Option<String> {
    let headers = match transport {
        Some(transport) => transport.to_string(),
        None => format!("IP protocol {}", seen.tuple.protocol.get()),
    };
    match seen.totals {
        Some(totals) => Some(format!("{headers}; {totals}")),
        None => transport.is_none().then_some(headers),
    }
}

fn summarised(summary: String) -> Box<Extra> {
    Box::new(Extra {
        summary: Some(summary.into()),
        ..Extra::default()
    })
}
