//! A node as it should be: who lives there, who is behind which address, and what may pass now.
//!
//! Every packet is judged anew; nothing is kept of an earlier judgement but that there was one.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};

use ipnet::IpNet;
use porin_flow::{DropReason, EndpointId};
use porin_identity::IdentityId;
use porin_policy::{
    AuthMode, Direction, EntryAction, MapState, Protocol, Query, Redirect, RuleCookie,
};

use super::flows::{Flows, Fragments};
use super::reading::{Message, Packet, Plain, Read, Reading, read};

/// One endpoint.
#[derive(Clone, Debug)]
pub(crate) struct Home {
    pub(crate) identity: IdentityId,
    pub(crate) addresses: Vec<IpAddr>,
    /// The number of the change that brought it.
    pub(crate) born: u64,
    pub(crate) ready: bool,
    pub(crate) lease_is_over: bool,
    pub(crate) policy: Option<MapState>,
    /// The number of the change that brought its policy.
    pub(crate) version: u64,
}

/// What an allowance depends on, by the numbers of the last changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Version {
    pub(crate) policy: u64,
    addresses: u64,
}

/// What must become of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Passes,
    Dropped(DropReason),
    /// Only the clock knows.
    Uncertain,
}

impl From<Read<()>> for Fate {
    fn from(read: Read<()>) -> Self {
        read.map_or_else(Self::Dropped, |()| Self::Passes)
    }
}

/// Who lives on the node and who beyond it.
#[derive(Debug, Default)]
pub(crate) struct Land {
    pub(crate) homes: BTreeMap<EndpointId, Home>,
    pub(crate) prefixes: BTreeMap<IpNet, IdentityId>,
    /// The number of the last change of anybody's address or name.
    pub(crate) version: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Model {
    pub(crate) land: Land,
    pub(crate) flows: Flows,
    pub(crate) fragments: Fragments,
    /// How many changes there were.
    pub(crate) changes: u64,
}

/// In a mark: the sender's hook has judged for the receiver, and the hash of the packet proves it.
pub(crate) const PROVEN: u32 = 0x20;

/// The mark of a packet that an endpoint of this identity sent.
pub(crate) fn mark_of(identity: IdentityId) -> u32 {
    let number = identity.get();
    number << 8 | 0x5e | (number >> 24 & 1)
}

fn identity_of(mark: u32) -> IdentityId {
    IdentityId::new(mark >> 8 | (mark & 1) << 24)
}

/// A packet's passage of the hook of an endpoint.
pub(crate) struct Passage<'a> {
    land: &'a Land,
    pub(crate) home: &'a Home,
    /// Egress: it leaves the endpoint.
    pub(crate) direction: Direction,
    /// 0: none of ours.
    mark: u32,
    pub(crate) now: u64,
}

impl Model {
    /// What becomes of a frame that leaves `id`, or goes to it; flows and fragments follow.
    pub(crate) fn judge(
        &mut self,
        direction: Direction,
        id: EndpointId,
        frame: &[u8],
        mark: u32,
    ) -> Fate {
        let Some(home) = self.land.homes.get(&id) else {
            return Fate::Dropped(DropReason::UNKNOWN_ENDPOINT);
        };
        if !home.ready {
            return Fate::Dropped(DropReason::NOT_READY);
        }
        let passage = Passage {
            land: &self.land,
            home,
            direction,
            now: self.changes,
            mark: match mark & !PROVEN {
                // An endpoint's, or a group's of processes on the node.
                mark if matches!(mark & 0xfe, 0x5e | 0x5a) => mark,
                _ => 0,
            },
        };
        let packet = match read(frame) {
            Err(reason) => return Fate::Dropped(reason),
            Ok(_) if home.lease_is_over => return Fate::Dropped(DropReason::LEASE_EXPIRED),
            Ok(Reading::Arp(message)) => return passage.arp(message).into(),
            Ok(Reading::Ip(packet)) => packet,
        };
        if let Some(settled) = passage.of_the_link(&packet) {
            return settled.into();
        }
        if let Err(reason) = passage.bears_its_address(&packet) {
            return Fate::Dropped(reason);
        }
        match packet.message.clone() {
            Some(Message::Error(kind, about)) => {
                self.flows.tell(&passage, &packet, kind, about).into()
            }
            Some(Message::Plain(plain)) => {
                let judged = self.flows.cross(&passage, &packet, plain);
                self.fragments.remember_first(&packet, &judged);
                judged.map(drop).into()
            }
            None => {
                let Some(first) = self.fragments.recall(&packet) else {
                    return Fate::Uncertain;
                };
                let judged = first.and_then(|plain| self.flows.cross(&passage, &packet, plain));
                self.fragments.remember_first(&packet, &judged);
                judged.map(drop).into()
            }
        }
    }
}

