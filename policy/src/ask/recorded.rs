//! Flows that were observed, as far as policies are concerned.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use porin_identity::{IdentityId, Labels, source};

use super::census::{Census, entity};
use super::error::AskError;
use super::party::{Party, PartyKind};
use super::place::{Place, fits};
use crate::{Direction, PolicySet, Protocol, Verdict};

/// A flow that was observed: who opened a connection to whom, and what a policy said about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// Who opened the connection.
    pub source: RecordedEnd,
    /// Who was to accept it.
    pub destination: RecordedEnd,
    /// The protocol.
    pub protocol: Protocol,
    /// The destination port; for ICMP the message type.
    pub port: u16,
    /// Whose policy judged: that of the destination (ingress) or of the source (egress); `None` if
    /// the record does not say, and then both are asked.
    pub direction: Option<Direction>,
    /// What it said.
    pub verdict: Verdict,
}

/// One end of a [`Recorded`] flow, as far as the record knows it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RecordedEnd {
    /// Its labels at that time.
    pub labels: Labels,
    /// Its number at that time; only the reserved ones mean something elsewhere.
    pub identity: IdentityId,
    /// Its address.
    pub address: Option<IpAddr>,
    /// `namespace/name`.
    pub name: Option<Box<str>>,
    /// The DNS names of its address.
    pub dns_names: Vec<Box<str>>,
}

/// Why nobody can say what policies make of a recorded flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Unjudged {
    /// It answers: the connection was judged when it was opened.
    Reply,
    /// The record has no protocol and port.
    NoPort,
    /// The record has no verdict of a policy: it traces a packet.
    NoVerdict,
    /// The packet was dropped for another reason than policy.
    OtherReason,
    /// Nobody knows who opened the connection.
    UnknownSource,
    /// Nobody knows who was to accept it.
    UnknownDestination,
    /// Whoever judged is no workload.
    NoSubject,
}

impl fmt::Display for Unjudged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Reply => "answers, whose connections were judged before",
            Self::NoPort => "no protocol and port in the record",
            Self::NoVerdict => "no verdict in the record",
            Self::OtherReason => "dropped for another reason than policy",
            Self::UnknownSource => "unknown source: no labels, and not in the world",
            Self::UnknownDestination => "unknown destination: no labels, and not in the world",
            Self::NoSubject => "judged by no workload's policy",
        })
    }
}

impl std::error::Error for Unjudged {}

/// Entities by their reserved labels, the most telling first.
const ENTITIES: [IdentityId; 7] = [
    IdentityId::KUBE_APISERVER,
    IdentityId::HOST,
    IdentityId::INGRESS,
    IdentityId::HEALTH,
    IdentityId::REMOTE_NODE,
    IdentityId::INIT,
    IdentityId::UNMANAGED,
];

impl RecordedEnd {
    fn is_outside(&self) -> bool {
        let world = [
            IdentityId::WORLD,
            IdentityId::WORLD_IPV4,
            IdentityId::WORLD_IPV6,
        ];
        let mut labels = self.labels.iter();
        world.contains(&self.identity)
            || labels.any(|label| {
                let reserved = label.source() == source::RESERVED;
                label.source() == source::CIDR || (reserved && label.key().starts_with("world"))
            })
    }

    fn entity(&self) -> Option<IdentityId> {
        let is = |entity: &IdentityId| {
            let name = entity.reserved_name();
            *entity == self.identity || name.is_some_and(|name| self.labels.reserved(name))
        };
        ENTITIES.into_iter().find(is)
    }

    fn address(&self) -> Option<IpAddr> {
        let block = self.labels.blocks().max_by_key(IpNet::prefix_len);
        self.address.or_else(|| block.map(|block| block.addr()))
    }
}

impl Census {
    /// Counts the ends of a recorded flow whom nobody has heard of: workloads by their labels, and
    /// addresses by the DNS names of which rules speak. Before a [`Model`](super::Model) is made.
    ///
    /// # Errors
    /// [`AskError::Allocate`].
    pub fn admit_recorded(&mut self, flow: &Recorded, sets: &[&PolicySet]) -> Result<(), AskError> {
        for end in [&flow.source, &flow.destination] {
            if end.labels.namespace().is_some() {
                let identity = self.admit(&end.labels)?;
                if !self.workloads().any(|party| party.identity == identity) {
                    let name = end
                        .name
                        .as_deref()
                        .map_or_else(|| end.labels.to_string(), str::to_owned);
                    let party = Party::new(name, identity, PartyKind::Workload);
                    self.parties.push(party);
                }
            }
            self.admit_names(end, sets)?;
        }
        Ok(())
    }

    fn admit_names(&mut self, end: &RecordedEnd, sets: &[&PolicySet]) -> Result<(), AskError> {
        let Some(address) = end.address.filter(|_| end.is_outside()) else {
            return Ok(());
        };
        let spoken_of = |name: &str| {
            let mut peers = sets.iter().flat_map(|set| set.fqdns());
            peers.any(|peer| fits(peer, name))
        };
        let names = end.dns_names.iter().filter(|name| spoken_of(name));
        let names: Vec<Box<str>> = names.cloned().collect();
        if names.is_empty() {
            return Ok(());
        }
        let block = IpNet::from(address);
        if let Some(place) = self.places.iter_mut().find(|place| place.block == block) {
            place.names.extend(names);
            return Ok(());
        }
        let identity = self.identities.intern_local(block, [])?.id;
        let place = Place {
            block,
            identity,
            names,
        };
        self.places.insert(0, place);
        Ok(())
    }

    /// Who an end of a recorded flow is; `None` if nobody knows.
    #[must_use]
    pub fn end(&self, end: &RecordedEnd) -> Option<Party> {
        if end.labels.namespace().is_some() {
            // Who is told apart by address has more labels than a record shows.
            let owner = end.address.map(|address| self.at(address));
            let same = |party: &Party| {
                let own = self.labels(party.identity);
                own.is_some_and(|own| {
                    end.labels
                        .iter()
                        .all(|label| own.iter().any(|one| one == label))
                })
            };
            if let Some(party) = owner.filter(|party| party.is_guarded() && same(party)) {
                return Some(party);
            }
            let identity = self.find(&end.labels)?;
            let mut known = self.workloads();
            return known.find(|party| party.identity == identity).cloned();
        }
        if let Some(identity) = end.entity() {
            return Some(entity(identity));
        }
        let address = end.address()?;
        let party = self.at(address);
        let known = party.kind != PartyKind::Outside || end.is_outside();
        (known || self.is_in_range(address)).then_some(party)
    }
}

impl Default for Recorded {
    /// A TCP flow of port 0 between nobody and nobody, allowed.
    fn default() -> Self {
        Self {
            source: RecordedEnd::default(),
            destination: RecordedEnd::default(),
            protocol: Protocol::TCP,
            port: 0,
            direction: None,
            verdict: Verdict::Allow,
        }
    }
}
