//! What flows there are, by the rules of `bpf/README.md`, and which fragments belong together.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use porin_flow::{DropReason, TcpFlags};
use porin_identity::IdentityId;
use porin_policy::Direction;

use super::model::{Passage, Version};
use super::reading::{Packet, Plain, Quote, Read};

const NO_FLOW: DropReason = DropReason::UNKNOWN_CONNECTION_TRACKING_STATE;

/// An address with a port, or with what stands in its place.
type End = (IpAddr, u16);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    ends: [End; 2],
    protocol: u8,
    one_way: bool,
}

impl Plain {
    fn protocol(self) -> u8 {
        match self {
            Self::Ports { protocol, .. }
            | Self::Request { protocol, .. }
            | Self::Reply { protocol, .. }
            | Self::OneWay { protocol, .. }
            | Self::Portless { protocol } => protocol,
        }
    }

    /// As policy means it: the type of an ICMP message.
    fn port(self) -> Option<u16> {
        match self {
            Self::Ports { destination, .. } => Some(destination),
            Self::Request { protocol, .. } => Some(if protocol == 1 { 8 } else { 128 }),
            Self::Reply { protocol, .. } => Some(if protocol == 1 { 0 } else { 129 }),
            Self::OneWay { kind, .. } => Some(kind.into()),
            Self::Portless { .. } => None,
        }
    }

    /// What the flow was opened to, if this is an answer.
    fn opened(self) -> Option<u16> {
        match self {
            Self::Ports { source, .. } => Some(source),
            Self::Reply { protocol, .. } => Some(if protocol == 1 { 8 } else { 128 }),
            // No answers.
            Self::Request { .. } | Self::OneWay { .. } => self.port(),
            Self::Portless { .. } => None,
        }
    }

    /// The flow between these addresses, and whether the sender is its upper end.
    fn key(self, source: IpAddr, destination: IpAddr) -> (Key, bool) {
        let (from, to) = match self {
            Self::Ports {
                source,
                destination,
                ..
            } => (source, destination),
            Self::Request { id, .. } => (id, 0),
            Self::Reply { id, .. } => (0, id),
            Self::OneWay { kind, .. } => (kind.into(), u16::MAX),
            Self::Portless { .. } => (0, 0),
        };
        let (from, to) = ((source, from), (destination, to));
        let key = Key {
            ends: if from > to { [to, from] } else { [from, to] },
            protocol: self.protocol(),
            one_way: matches!(self, Self::OneWay { .. }),
        };
        (key, from > to)
    }

    /// What an answer is that nobody asked for.
    fn unasked(self) -> Self {
        match self {
            Self::Reply { protocol, .. } => Self::OneWay {
                protocol,
                kind: if protocol == 1 { 0 } else { 129 },
                code: 0,
                target: None,
            },
            other => other,
        }
    }
}

/// An allowance.
#[derive(Clone, Copy, Debug)]
struct Given {
    /// The state of things that it was given under.
    under: Version,
    /// Who the far end was.
    peer: IdentityId,
}

#[derive(Clone, Copy, Debug)]
struct Flow {
    /// Whether the upper end began.
    upper: bool,
    /// The number of the last change before it began: a flow is nothing to a younger endpoint.
    opened: u64,
    /// When the end that began, and the one that answers, were allowed last.
    sides: [Option<Given>; 2],
    answered: bool,
    finished: [bool; 2],
    reset: bool,
    /// Ticks of silence that it bears.
    left: i64,
}

impl Flow {
    fn is_ending(&self) -> bool {
        self.reset || self.finished != [false; 2]
    }

    fn touch(&mut self, protocol: u8, flags: TcpFlags, forward: bool) {
        self.answered |= !forward;
        self.finished[usize::from(!forward)] |= flags.contains(TcpFlags::FIN);
        self.reset |= flags.contains(TcpFlags::RST);
        self.left = match protocol {
            6 if self.reset || self.finished == [true; 2] => 9,
            6 if self.answered => 7450,
            _ => 56,
        };
    }
}

#[derive(Debug, Default)]
pub(crate) struct Flows {
    flows: HashMap<Key, Flow>,
}

impl Flows {
    pub(crate) fn clear(&mut self) {
        self.flows.clear();
    }

    /// So much silence, in ticks of 1.07 s.
    pub(crate) fn rest(&mut self, ticks: u32) {
        for flow in self.flows.values_mut() {
            flow.left -= i64::from(ticks);
        }
    }

    fn find(&self, key: &Key) -> Option<Flow> {
        let flow = self.flows.get(key).copied();
        flow.filter(|flow| flow.left >= 0)
    }

    /// Whether an ordinary packet passes, and as what it was judged.
    pub(crate) fn cross(
        &mut self,
        passage: &Passage<'_>,
        packet: &Packet,
        mut plain: Plain,
    ) -> Read<Plain> {
        let (mut key, mut upper) = plain.key(packet.source, packet.destination);
        let answers = |flow: Flow| flow.upper != upper;
        if !self.find(&key).is_some_and(answers) {
            plain = plain.unasked();
            (key, upper) = plain.key(packet.source, packet.destination);
        }
        let Some(mut flow) = self.find(&key) else {
            return self.begin(passage, packet, plain);
        };
        let forward = upper == flow.upper;
        let flags = flags(packet, plain);
        let syn = flags.contains(TcpFlags::SYN) && !flags.contains(TcpFlags::ACK);
        if syn && (!forward || flow.is_ending()) {
            return self.begin(passage, packet, plain);
        }
        let initiator = forward == (passage.direction == Direction::Egress);
        let side = usize::from(!initiator);
        let given = flow.sides[side];
        if flow.opened < passage.home.born {
            return self.begin(passage, packet, plain);
        }
        let peer = match (passage.peer(packet)?, given) {
            // Who masqueraded as the host is known as long as nothing changes.
            (IdentityId::HOST, Some(given))
                if passage.direction == Direction::Egress && given.under == passage.version() =>
            {
                given.peer
            }
            (peer, _) => peer,
        };
        match passage.rule(as_begun(initiator), peer, port(plain, forward)) {
            Ok(()) => {
                let under = passage.version();
                flow.sides[side] = Some(Given { under, peer });
                flow.touch(key.protocol, flags, forward);
                self.flows.insert(key, flow);
                Ok(plain)
            }
            Err(reason) if forward || given.is_some() => Err(reason),
            Err(_) => self.begin(passage, packet, plain),
        }
    }

