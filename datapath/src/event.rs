//! Ring records → [`Observation`].

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use porin_flow::{
    DropReason, EndpointId, Icmp, Observation, ObservationKind, Outcome, PolicyMatch, TcpFlags,
    Timestamp, Totals, Traffic, Tuple,
};
use porin_identity::IdentityId;
use porin_policy::{Protocol, RuleCookie};

use crate::abi::{self, Event, FlowEvent};
use crate::error::MapError;
use crate::ring::RingReader;
use crate::sys::{Map, MapShape, PerCpuMap, from_bytes, monotonic_to_unix};
use crate::tables::{age_of, direction_of, handshake_of};

/// The stream of what the programs report: new verdicts, drops, ends of flows.
///
/// Records wait in the ring until they are [drained](Self::drain), whether or
/// not a process is there. The programs wake a reader only when many wait, so a
/// reader also looks on its own every 10 to 50 ms; [`ring`](crate::ring) says why.
#[derive(Debug)]
pub struct Events {
    reader: RingReader,
    lost: PerCpuMap<u32, u64>,
    malformed: u64,
}

/// Events that were never delivered, since the tables were made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LossCounters {
    /// Verdicts for which the ring had no room.
    pub verdicts: u64,
    /// Drops for which the ring had no room; the packets are counted all the same.
    pub drops: u64,
    /// Ends of flows for which the ring had no room.
    pub closes: u64,
    /// Reports of flows that go on for which the ring had no room.
    pub traces: u64,
    /// Records that this build does not understand.
    pub malformed: u64,
}

impl LossCounters {
    /// All of them.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.verdicts + self.drops + self.closes + self.traces + self.malformed
    }
}

impl Events {
    pub(crate) fn new(
        ring: Map,
        bytes: u32,
        (lost, shape): (Map, &MapShape),
    ) -> Result<Self, MapError> {
        Ok(Self {
            reader: RingReader::new(ring, bytes)?,
            lost: PerCpuMap::new(lost, shape)?,
            malformed: 0,
        })
    }

    /// Hands every waiting observation to `observe`, oldest first; gives back how many.
    pub fn drain(&mut self, mut observe: impl FnMut(Observation)) -> usize {
        let offset = monotonic_to_unix();
        let mut malformed = 0;
        let records = self.reader.drain(usize::MAX, |record| {
            match read(record).and_then(|(event, totals)| decode(&event, totals.as_ref(), offset)) {
                Some(observation) => observe(observation),
                None => malformed += 1,
            }
        });
        self.malformed += malformed;
        records - usize::try_from(malformed).unwrap_or(records)
    }

    /// Waits until the programs wake the reader or `limit` has passed; `true` if records wait.
    ///
    /// # Errors
    ///
    /// If `poll(2)` fails.
    pub fn wait(&self, limit: Duration) -> io::Result<bool> {
        self.reader.wait(limit)
    }

    /// What was lost, exactly.
    ///
    /// # Errors
    ///
    /// If the kernel refuses to read the counters.
    pub fn lost(&self) -> Result<LossCounters, MapError> {
        let count = |kind: u32| Ok::<u64, MapError>(self.lost.get(&kind)?.iter().sum());
        Ok(LossCounters {
            verdicts: count(0)?,
            drops: count(1)?,
            closes: count(2)?,
            traces: count(3)?,
            malformed: self.malformed,
        })
    }
}

impl AsFd for Events {
    /// Readable when the programs woke the reader.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }
}

/// The two forms of a record.
fn read(record: &[u8]) -> Option<(Event, Option<abi::Totals>)> {
    if record.len() == size_of::<Event>() {
        return Some((from_bytes(record)?, None));
    }
    let whole: FlowEvent = from_bytes(record)?;
    Some((whole.event, Some(whole.totals)))
}

fn totals_of(totals: &abi::Totals) -> Totals {
    let [from_initiator, from_responder] = totals.bytes;
    let [of_initiator, of_responder] = totals.packets;
    let traffic = |packets, bytes| Traffic { packets, bytes };
    Totals {
        sent: traffic(of_initiator, from_initiator),
        received: traffic(of_responder, from_responder),
        // The flow of an endpoint that has just begun may be dated a moment later than now.
        age: age_of(u32::try_from(i32::from_ne_bytes(totals.age.to_ne_bytes())).unwrap_or(0)),
        handshake: handshake_of(totals.handshake),
    }
}

/// `None`: a record of another build.
fn decode(event: &Event, totals: Option<&abi::Totals>, offset: Duration) -> Option<Observation> {
    let reason = DropReason::new(event.reason);
    let dropped = event.reason != 0;
    let time = Duration::from_nanos(event.time) + offset;
    Some(Observation {
        time: Timestamp::from_nanos(u64::try_from(time.as_nanos()).ok()?),
        kind: match event.kind {
            0 => ObservationKind::Verdict,
            1 if reason.is_policy() => ObservationKind::Verdict,
            1 => ObservationKind::Drop,
            2 => ObservationKind::Close,
            3 => ObservationKind::Trace,
            _ => return None,
        },
        direction: direction_of(event.direction)?,
        endpoint: EndpointId::new(event.endpoint),
        source: IdentityId::new(event.source_identity),
        destination: IdentityId::new(event.destination_identity),
        tuple: tuple(event),
        outcome: if dropped {
            Outcome::Drop(reason)
        } else {
            Outcome::Forward
        },
        reply: match event.reply {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        },
        cookie: RuleCookie::new(event.cookie),
        match_kind: PolicyMatch::from_number(event.match_kind)?,
        epoch: u32::try_from(event.epoch & u64::from(u32::MAX)).ok()?,
        ifindex: event.ifindex,
        length: event.length,
        totals: totals.map(totals_of),
    })
}

/// What is no IP packet has unspecified addresses; ICMP has no ports, as
/// [`Tuple`] says, although tracking uses the identifier of an echo as one.
fn tuple(event: &Event) -> Tuple {
    let protocol = Protocol::new(event.protocol);
    let icmp = (protocol == Protocol::ICMP && event.family == 4)
        || (protocol == Protocol::ICMPV6 && event.family == 6);
    let port = |bytes: [u8; 2]| if icmp { 0 } else { u16::from_be_bytes(bytes) };
    let address = |address: crate::abi::Address| match event.family {
        4 => IpAddr::from(address),
        6 => IpAddr::V6(Ipv6Addr::from(address.0)),
        _ => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
    };
    Tuple {
        source: address(event.source),
        destination: address(event.destination),
        protocol,
        source_port: port(event.source_port),
        destination_port: port(event.destination_port),
        tcp_flags: TcpFlags::from_bits(u16::from(event.tcp_flags)),
        icmp: icmp.then_some(Icmp {
            kind: event.icmp_type,
            code: event.icmp_code,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_drop_is_a_verdict_and_a_forged_packet_is_not() {
        let base = Event {
            kind: 1,
            direction: 1,
            family: 4,
            ..Event::default()
        };
        let of =
            |reason| decode(&Event { reason, ..base }, None, Duration::ZERO).map(|seen| seen.kind);
        assert_eq!(of(133), Some(ObservationKind::Verdict));
        assert_eq!(of(181), Some(ObservationKind::Verdict));
        assert_eq!(of(132), Some(ObservationKind::Drop));
    }

    #[test]
    fn a_record_of_another_build_is_refused() {
        for event in [
            Event {
                kind: 4,
                ..Event::default()
            },
            Event {
                direction: 2,
                ..Event::default()
            },
            Event {
                match_kind: 7,
                ..Event::default()
            },
        ] {
            assert_eq!(decode(&event, None, Duration::ZERO), None);
        }
    }
}
