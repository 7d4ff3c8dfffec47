//! Flows: what happened to a packet, who was at both ends, which rule decided and why.

mod drop_reason;
mod error;
mod observation;
mod time;
mod tuple;

pub use drop_reason::DropReason;
pub use error::{ParseDropReasonError, ParseTimestampError};
pub use observation::{EndpointId, Observation, ObservationKind, Outcome, PolicyMatch};
pub use time::{CompactTime, Timestamp};
pub use tuple::{Icmp, TcpFlags, Tuple};