    fn begin(&mut self, passage: &Passage<'_>, packet: &Packet, plain: Plain) -> Read<Plain> {
        let peer = passage.peer(packet)?;
        let plain = plain.unasked();
        passage.rule(passage.direction, peer, port(plain, true))?;
        let (key, upper) = plain.key(packet.source, packet.destination);
        let initiator = passage.direction == Direction::Egress;
        let under = passage.version();
        let mut flow = Flow {
            upper,
            opened: passage.now,
            sides: [initiator, !initiator].map(|own| own.then_some(Given { under, peer })),
            answered: false,
            finished: [false; 2],
            reset: false,
            left: 0,
        };
        flow.touch(key.protocol, flags(packet, plain), true);
        self.flows.insert(key, flow);
        Ok(plain)
    }

    /// An error passes with the flow that it is about, or as the message that it is.
    pub(crate) fn tell(
        &self,
        passage: &Passage<'_>,
        packet: &Packet,
        kind: u8,
        about: Read<Quote>,
    ) -> Read<()> {
        let peer = passage.peer(packet)?;
        let protocol = if packet.source.is_ipv4() { 1 } else { 58 };
        let related = about.and_then(|quote| self.relate(passage, packet, &quote));
        let judged = passage.rule(passage.direction, peer, (protocol, Some(kind.into())));
        match (related, judged) {
            (Ok(()), _) | (_, Ok(())) => Ok(()),
            (Err(amiss), Err(DropReason::POLICY_DENIED)) => Err(amiss),
            (Err(_), Err(reason)) => Err(reason),
        }
    }

    /// Whether a flow is meant of which the endpoint's policy allowed a packet since it last changed.
    fn relate(&self, passage: &Passage<'_>, packet: &Packet, quote: &Quote) -> Read<()> {
        let leaving = passage.direction == Direction::Egress;
        let to_its_sender = quote.source == packet.destination;
        let from_its_receiver = quote.destination == packet.source;
        if !to_its_sender || (leaving && !from_its_receiver) {
            return Err(NO_FLOW);
        }
        let (key, upper) = quote.plain.key(quote.source, quote.destination);
        let flow = self.find(&key).ok_or(NO_FLOW)?;
        // The endpoint that is told sent the packet; the one that complains was to receive it.
        let initiator = (upper == flow.upper) != leaving;
        let given = flow.sides[usize::from(!initiator)].ok_or(NO_FLOW)?;
        let in_force = given.under == passage.version();
        in_force.then_some(()).ok_or(NO_FLOW)
    }
}

/// The direction in which an endpoint's policy is asked about a flow.
fn as_begun(initiator: bool) -> Direction {
    if initiator {
        Direction::Egress
    } else {
        Direction::Ingress
    }
}

/// Behind the first fragment there are none.
fn flags(packet: &Packet, plain: Plain) -> TcpFlags {
    match plain {
        // It begins, and never answers.
        Plain::Request { .. } => TcpFlags::SYN,
        _ if packet.message.is_none() => TcpFlags::NONE,
        Plain::Ports { flags, .. } => flags,
        _ => TcpFlags::NONE,
    }
}

fn port(plain: Plain, forward: bool) -> (u8, Option<u16>) {
    let port = if forward {
        plain.port()
    } else {
        plain.opened()
    };
    (plain.protocol(), port)
}

/// What the fragments of a datagram have in common.
type Datagram = (IpAddr, IpAddr, (u32, u8));

/// Which packets behind the first fragment of a datagram are to be judged like it.
#[derive(Debug, Default)]
pub(crate) struct Fragments {
    first: HashMap<Datagram, (Plain, Instant)>,
}

impl Fragments {
    /// Surely remembered; 30 s are promised.
    const FRESH: Duration = Duration::from_secs(20);
    /// Surely forgotten.
    const STALE: Duration = Duration::from_secs(40);

    pub(crate) fn remember_first(&mut self, packet: &Packet, judged: &Read<Plain>) {
        if let Ok(plain) = judged
            && packet.first
        {
            let key = (packet.source, packet.destination, packet.datagram);
            self.first.insert(key, (*plain, Instant::now()));
        }
    }

    /// As what a later fragment is judged; `None` if that is a matter of seconds.
    pub(crate) fn recall(&self, packet: &Packet) -> Option<Read<Plain>> {
        let lost = DropReason::FIRST_LOGICAL_DATAGRAM_FRAGMENT_NOT_FOUND;
        let key = (packet.source, packet.destination, packet.datagram);
        match self.first.get(&key) {
            None => Some(Err(lost)),
            Some((_, at)) if at.elapsed() > Self::STALE => Some(Err(lost)),
            Some((_, at)) if at.elapsed() > Self::FRESH => None,
            Some((plain, _)) => Some(Ok(*plain)),
        }
    }
}
