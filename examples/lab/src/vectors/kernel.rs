//! The kernel program itself, given one packet per flow under `BPF_PROG_TEST_RUN`.
//!
//! Every subject of a batch has an endpoint, at a device in a network namespace of its own; every
//! peer has an address that the datapath was told its identity of. Policies come into force as on a
//! node, those of a batch in one step.

use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::IpNet;
use porin::datapath::{Config, Datapath, EndpointSpec, Events, Frame, Hook, Limits, TestPacket};
use porin::flow::{DropReason, EndpointId, Outcome, TcpFlags};
use porin::identity::IdentityId;
use porin::policy::{AuthMode, Direction, EndpointPolicy, Parser, Protocol, Query, Redirect};
use porin_testbed::Namespace;

use super::Fault;
use super::answer::Answer;
use crate::failure::Failure;

/// The most subjects of one batch.
const SUBJECTS: usize = 16;
/// Whom a subject is for the kernel: its own policy does not depend on it, and the host has none
/// that a device could carry.
const SUBJECT: IdentityId = IdentityId::new(0xff_fffe);

/// Where the ports of senders begin; each flow of a case has one of its own.
const FIRST_PORT: u16 = 10_000;

/// Questions about one subject: its policy, and what is asked.
pub(crate) type Batch<'a> = [(&'a EndpointPolicy, &'a [Query])];

/// A loaded datapath in a namespace of its own.
pub(crate) struct Kernel {
    namespace: Namespace,
    /// Holds the other ends of the devices.
    peer: Namespace,
    datapath: Datapath,
    events: Events,
    /// The devices of the endpoints, by their places.
    devices: Vec<u32>,
    /// Whose each address is, by its number.
    owners: Vec<IdentityId>,
}

impl Kernel {
    /// Loads the programs; says what is missing if that cannot be done.
    pub(crate) fn load() -> Result<Self, Failure> {
        porin_testbed::privileges().map_err(failure)?;
        let namespace = Namespace::new().map_err(failure)?;
        let peer = Namespace::new().map_err(failure)?;
        let loaded = namespace.run(|| {
            let limits = Limits {
                endpoints: 32,
                policies: 64,
                flows: 16_384,
                ..Limits::default()
            };
            let mut datapath = Datapath::load(&Config {
                limits,
                ..Config::default()
            })
            .map_err(failure)?;
            let events = datapath.events().ok_or_else(|| failure("no events"))?;
            Ok::<_, Failure>((datapath, events))
        });
        let (datapath, events) = loaded.map_err(failure)??;
        Ok(Self {
            namespace,
            peer,
            datapath,
            events,
            devices: Vec::new(),
            owners: Vec::new(),
        })
    }

    /// Puts the policies in force and sends one packet per query; the answers about each subject.
    pub(crate) fn decide(&mut self, asked: &Batch<'_>) -> Result<Vec<Vec<Answer>>, Fault> {
        let mut answers = Vec::with_capacity(asked.len());
        for batch in asked.chunks(SUBJECTS) {
            answers.extend(self.batch(batch)?);
        }
        Ok(answers)
    }

    fn batch(&mut self, asked: &Batch<'_>) -> Result<Vec<Vec<Answer>>, Fault> {
        while self.devices.len() < asked.len() {
            self.add_endpoint()?;
        }
        let peers = self.place(asked)?;
        let states = (0..).zip(asked);
        let states = states.map(|(place, (policy, _))| (endpoint(place), policy.map_state()));
        let states: Vec<_> = states.collect();
        self.datapath.install(&states).map_err(Fault::of)?;
        for (id, _) in &states {
            self.datapath.set_ready(*id).map_err(Fault::of)?;
        }
        self.datapath.clear_flows().map_err(Fault::of)?;
        let Self {
            namespace,
            datapath,
            events,
            devices,
            ..
        } = self;
        let judged = namespace.run(move || {
            let mut answers = Vec::with_capacity(asked.len());
            let subjects = (0..).zip(devices).zip(asked).zip(peers);
            for (((place, ifindex), (policy, queries)), peers) in subjects {
                let mut own = Vec::with_capacity(queries.len());
                for ((query, peer), port) in queries.iter().zip(peers).zip(FIRST_PORT..) {
                    let (hook, frame) = packet(query, place, peer, port);
                    let judged = judge(datapath, events, hook, &frame, *ifindex)?;
                    let decision = policy.check(query);
                    own.push(judged.answer(decision.redirect(), decision.auth()));
                }
                answers.push(own);
            }
            Ok::<_, Fault>(answers)
        });
        judged.map_err(Fault::of)?
    }

    /// One more endpoint, with a device of its own.
    fn add_endpoint(&mut self) -> Result<(), Fault> {
        let place = u16::try_from(self.devices.len()).map_err(Fault::of)?;
        let name = format!("subject{place}");
        let link = self.namespace.veth(&name, &self.peer, &name);
        let ifindex = link.map_err(Fault::of)?.index;
        let spec = EndpointSpec {
            id: endpoint(place),
            ifindex,
            identity: SUBJECT,
            addresses: vec![own(place, false), own(place, true)],
        };
        let datapath = &mut self.datapath;
        let added = self.namespace.run(|| datapath.add_endpoint(spec));
        added.map_err(Fault::of)?.map_err(Fault::of)?;
        self.devices.push(ifindex);
        Ok(())
    }

