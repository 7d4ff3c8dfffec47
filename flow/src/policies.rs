//! Which policies stand behind a verdict.

use std::sync::Arc;

use porin_policy::Direction;

/// A policy as a flow names it: Hubble's `flow.Policy`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct PolicyRef {
    /// Kind of the document, such as `CiliumNetworkPolicy`.
    pub kind: Arc<str>,
    /// Namespace; empty for cluster-wide kinds.
    pub namespace: Arc<str>,
    /// Name within kind and namespace.
    pub name: Arc<str>,
    /// Labels of the policy, as written.
    pub labels: Vec<Arc<str>>,
    /// Revision of the policy set that the verdict was made with; 0 when unknown.
    pub revision: u64,
}

impl PolicyRef {
    /// A reference to a policy without labels, as of `revision`.
    #[must_use]
    pub fn new(kind: &str, namespace: Option<&str>, name: &str, revision: u64) -> Self {
        Self {
            kind: Arc::from(kind),
            namespace: Arc::from(namespace.unwrap_or_default()),
            name: Arc::from(name),
            labels: Vec::new(),
            revision,
        }
    }
}

/// The policies of a flow, by direction and by what they did.
///
/// A policy that switched default deny on stands in the `denied` list of its direction when no
/// rule allowed the packet: the question "who denied it" has an answer there, too.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Policies {
    /// Allowed what leaves.
    pub egress_allowed: Vec<Arc<PolicyRef>>,
    /// Allowed what comes in.
    pub ingress_allowed: Vec<Arc<PolicyRef>>,
    /// Denied what leaves.
    pub egress_denied: Vec<Arc<PolicyRef>>,
    /// Denied what comes in.
    pub ingress_denied: Vec<Arc<PolicyRef>>,
}

impl Policies {
    /// The list of one direction: of those that denied, or of those that allowed.
    #[must_use]
    pub fn list(&self, direction: Direction, denied: bool) -> &[Arc<PolicyRef>] {
        match (direction, denied) {
            (Direction::Egress, false) => &self.egress_allowed,
            (Direction::Ingress, false) => &self.ingress_allowed,
            (Direction::Egress, true) => &self.egress_denied,
            (Direction::Ingress, true) => &self.ingress_denied,
        }
    }

    pub(crate) fn list_mut(
        &mut self,
        direction: Direction,
        denied: bool,
    ) -> &mut Vec<Arc<PolicyRef>> {
        match (direction, denied) {
            (Direction::Egress, false) => &mut self.egress_allowed,
            (Direction::Ingress, false) => &mut self.ingress_allowed,
            (Direction::Egress, true) => &mut self.egress_denied,
            (Direction::Ingress, true) => &mut self.ingress_denied,
        }
    }
}
