//! The loop closed: labels and policies in, enforcement in the kernel and flows out.
//!
//! An [`Enforcer`] owns the registry of identities, the policy set, the prefix table, the datapath
//! and the flow builder of one node, and keeps them in step:
//!
//! * An endpoint passes no packet before its identity, its addresses and its policy are in place.
//! * A change of policies is one transaction. A set that is wrong in any place, or that does not
//!   fit the kernel's tables, changes nothing.
//! * Every block of addresses that a policy names has an identity, known to the tables of all
//!   endpoints, before a packet can carry it.
//! * Endpoints with equal labels share an identity, unless a rule in force tells them apart by their
//!   addresses or by what they call their ports; then each has one of its own, which every table
//!   knows before it is used.
//! * The node itself is under the rules that select nodes only if it was asked for
//!   ([`Builder::host`]), and a policy that cuts the node off can be made to revert by itself.
//! * Identities are derived from labels, so a process that starts after one that was killed finds
//!   its own numbers in the pinned tables and takes them over without a gap.
//!
//! It has no thread and no clock of its own: [`Enforcer::wait`] delivers flows when it is called,
//! and times are durations since an epoch that the caller chooses and keeps.

mod apart;
mod attribution;
mod blocks;
mod builder;
mod core;
mod endpoints;
mod error;
mod events;
mod host;
mod policies;
mod spec;

pub use self::core::Enforcer;
pub use builder::Builder;
pub use error::{CloseError, EndpointError, OpenError, PolicyError};
pub use host::HostSpec;
pub use spec::EndpointSpec;
