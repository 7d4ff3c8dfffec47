//! Who stands at an end of a flow.

use std::sync::Arc;

use porin_identity::{IdentityId, Labels};

use crate::observation::EndpointId;

/// One end of a flow: Hubble's `flow.Endpoint`.
///
/// Shared between all flows of the same party; cloning a flow copies no text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Endpoint {
    /// Number on its node; [`EndpointId::NONE`] when it is not local.
    pub id: EndpointId,
    /// The identity that judged.
    pub identity: IdentityId,
    /// Labels of that identity.
    pub labels: Labels,
    /// Namespace, if it has one.
    pub namespace: Option<Arc<str>>,
    /// Name of the workload instance, without the namespace: Hubble's `pod_name`.
    pub name: Option<Arc<str>>,
    /// The cluster it belongs to.
    pub cluster: Option<Arc<str>>,
    /// What owns the instance.
    pub owners: Vec<Owner>,
}

impl Endpoint {
    /// An end of which only the identity is known; the namespace is taken from its labels.
    #[must_use]
    pub fn of_identity(identity: IdentityId, labels: Labels) -> Self {
        let namespace = labels.namespace().map(Arc::from);
        Self {
            identity,
            labels,
            namespace,
            ..Self::default()
        }
    }
}

/// What owns a workload instance: Hubble's `flow.Workload`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Owner {
    /// Name.
    pub name: Arc<str>,
    /// Kind, such as `Deployment`; may be empty.
    pub kind: Arc<str>,
}

/// A service that owns an address: Hubble's `flow.Service`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Service {
    /// Name.
    pub name: Arc<str>,
    /// Namespace; may be empty.
    pub namespace: Arc<str>,
}
