//! The kernel's side of identity-aware networking: eBPF programs that judge
//! every packet of an endpoint by who is at both ends, the tables they judge
//! by, and the stream of what they decided.
//!
//! ```text
//!            endpoint  ──veth──  host's side            rest of the world
//!   sends       ───────────────▶ from_endpoint ───────▶ routing …
//!   receives    ◀─────────────── to_endpoint   ◀─────── … routing
//! ```
//!
//! A [`Datapath`] is loaded once per node. Endpoints are
//! [added](Datapath::add_endpoint), get their policy
//! [installed](Datapath::install) as a [`MapState`](porin_policy::MapState) and
//! are then [made ready](Datapath::set_ready); until that moment all of their
//! packets are dropped. What the programs decide arrives as
//! [`Observation`](porin_flow::Observation)s from [`Events`].
//!
//! # What is promised
//!
//! * The source of a local packet is known by the device it left, not by its
//!   address; a packet with an address of somebody else is dropped.
//! * A change of policy, identity or address takes hold of flows that run: an
//!   allowance is remembered together with what it was given under, and counts
//!   only while that still holds.
//! * A table that is full refuses the change and keeps what it has; a flow that
//!   is forgotten is judged again, never let through.
//! * Nothing is lost silently: drops are counted, and so are events for which
//!   there was no room.
//!
//! # What it needs
//!
//! | kernel | for |
//! |---|---|
//! | 6.6 | TCX links; before, clsact filters are used (5.16) |
//! | 5.16 | the coarse clock and the batch operations |
//!
//! `CAP_BPF`, `CAP_NET_ADMIN` and `CAP_PERFMON`; pins also need a BPF file
//! system (`CAP_SYS_ADMIN` to mount one). [`probe`] tells what is missing.
//!
//! The programs are written in C (`bpf/`, with a page about them), compiled
//! ahead and embedded: nobody who uses this crate needs a C compiler.

pub mod abi;

pub mod backend;
pub mod error;
pub mod link;
pub mod object;
pub mod pin;
pub mod probe;
pub mod ring;
pub mod sys;

mod amend;
mod config;
mod datapath;
mod device;
mod dump;
mod endpoint;
mod event;
mod floor;
mod frame;
mod group;
mod host;
mod install;
mod overlay;
mod pressure;
mod run;
mod sweep;
mod tables;

pub use amend::Amended;
pub use backend::Loader;
pub use config::{Aggregation, Config, Limits};
pub use datapath::Datapath;
pub use endpoint::{EndpointDump, EndpointSpec};
pub use error::{ApplyError, AttachError, LoadError, MapError, PinError};
pub use event::{Events, LossCounters};
pub use floor::Floor;
pub use frame::Frame;
pub use group::{GroupDump, GroupSpec};
pub use host::{HostDump, HostSpec, Trial};
pub use install::Installed;
pub use link::AttachMode;
pub use overlay::OverlaySpec;
pub use pin::Pins;
pub use pressure::{Counted, Pressure};
pub use run::{Hook, HookProgram, ProgRun, TestPacket};
pub use tables::{DropCounter, FlowDump};
