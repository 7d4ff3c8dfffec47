//! Connection tracking, read for people. The programs alone write it.

use std::collections::BTreeSet;
use std::mem::offset_of;
use std::net::IpAddr;
use std::time::Duration;

use porin_flow::Traffic;
use porin_policy::{Protocol, RuleCookie};

use crate::abi::{AGE_SHIFT, FLOW_CLOCK_SHIFT, FLOW_WAYS, FlowBucket, FlowEntry, HANDSHAKE_SHIFT};
use crate::error::MapError;
use crate::sys::{Map, MapShape, MappedArray, TypedMap, monotonic};

/// One tracked flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowDump {
    /// The end that began.
    pub initiator: (IpAddr, u16),
    /// The end that answers.
    pub responder: (IpAddr, u16),
    /// The protocol.
    pub protocol: Protocol,
    /// The rule by which the initiator's endpoint has allowed it; `None` if it is not of this node.
    pub egress: Option<RuleCookie>,
    /// The same of the responder's endpoint.
    pub ingress: Option<RuleCookie>,
    /// Whether the responder has answered.
    pub answered: bool,
    /// Whether it ended: reset, or finished by both.
    pub ended: bool,
    /// When it began, as time of the monotonic clock, to 4.2 ms.
    pub opened: Duration,
    /// How long the TCP handshake took, from the SYN to the initiator's ACK, in steps of 1 µs;
    /// `None` if it is not over, or was not seen.
    pub handshake: Option<Duration>,
    /// What the initiator has sent.
    pub sent: Traffic,
    /// What the responder has sent.
    pub received: Traffic,
}

#[derive(Debug)]
pub(crate) struct FlowTable {
    buckets: TypedMap<u32, FlowBucket>,
    /// The same, as memory.
    memory: MappedArray,
    /// Flows that are over and of which was told, while they keep their places.
    told: BTreeSet<Place>,
}

/// Bucket, place in it, tag and beginning of a flow.
type Place = (u32, usize, u32, u32);

/// A flow that ended by silence.
#[derive(Debug)]
pub(crate) struct Lapsed {
    pub(crate) flow: FlowDump,
    /// Slots of the endpoints at the initiator's and the responder's side.
    pub(crate) slots: [Option<u32>; 2],
}

impl FlowTable {
    pub(crate) fn new(map: Map, shape: &MapShape) -> Result<Self, MapError> {
        let memory = MappedArray::new::<FlowBucket>(map.try_clone()?, shape.max_entries)?;
        let buckets = TypedMap::new(map, shape)?;
        Ok(Self {
            buckets,
            memory,
            told: BTreeSet::new(),
        })
    }

    /// Bytes of kernel memory, and for how many flows.
    pub(crate) fn memory(&self) -> Result<(u64, u64), MapError> {
        let map = self.buckets.map();
        let flows = u64::from(map.info().shape.max_entries) * FLOW_WAYS as u64;
        Ok((map.memory()?, flows))
    }

    fn count(&self) -> u32 {
        self.memory.map().info().shape.max_entries
    }

    /// Tag of each place of a bucket that a flow has, and whether it is over; read where it lies.
    fn places(&self, index: u32, now: Duration) -> impl Iterator<Item = (usize, u32, bool)> {
        let tick = (now.as_nanos() >> FLOW_CLOCK_SHIFT) as u32;
        let pairs = move |offset: usize| {
            let words = (offset..offset + 4 * FLOW_WAYS).step_by(8);
            words.flat_map(move |at| halves(self.memory.load(index, at).unwrap_or(0)))
        };
        pairs(offset_of!(FlowBucket, tags))
            .zip(pairs(offset_of!(FlowBucket, expires)))
            .enumerate()
            .filter(|(_, (tag, _))| *tag != 0)
            .map(move |(way, (tag, until))| (way, tag, until.wrapping_sub(tick) >= 1 << 31))
    }

    /// How many places flows have that are not over, and how many places there are.
    pub(crate) fn usage(&self) -> (u64, u64) {
        let now = monotonic();
        let alive = |index| self.places(index, now).filter(|(_, _, over)| !over).count() as u64;
        let live = (0..self.count()).map(alive).sum();
        (live, u64::from(self.count()) * FLOW_WAYS as u64)
    }

