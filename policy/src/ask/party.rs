use std::fmt;
use std::sync::Arc;

use porin_identity::IdentityId;

use crate::world::WorkloadPort;

/// Somebody who can be asked about.
///
/// Its text is its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Party {
    /// As it is shown: `namespace/name`, a name from the world file, an address or an entity.
    pub name: Arc<str>,
    /// Who it is to policies; [`IdentityId::UNKNOWN`] for [`PartyKind::Unlisted`].
    pub identity: IdentityId,
    /// What it is.
    pub kind: PartyKind,
    /// What it listens on, as far as the world file says.
    pub ports: Arc<[WorkloadPort]>,
}

/// What a [`Party`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PartyKind {
    /// A workload: policies guard it.
    Workload,
    /// A node of the world file.
    Node,
    /// What has a reserved identity.
    Entity,
    /// A range or an address outside of the cluster.
    Outside,
    /// Whoever is not in the census.
    Unlisted,
}

impl Party {
    pub(crate) fn new(name: impl Into<Arc<str>>, identity: IdentityId, kind: PartyKind) -> Self {
        Self {
            name: name.into(),
            identity,
            kind,
            ports: Arc::default(),
        }
    }

    /// Whoever is not in the census: the peer that no selector picks, as far as anybody knows.
    #[must_use]
    pub fn unlisted() -> Self {
        Self::new("anybody else", IdentityId::UNKNOWN, PartyKind::Unlisted)
    }

    /// Whether policies can guard it.
    #[must_use]
    pub fn is_guarded(&self) -> bool {
        self.kind == PartyKind::Workload
    }
}

impl fmt::Display for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.name)
    }
}
