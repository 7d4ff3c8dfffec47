//! Flows that end by silence, which no packet can tell of.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use porin_flow::{
    EndpointId, Icmp, Observation, ObservationKind, Outcome, PolicyMatch, TcpFlags, Timestamp,
    Totals, Tuple,
};
use porin_identity::IdentityId;
use porin_policy::{Direction, Protocol, RuleCookie};

use crate::datapath::Datapath;
use crate::error::MapError;
use crate::sys::{monotonic, monotonic_to_unix};
use crate::tables::{FlowDump, Lapsed};

/// An endpoint by its slot: number, device, identity.
type Ends = BTreeMap<u32, (EndpointId, u32, IdentityId)>;

impl Datapath {
    /// Tells of every flow that has ended by silence since the last call, with what it came to, as a
    /// [close](ObservationKind::Close). Flows that finished or were reset have been told of by the
    /// programs; those whose place was taken by others meanwhile are not told of. Gives back how
    /// many it told of.
    ///
    /// Nothing changes in the kernel, and packets do not wait: the tag line of every bucket is read
    /// from memory that is mapped, a few milliseconds for a quarter of a million flows. To be called
    /// every few seconds. A value that [adopted](Self::open) the tables tells once more of what ended
    /// before and still has its place.
    ///
    /// # Errors
    ///
    /// If the kernel refuses to read the flows.
    pub fn sweep(&mut self, mut observe: impl FnMut(Observation)) -> Result<usize, MapError> {
        let known = self.known.values();
        let ends: Ends = known
            .map(|known| {
                let spec = &known.spec;
                (known.slot, (spec.id, spec.ifindex, spec.identity))
            })
            .collect();
        let lapsed = self.flows.lapsed()?;
        let told = lapsed.iter().filter(|lapsed| !lapsed.flow.ended);
        let told = told.filter_map(|lapsed| self.lapse(lapsed, &ends));
        Ok(told.map(&mut observe).count())
    }

    /// `None`: no endpoint that is still there has seen it.
    fn lapse(&self, lapsed: &Lapsed, ends: &Ends) -> Option<Observation> {
        let flow = &lapsed.flow;
        let [egress, ingress] = lapsed
            .slots
            .map(|slot| slot.and_then(|slot| ends.get(&slot)));
        let identity = |end: Option<&(_, _, IdentityId)>, address| match end {
            Some((_, _, identity)) => *identity,
            None => self.identity_at(address),
        };
        let (direction, (endpoint, ifindex, _), rule) = match (egress, ingress) {
            (Some(end), _) => (Direction::Egress, end, flow.egress),
            (None, Some(end)) => (Direction::Ingress, end, flow.ingress),
            (None, None) => return None,
        };
        let now = monotonic();
        let time = u64::try_from((now + monotonic_to_unix()).as_nanos()).ok()?;
        Some(Observation {
            time: Timestamp::from_nanos(time),
            kind: ObservationKind::Close,
            direction,
            endpoint: *endpoint,
            source: identity(egress, flow.initiator.0),
            destination: identity(ingress, flow.responder.0),
            tuple: tuple(flow),
            outcome: Outcome::Forward,
            reply: Some(false),
            cookie: rule.unwrap_or(RuleCookie::NONE),
            match_kind: PolicyMatch::None,
            epoch: 0,
            ifindex: *ifindex,
            length: 0,
            totals: Some(totals(flow, now)),
        })
    }

    fn identity_at(&self, address: IpAddr) -> IdentityId {
        let (ipv4, ipv6) = self.config.worlds();
        let world = if address.is_ipv4() { ipv4 } else { ipv6 };
        self.addresses.identity_of(address).unwrap_or(world)
    }
}

fn totals(flow: &FlowDump, now: Duration) -> Totals {
    Totals {
        sent: flow.sent,
        received: flow.received,
        age: now.saturating_sub(flow.opened),
        handshake: flow.handshake,
    }
}

/// The port that stands for the far end of an ICMP message without an answer, whose type is the
/// port of the near one.
const ONE_WAY: u16 = u16::MAX;

/// As the first packet had it. ICMP is tracked by the identifier of an echo, which is no port.
fn tuple(flow: &FlowDump) -> Tuple {
    let (source, destination) = (flow.initiator, flow.responder);
    let icmp = match flow.protocol {
        Protocol::ICMP | Protocol::ICMPV6 if destination.1 == ONE_WAY => {
            u8::try_from(source.1).ok()
        }
        Protocol::ICMP => Some(8),
        Protocol::ICMPV6 => Some(128),
        _ => None,
    };
    let port = |port| if icmp.is_some() { 0 } else { port };
    Tuple {
        source: source.0,
        destination: destination.0,
        protocol: flow.protocol,
        source_port: port(source.1),
        destination_port: port(destination.1),
        tcp_flags: TcpFlags::NONE,
        icmp: icmp.map(|kind| Icmp { kind, code: 0 }),
    }
}
