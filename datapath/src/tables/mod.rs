//! What the tables mean: endpoints, policies, addresses, flows, counters.
//!
//! Each type here owns the maps of one concern and keeps its invariants:
//! something is made complete before a packet can find it, is made unfindable
//! before it is taken apart, and is used again only after a grace period.

mod addresses;
mod counters;
mod endpoints;
mod flows;
mod host;
mod nodes;
mod policies;
mod slots;

pub use counters::DropCounter;
pub use flows::FlowDump;

pub(crate) use addresses::AddressTable;
pub(crate) use counters::Counters;
pub(crate) use endpoints::{EndpointTable, inline};
pub(crate) use flows::{FlowTable, Lapsed, age_of, handshake_of};
pub(crate) use host::HostTable;
pub(crate) use nodes::NodeTable;
pub(crate) use policies::{PolicyTables, Staged, decode_entry, decode_key, direction_of};
pub(crate) use slots::Slots;
