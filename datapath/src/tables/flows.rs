//! Connection tracking, read for people. The programs alone write it.

use std::net::IpAddr;

use porin_policy::{Protocol, RuleCookie};

use crate::abi::{Cell, FLOW_WAYS, FlowBucket, FlowEntry};
use crate::error::MapError;
use crate::sys::{Map, MapShape, TypedMap};

/// One tracked flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowDump {
    /// The end that began.
    pub initiator: (IpAddr, u16),
    /// The end that answers.
    pub responder: (IpAddr, u16),
    /// The protocol.
    pub protocol: Protocol,
    /// Policy epoch and rule by which the initiator's endpoint allows it; `None` if it is not of this node.
    pub egress: Option<(u64, RuleCookie)>,
    /// The same of the responder's endpoint.
    pub ingress: Option<(u64, RuleCookie)>,
    /// Whether the responder has answered.
    pub answered: bool,
    /// Whether it ended: reset, or finished by both.
    pub ended: bool,
}

#[derive(Debug)]
pub(crate) struct FlowTable {
    buckets: TypedMap<u32, FlowBucket>,
}

impl FlowTable {
    pub(crate) fn new(map: Map, shape: &MapShape) -> Result<Self, MapError> {
        let buckets = TypedMap::new(map, shape)?;
        Ok(Self { buckets })
    }

    /// Bytes of kernel memory, and for how many flows.
    pub(crate) fn memory(&self) -> Result<(u64, u64), MapError> {
        let map = self.buckets.map();
        let flows = u64::from(map.info().shape.max_entries) * FLOW_WAYS as u64;
        Ok((map.memory()?, flows))
    }

    /// Every entry, expired ones included.
    pub(crate) fn dump(&self) -> Result<Vec<FlowDump>, MapError> {
        let buckets = self.buckets.entries()?;
        let places = buckets
            .iter()
            .flat_map(|(_, bucket)| bucket.tags.iter().zip(&bucket.flows));
        let taken = places.filter(|(tag, _)| **tag != 0);
        Ok(taken.map(|(_, flow)| dump(flow)).collect())
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

fn dump(flow: &FlowEntry) -> FlowDump {
    let key = &flow.key;
    let [low, high] = key.ends;
    let [low_port, high_port] = key.ports;
    let low = (IpAddr::from(low), u16::from_be_bytes(low_port));
    let high = (IpAddr::from(high), u16::from_be_bytes(high_port));
    let (initiator, responder) = if flow.origin & 1 == 0 {
        (low, high)
    } else {
        (high, low)
    };
    let [egress, ingress] = flow.sides.map(|side| {
        let given = Cell::from_word(side.cell).epoch();
        (side.cell != 0).then(|| (given, RuleCookie::new(side.cookie)))
    });
    let [protocol, ..] = key.protocol.to_le_bytes();
    FlowDump {
        initiator,
        responder,
        protocol: Protocol::new(protocol),
        egress,
        ingress,
        answered: flow.state & 1 != 0,
        ended: flow.state & 8 != 0 || flow.state & 6 == 6,
    }
}