    /// Gives every peer an address: the number of it, for each query of each subject.
    fn place(&mut self, asked: &Batch<'_>) -> Result<Vec<Vec<u16>>, Fault> {
        let queries = asked.iter().flat_map(|(_, queries)| *queries);
        let mut peers: Vec<_> = queries.map(|query| query.peer).collect();
        peers.sort();
        peers.dedup();
        for (number, peer) in (0..).zip(&peers) {
            if self.owners.get(usize::from(number)) == Some(peer) {
                continue;
            }
            for address in [address(number, false), address(number, true)] {
                self.datapath
                    .upsert_prefix(IpNet::from(address), *peer)
                    .map_err(Fault::of)?;
            }
            self.owners.truncate(usize::from(number));
            self.owners.push(*peer);
        }
        let number = |query: &Query| {
            let place = peers.binary_search(&query.peer).ok();
            let number = place.and_then(|n| u16::try_from(n).ok());
            number.ok_or_else(|| Fault::of("too many peers"))
        };
        let numbers = |(_, queries): &(_, &[Query])| queries.iter().map(number).collect();
        asked.iter().map(numbers).collect()
    }
}

fn failure(cause: impl Display) -> Failure {
    Failure::Kernel(cause.to_string())
}

fn endpoint(place: u16) -> EndpointId {
    EndpointId::new(u32::from(place) + 1)
}

/// An endpoint's own address of a family.
fn own(place: u16, v6: bool) -> IpAddr {
    let [high, low] = place.to_be_bytes();
    match v6 {
        false => Ipv4Addr::new(10, 0, high, low).into(),
        true => Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, place).into(),
    }
}

/// The address of a peer.
fn address(number: u16, v6: bool) -> IpAddr {
    match v6 {
        false => {
            let [high, low] = number.to_be_bytes();
            Ipv4Addr::new(10, 1, high, low).into()
        }
        true => Ipv6Addr::new(0xfd00, 1, 0, 0, 0, 0, 0, number).into(),
    }
}

/// The first packet of the connection that a query asks about.
fn packet(query: &Query, place: u16, peer: u16, port: u16) -> (Hook, Frame) {
    let v6 = query.protocol == Protocol::ICMPV6;
    let (own, peer) = (own(place, v6), address(peer, v6));
    let (hook, from, to) = match query.direction {
        Direction::Ingress => (Hook::ToEndpoint, peer, own),
        Direction::Egress => (Hook::FromEndpoint, own, peer),
    };
    let (source, destination) = (SocketAddr::new(from, port), SocketAddr::new(to, query.port));
    let frame = match query.protocol {
        Protocol::TCP => Frame::tcp(source, destination, TcpFlags::SYN),
        Protocol::UDP => Frame::udp(source, destination),
        Protocol::SCTP => Frame::sctp(source, destination),
        _ => {
            let [kind, ..] = query.port.to_le_bytes();
            let [high, low] = port.to_be_bytes();
            Frame::icmp(from, to, kind, 0, &[high, low, 0, 0])
        }
    };
    (hook, frame)
}

/// What the program did with a packet.
#[derive(Debug, Clone, Copy)]
struct Judged {
    passed: bool,
    /// Dropped for want of a proxy alone.
    without_proxy: bool,
    /// Dropped because nobody has proved what the policy asks for.
    unproved: bool,
}

fn judge(
    datapath: &Datapath,
    events: &mut Events,
    hook: Hook,
    frame: &Frame,
    ifindex: u32,
) -> Result<Judged, Fault> {
    let packet = TestPacket {
        bytes: frame.bytes(),
        ifindex,
        mark: 0,
    };
    let passed = datapath.run(hook, &packet, 1).map_err(Fault::of)?.passed;
    let (mut without_proxy, mut unproved) = (false, false);
    events.drain(|seen| {
        without_proxy |= seen.outcome == Outcome::Drop(DropReason::L7_WITHOUT_PROXY);
        unproved |= seen.outcome == Outcome::Drop(DropReason::AUTH_REQUIRED);
    });
    Ok(Judged {
        passed,
        without_proxy,
        unproved,
    })
}

impl Judged {
    /// The answer behind what was done: without a proxy the kernel drops what one must judge, and
    /// lets pass what one would only look at. Which proxy it is, only the policy knows.
    fn answer(self, redirect: Option<Redirect>, auth: AuthMode) -> Answer {
        let parser = redirect.map(|redirect| redirect.parser);
        let looked_at = redirect.is_some_and(|redirect| redirect.unrestricted);
        let (allowed, redirect) = match self {
            Self { unproved: true, .. } => (true, parser),
            Self {
                without_proxy: true,
                ..
            } => (true, parser.or(Some(Parser::Other))),
            Self { passed: true, .. } => (true, parser.filter(|_| looked_at)),
            Self { passed: false, .. } => (false, None),
        };
        Answer {
            allowed,
            redirect,
            auth: Some(if self.unproved {
                auth
            } else {
                AuthMode::Disabled
            }),
            l7: None,
        }
    }
}
