//! What can go wrong, by who has to act.

use std::net::IpAddr;

use crate::datapath::{ApplyError, AttachError, LoadError};
use crate::flow::EndpointId;
use crate::identity::{AllocateError, PrefixError};
use crate::policy::ResolveError;

/// The enforcer cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The kernel side cannot be loaded or adopted.
    #[error("cannot load the datapath")]
    Load(#[from] LoadError),
    /// The addresses of the node cannot be written.
    #[error("cannot write the addresses of the node")]
    Apply(#[from] ApplyError),
    /// The addresses of the node contradict each other.
    #[error("cannot claim the addresses of the node")]
    Prefix(#[from] PrefixError),
}

/// An endpoint cannot be added, changed or removed. Whatever was in force before the call is in
/// force after it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EndpointError {
    /// No endpoint has this number.
    #[error("endpoint {id} does not exist")]
    Unknown {
        /// The number.
        id: EndpointId,
    },
    /// The device leads to an endpoint already.
    #[error(
        "device {ifindex} of endpoint `{endpoint}` belongs to endpoint `{owner}`; remove that first"
    )]
    DeviceTaken {
        /// The endpoint that was to be added.
        endpoint: String,
        /// The index of the device.
        ifindex: u32,
        /// The endpoint that has the device.
        owner: String,
    },
    /// The address belongs to an endpoint already.
    #[error(
        "address {address} of endpoint `{endpoint}` belongs to endpoint `{owner}`; remove that first"
    )]
    AddressTaken {
        /// The endpoint that was to be added.
        endpoint: String,
        /// The address.
        address: IpAddr,
        /// The endpoint that has the address.
        owner: String,
    },
    /// Its labels get no identity.
    #[error("no identity for endpoint `{endpoint}`")]
    Identity {
        /// The endpoint.
        endpoint: String,
        /// Why.
        source: AllocateError,
    },
    /// Its device cannot be attached or detached.
    #[error("cannot attach or detach endpoint `{endpoint}`")]
    Attach {
        /// The endpoint.
        endpoint: String,
        /// Why.
        source: AttachError,
    },
    /// A policy cannot be computed.
    #[error("cannot compute the policy of an endpoint")]
    Resolve(#[from] ResolveError),
    /// The kernel's tables do not take it.
    #[error("cannot write the tables")]
    Apply(#[from] ApplyError),
    /// Its address cannot be claimed.
    #[error("cannot claim the addresses of an endpoint")]
    Prefix(#[from] PrefixError),
}

/// A policy set cannot be put in force; the one before it stays.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// The documents are wrong. The source names file, line and reason of each.
    #[error("the policies are refused")]
    Refused(#[source] crate::policy::LoadError),
    /// A block of addresses gets no identity.
    #[error("no identity for a block of addresses")]
    Identity(#[from] AllocateError),
    /// A block cannot be claimed.
    #[error("cannot claim a block of addresses")]
    Prefix(#[from] PrefixError),
    /// Endpoints with equal labels cannot be told apart as the new rules do.
    #[error("cannot tell endpoints apart by address")]
    Apart(#[source] EndpointError),
    /// A policy cannot be computed.
    #[error("cannot compute the policy of an endpoint")]
    Resolve(#[from] ResolveError),
    /// The kernel's tables do not take it.
    #[error("cannot write the tables")]
    Apply(#[from] ApplyError),
    /// The host cannot be put under its policy.
    #[error("cannot put the host under its policy")]
    Host(#[source] AttachError),
    /// The new set is in force, and blocks that nobody names any more cannot be removed, or endpoints
    /// that nothing tells apart any more cannot share an identity again.
    #[error(
        "the new policies are in force, but blocks and identities that they do not need any more cannot be removed"
    )]
    Leftover(#[source] EndpointError),
}

/// The kernel side cannot be taken back completely.
#[derive(Debug, thiserror::Error)]
#[error("cannot take the datapath back")]
pub struct CloseError(#[from] AttachError);