impl Passage<'_> {
    fn leaves(&self) -> bool {
        self.direction == Direction::Egress
    }

    fn owns(&self, address: IpAddr) -> bool {
        self.home.addresses.contains(&address)
    }

    fn bears_its_address(&self, packet: &Packet) -> Read<()> {
        match self.direction {
            Direction::Egress if !self.owns(packet.source) => Err(DropReason::INVALID_SOURCE_IP),
            Direction::Ingress if !self.owns(packet.destination) => {
                Err(DropReason::UNKNOWN_L3_TARGET_ADDRESS)
            }
            _ => Ok(()),
        }
    }

    fn arp(&self, message: Option<(u16, std::net::Ipv4Addr)>) -> Read<()> {
        if !self.leaves() {
            return Ok(());
        }
        let (operation, sender) = message.ok_or(DropReason::INVALID_PACKET_DROPPED)?;
        let probes = sender.is_unspecified() && operation == 1;
        let honest = probes || (!sender.is_unspecified() && self.owns(sender.into()));
        honest.then_some(()).ok_or(DropReason::ARP_SPOOFED)
    }

    /// Neighbour discovery and listener reports, which ask no policy; `None` for all else.
    fn of_the_link(&self, packet: &Packet) -> Option<Read<()>> {
        let Some(Message::Plain(Plain::OneWay {
            kind, code, target, ..
        })) = packet.message
        else {
            return None;
        };
        let (IpAddr::V6(source), IpAddr::V6(destination)) = (packet.source, packet.destination)
        else {
            return None;
        };
        let known = matches!(kind, 130..=137 | 143);
        if !known || code != 0 || packet.first {
            return None;
        }
        let hops = if (133..=137).contains(&kind) { 255 } else { 1 };
        let near = packet.hop_limit == hops;
        if !self.leaves() {
            let here = self.owns(packet.destination)
                || destination.is_unicast_link_local()
                || on_every_link(destination);
            return (here && near).then(|| self.sender(packet).map(drop));
        }
        let own = self.owns(packet.source) || source.is_unicast_link_local();
        let reaches = match hops {
            1 => on_every_link(destination),
            _ => self.on_link(destination),
        };
        match kind {
            130 | 134 | 137 => Some(Err(DropReason::FORBIDDEN_ICMPV6_MESSAGE)),
            136 => {
                let speaks_for_itself = |target: Ipv6Addr| {
                    let honest = target.is_unicast_link_local() || self.owns(target.into());
                    honest.then_some(()).ok_or(DropReason::ARP_SPOOFED)
                };
                let truncated = Err(DropReason::CT_TRUNCATED_OR_INVALID_HEADER);
                (own && near && reaches).then(|| target.map_or(truncated, speaks_for_itself))
            }
            _ => ((own || source.is_unspecified()) && near && reaches).then_some(Ok(())),
        }
    }

    fn on_link(&self, address: Ipv6Addr) -> bool {
        let (owner, local) = self.land.owner(address.into());
        address.is_unicast_link_local()
            || on_every_link(address)
            || local
            || owner == IdentityId::HOST
    }

    /// Whom the far end is, or why the packet cannot be its.
    pub(crate) fn peer(&self, packet: &Packet) -> Read<IdentityId> {
        match self.direction {
            Direction::Egress => Ok(self.land.owner(packet.destination).0),
            Direction::Ingress => self.sender(packet),
        }
    }

    pub(crate) fn version(&self) -> Version {
        Version {
            policy: self.home.version,
            addresses: self.land.version,
        }
    }

    fn sender(&self, packet: &Packet) -> Read<IdentityId> {
        let (owner, local) = self.land.owner(packet.source);
        match self.mark {
            0 if local => Err(DropReason::INVALID_SOURCE_IP),
            mark if local && mark != mark_of(owner) => Err(DropReason::INVALID_IDENTITY),
            mark if !local && owner == IdentityId::HOST && mark != 0 => Ok(identity_of(mark)),
            _ => Ok(owner),
        }
    }

    /// What the policy says of a flow that begins in `direction`.
    pub(crate) fn rule(
        &self,
        direction: Direction,
        peer: IdentityId,
        (protocol, port): (u8, Option<u16>),
    ) -> Read<()> {
        let query = Query {
            direction,
            peer,
            protocol: Protocol::new(protocol),
            // Nobody names it: entries for some port say nothing of a packet without one.
            port: port.unwrap_or(u16::MAX),
        };
        let policy = self.home.policy.as_ref();
        let found = policy.and_then(|policy| policy.lookup(&query));
        let reason = match found.map(|(_, entry)| entry) {
            Some(entry) if entry.action == EntryAction::Deny => {
                if entry.cookie != RuleCookie::NONE {
                    return Err(DropReason::POLICY_DENY);
                }
                DropReason::POLICY_DENIED
            }
            Some(entry) if entry.auth != AuthMode::Disabled => DropReason::AUTH_REQUIRED,
            Some(entry) => match entry.action {
                EntryAction::Redirect(Redirect {
                    unrestricted: false,
                    ..
                }) => DropReason::L7_WITHOUT_PROXY,
                _ => return Ok(()),
            },
            None => DropReason::POLICY_DENIED,
        };
        if port.is_none() && reason == DropReason::POLICY_DENIED {
            return Err(DropReason::UNKNOWN_L4_PROTOCOL);
        }
        Err(reason)
    }
}

/// ff02::/16.
fn on_every_link(address: Ipv6Addr) -> bool {
    address.segments()[0] == 0xff02
}

impl Land {
    /// Whose an address is, and whether he lives here.
    fn owner(&self, address: IpAddr) -> (IdentityId, bool) {
        let local = |home: &&Home| home.addresses.contains(&address);
        if let Some(home) = self.homes.values().find(local) {
            return (home.identity, true);
        }
        let covering = self
            .prefixes
            .iter()
            .filter(|(net, _)| net.contains(&address));
        let longest = covering.max_by_key(|(net, _)| net.prefix_len());
        let outside = match address {
            IpAddr::V4(_) => IdentityId::WORLD_IPV4,
            IpAddr::V6(address) if address.is_unicast_link_local() => IdentityId::HOST,
            IpAddr::V6(_) => IdentityId::WORLD_IPV6,
        };
        (longest.map_or(outside, |(_, identity)| *identity), false)
    }
}
