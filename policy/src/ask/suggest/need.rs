//! What recorded flows need.

use std::collections::BTreeSet;
use std::net::IpAddr;

use porin_identity::IdentityId;

use crate::ask::{Census, Party, PartyKind};
use crate::peers::Entity;
use crate::{AllowLocalhost, Direction, Protocol};

/// One thing that has to be allowed: a subject, in a direction, with a peer, on a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Need {
    pub(super) subject: IdentityId,
    pub(super) direction: Direction,
    pub(super) peer: PeerKey,
    pub(super) port: (Protocol, u16),
}

/// A peer by what a rule can name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum PeerKey {
    Workload(IdentityId),
    Entity(Entity),
    Address(IpAddr),
}

impl PeerKey {
    /// What a rule can call a party. An address outside of the cluster is the narrowest name.
    pub(super) fn of(party: &Party, address: Option<IpAddr>) -> Option<Self> {
        match party.kind {
            PartyKind::Workload => Some(Self::Workload(party.identity)),
            PartyKind::Node => Some(Self::Entity(Entity::RemoteNode)),
            PartyKind::Entity => entity(party.identity).map(Self::Entity),
            PartyKind::Outside => address.map(Self::Address),
            PartyKind::Unlisted => None,
        }
    }
}

fn entity(identity: IdentityId) -> Option<Entity> {
    Some(match identity {
        IdentityId::HOST => Entity::Host,
        IdentityId::REMOTE_NODE => Entity::RemoteNode,
        IdentityId::KUBE_APISERVER => Entity::KubeApiserver,
        IdentityId::HEALTH => Entity::Health,
        IdentityId::INGRESS => Entity::Ingress,
        IdentityId::INIT => Entity::Init,
        IdentityId::UNMANAGED => Entity::Unmanaged,
        _ => return None,
    })
}

/// Collects the needs of both ends of a flow.
pub(super) fn add(
    needs: &mut BTreeSet<Need>,
    census: &Census,
    [from, to]: [(&Party, Option<IpAddr>); 2],
    port: (Protocol, u16),
    directions: &[Direction],
) {
    for direction in directions {
        let (subject, (peer, address)) = match direction {
            Direction::Ingress => (to.0, from),
            Direction::Egress => (from.0, to),
        };
        let Some(peer) = PeerKey::of(peer, address).filter(|_| subject.is_guarded()) else {
            continue;
        };
        let local = peer == PeerKey::Entity(Entity::Host) && *direction == Direction::Ingress;
        if local && census.options().allow_localhost == AllowLocalhost::Always {
            continue;
        }
        needs.insert(Need {
            subject: subject.identity,
            direction: *direction,
            peer,
            port,
        });
    }
}