    /// The flows that have ended by silence and still have their places, each once. Nothing is
    /// changed: a place is its flow's until another one needs it.
    pub(crate) fn lapsed(&mut self) -> Result<Vec<Lapsed>, MapError> {
        let now = monotonic();
        let (mut over, mut lapsed) = (BTreeSet::new(), Vec::new());
        for index in 0..self.count() {
            let ways: Vec<_> = self
                .places(index, now)
                .filter(|(_, _, over)| *over)
                .collect();
            if ways.is_empty() {
                continue;
            }
            let Some(bucket) = self.buckets.get(&index)? else {
                continue;
            };
            for (way, tag, _) in ways {
                let Some(flow) = bucket.flows.get(way) else {
                    continue;
                };
                let place = (index, way, tag, flow.opened);
                over.insert(place);
                if bucket.tags.get(way) == Some(&tag) && !self.told.contains(&place) {
                    lapsed.push(Lapsed::new(dump(tag, flow, now), flow));
                }
            }
        }
        self.told = over;
        Ok(lapsed)
    }

    /// Every entry, expired ones included.
    pub(crate) fn dump(&self) -> Result<Vec<FlowDump>, MapError> {
        let buckets = self.buckets.entries()?;
        let places = buckets
            .iter()
            .flat_map(|(_, bucket)| bucket.tags.iter().zip(&bucket.flows));
        let taken = places.filter(|(tag, _)| **tag != 0);
        let now = monotonic();
        Ok(taken.map(|(tag, flow)| dump(*tag, flow, now)).collect())
    }

    /// Forgets every flow: each is judged anew by its next packet.
    pub(crate) fn clear(&self) -> Result<(), MapError> {
        let mut taken = self.buckets.entries()?;
        taken.retain(|(_, bucket)| bucket.tags != [0; FLOW_WAYS]);
        let (indices, empty): (Vec<_>, Vec<_>) = taken
            .iter()
            .map(|(index, _)| (*index, FlowBucket::default()))
            .unzip();
        self.buckets.set_batch(&indices, &empty)
    }
}

impl Lapsed {
    fn new(flow: FlowDump, entry: &FlowEntry) -> Self {
        let [first, second] = entry.slots.map(u32::from);
        Self {
            slots: [flow.egress.map(|_| first), flow.ingress.map(|_| second)],
            flow,
        }
    }
}

/// The two integers of a word, as they lie in memory.
fn halves(word: u64) -> [u32; 2] {
    let [a, b, c, d, e, f, g, h] = word.to_ne_bytes();
    [[a, b, c, d], [e, f, g, h]].map(u32::from_ne_bytes)
}

fn dump(tag: u32, flow: &FlowEntry, now: Duration) -> FlowDump {
    let key = &flow.key;
    let [low, high] = key.ends;
    let [low_port, high_port] = key.ports;
    let low = (IpAddr::from(low), u16::from_be_bytes(low_port));
    let high = (IpAddr::from(high), u16::from_be_bytes(high_port));
    let (initiator, responder) = if tag & 1 == 0 {
        (low, high)
    } else {
        (high, low)
    };
    let [egress, ingress] = flow
        .sides
        .map(|side| (side.seal != 0).then(|| RuleCookie::new(side.cookie)));
    let traffic = |(packets, bytes)| Traffic { packets, bytes };
    let [of_initiator, of_responder] = flow.packets;
    let [from_initiator, from_responder] = flow.bytes;
    let established = flow.state & 32 != 0;
    let [protocol, ..] = key.protocol.to_le_bytes();
    FlowDump {
        initiator,
        responder,
        protocol: Protocol::new(protocol),
        egress,
        ingress,
        answered: flow.state & 1 != 0,
        ended: flow.state & 8 != 0 || flow.state & 6 == 6,
        opened: opened(flow.opened, now),
        handshake: handshake_of(if established { flow.handshake } else { 0 }),
        sent: traffic((of_initiator, from_initiator)),
        received: traffic((of_responder, from_responder)),
    }
}

/// A stretch of time in the units of flows' ages.
pub(crate) fn age_of(units: u32) -> Duration {
    Duration::from_nanos(u64::from(units) << AGE_SHIFT)
}

/// How long a handshake took; 0 if nobody knows.
pub(crate) fn handshake_of(units: u32) -> Option<Duration> {
    (units != 0).then(|| Duration::from_nanos(u64::from(units) << HANDSHAKE_SHIFT))
}

/// The programs keep 32 bits of the time: those of the latest moment that is not far ahead of `now`.
fn opened(stored: u32, now: Duration) -> Duration {
    let now = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX) >> AGE_SHIFT;
    // Of an endpoint that has just begun a flow may be dated a moment later.
    let soon = now + 256;
    let age = (soon as u32).wrapping_sub(stored);
    Duration::from_nanos(soon.saturating_sub(u64::from(age)) << AGE_SHIFT)
}
