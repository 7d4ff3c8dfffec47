//! Connection tracking, read for people. The programs alone write it.

use std::net::IpAddr;

use porin_policy::{Protocol, RuleCookie};

use crate::abi::{Cell, FlowEntry, FlowKey};
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
    flows: TypedMap<FlowKey, FlowEntry>,
}

impl FlowTable {
    pub(crate) fn new(map: Map, shape: &MapShape) -> Result<Self, MapError> {
        let flows = TypedMap::new(map, shape)?;
        Ok(Self { flows })
    }

    /// Bytes of kernel memory, and for how many flows.
    pub(crate) fn memory(&self) -> Result<(u64, u32), MapError> {
        let map = self.flows.map();
        Ok((map.memory()?, map.info().shape.max_entries))
    }

    /// Every entry, expired ones included.
    pub(crate) fn dump(&self) -> Result<Vec<FlowDump>, MapError> {
        let entries = self.flows.entries()?;
        Ok(entries.iter().map(|(key, flow)| dump(key, flow)).collect())
    }

    /// Forgets every flow: each is judged anew by its next packet.
    pub(crate) fn clear(&self) -> Result<(), MapError> {
        let keys: Vec<_> = self
            .flows
            .entries()?
            .into_iter()
            .map(|(key, _)| key)
            .collect();
        self.flows.remove_batch(&keys)
    }
}

fn dump(key: &FlowKey, flow: &FlowEntry) -> FlowDump {
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
