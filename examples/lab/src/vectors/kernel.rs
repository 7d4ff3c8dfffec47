//! The kernel program itself, given one packet per flow under `BPF_PROG_TEST_RUN`.
//!
//! One endpoint stands in for every subject in turn, at a device in a network namespace of its own;
//! every peer has an address that the datapath was told its identity of. Policies come into force
//! as on a node.

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

/// The one endpoint.
const ENDPOINT: EndpointId = EndpointId::new(1);
/// Whom the subject is for the kernel: its own policy does not depend on it, and the host has none
/// that a device could carry.
const SUBJECT: IdentityId = IdentityId::new(0xff_fffe);

/// Where the ports of senders begin; each flow of a case has one of its own.
const FIRST_PORT: u16 = 10_000;

/// A loaded datapath in a namespace of its own.
pub(crate) struct Kernel {
    namespace: Namespace,
    /// Holds the other end of the device.
    _peer: Namespace,
    datapath: Datapath,
    events: Events,
    ifindex: u32,
    /// Whose each address is, by its number.
    owners: Vec<IdentityId>,
}

impl Kernel {
    /// Loads the programs; says what is missing if that cannot be done.
    pub(crate) fn load() -> Result<Self, Failure> {
        porin_testbed::privileges().map_err(failure)?;
        let namespace = Namespace::new().map_err(failure)?;
        let peer = Namespace::new().map_err(failure)?;
        let ifindex = namespace
            .veth("subject", &peer, "subject")
            .map_err(failure)?
            .index;
        let loaded = namespace.run(|| {
            let limits = Limits {
                endpoints: 4,
                policies: 64,
                flows: 4096,
                ..Limits::default()
            };
            let mut datapath = Datapath::load(&Config {
                limits,
                ..Config::default()
            })
            .map_err(failure)?;
            datapath
                .add_endpoint(EndpointSpec {
                    id: ENDPOINT,
                    ifindex,
                    identity: IdentityId::INIT,
                    addresses: vec![own(false), own(true)],
                })
                .map_err(failure)?;
            let events = datapath.events().ok_or_else(|| failure("no events"))?;
            Ok::<_, Failure>((datapath, events))
        });
        let (datapath, events) = loaded.map_err(failure)??;
        Ok(Self {
            namespace,
            _peer: peer,
            datapath,
            events,
            ifindex,
            owners: Vec::new(),
        })
    }

    /// Puts the policy in force and sends one packet per query.
    pub(crate) fn decide(
        &mut self,
        policy: &EndpointPolicy,
        queries: &[Query],
    ) -> Result<Vec<Answer>, Fault> {
        let peers = self.place(queries)?;
        self.datapath
            .set_identity(ENDPOINT, SUBJECT)
            .map_err(Fault::of)?;
        self.datapath
            .install(&[(ENDPOINT, policy.map_state())])
            .map_err(Fault::of)?;
        self.datapath.set_ready(ENDPOINT).map_err(Fault::of)?;
        self.datapath.clear_flows().map_err(Fault::of)?;
        let Self {
            namespace,
            datapath,
            events,
            ifindex,
            ..
        } = self;
        let ifindex = *ifindex;
        let judged = namespace.run(move || {
            let mut answers = Vec::with_capacity(queries.len());
            for ((query, peer), port) in queries.iter().zip(peers).zip(FIRST_PORT..) {
                let (hook, frame) = packet(query, peer, port);
                let judged = judge(datapath, events, hook, &frame, ifindex)?;
                let decision = policy.check(query);
                answers.push(judged.answer(decision.redirect(), decision.auth()));
            }
            Ok::<_, Fault>(answers)
        });
        judged.map_err(Fault::of)?
    }

    /// Gives every peer an address: the number of it, for each query.
    fn place(&mut self, queries: &[Query]) -> Result<Vec<u16>, Fault> {
        let mut peers: Vec<_> = queries.iter().map(|query| query.peer).collect();
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
            peers
                .binary_search(&query.peer)
                .ok()
                .and_then(|n| u16::try_from(n).ok())
        };
        queries
            .iter()
            .map(|query| number(query).ok_or_else(|| Fault::of("too many peers")))
            .collect()
    }
}

fn failure(cause: impl Display) -> Failure {
    Failure::Kernel(cause.to_string())
}

/// The endpoint's own address of a family.
fn own(v6: bool) -> IpAddr {
    match v6 {
        false => Ipv4Addr::new(10, 0, 0, 1).into(),
        true => Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1).into(),
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
fn packet(query: &Query, peer: u16, port: u16) -> (Hook, Frame) {
    let v6 = query.protocol == Protocol::ICMPV6;
    let (own, peer) = (own(v6), address(peer, v6));
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
