//! Flows: what happened to a packet, who was at both ends, which rule decided and why.
//!
//! The datapath reports an [`Observation`]: numbers only. A [`FlowBuilder`] puts names, labels and
//! policies to the numbers and makes a [`Flow`], which prints as the line of `hubble observe` and
//! as its JSON. [`Filters`] choose flows as Hubble's filters do; a [`Ring`] keeps the newest and
//! tells every reader exactly what it missed.
//!
//! The schema that is followed is `flow.proto` of Hubble 1.19; [`Flow`] has the mapping.

mod builder;
mod compact;
mod drop_reason;
mod endpoint;
mod error;
mod escape;
mod event;
mod filter;
mod flow;
mod json;
mod observation;
mod policies;
mod recorded;
mod ring;
mod time;
mod totals;
mod transport;
mod tuple;

pub use builder::{Attributed, Attribution, FlowBuilder};
pub use compact::Compact;
pub use drop_reason::DropReason;
pub use endpoint::{Endpoint, Owner, Service};
pub use error::{
    FilterError, ParseDropReasonError, ParseTimestampError, ReadFlowError, ReadFlowErrorKind,
};
pub use escape::Escaped;
pub use event::{AuthType, EventType, FlowKind, FlowVerdict, TraceReason};
pub use filter::{Filter, Filters, PodPattern, Side, parse_selector};
pub use flow::{Addresses, Extra, Flow};
pub use observation::{EndpointId, Observation, ObservationKind, Outcome, PolicyMatch};
pub use policies::{Policies, PolicyRef};
pub use ring::{Read, Reader, Ring};
pub use time::{CompactTime, Timestamp};
pub use totals::{Totals, Traffic};
pub use transport::Transport;
pub use tuple::{Icmp, TcpFlags, Tuple};
