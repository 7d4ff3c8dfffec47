//! A node of two endpoints in a namespace of its own, whose programs are given packets by hand.

use std::net::{IpAddr, SocketAddr};

use porin_datapath::{
    Config, Datapath, EndpointSpec, Events, Frame, Hook, Limits, Loader, TestPacket,
};
use porin_flow::{DropReason, EndpointId, Observation, Outcome};
use porin_identity::IdentityId;
use porin_policy::{
    Direction, EntryAction, MapEntry, MapKey, MapState, PortPrefix, Precedence, Protocol,
    RuleCookie,
};
use porin_testbed::Namespace;
use porin_testbed::suite::{Failed, Outcome as TestOutcome};

/// The first endpoint: 10.0.0.1, fd00::1.
pub(crate) const A: EndpointId = EndpointId::new(1);
/// The second: 10.0.0.2, fd00::2.
pub(crate) const B: EndpointId = EndpointId::new(2);
pub(crate) const ID_A: IdentityId = IdentityId::new(1001);
pub(crate) const ID_B: IdentityId = IdentityId::new(1002);

pub(crate) struct Node {
    pub(crate) datapath: Datapath,
    pub(crate) events: Events,
    pub(crate) devices: [u32; 2],
}

/// What became of one packet.
#[derive(Clone, Debug)]
pub(crate) struct Judged {
    pub(crate) passed: bool,
    pub(crate) mark: u32,
    pub(crate) seen: Vec<Observation>,
}

impl Judged {
    /// Why it was dropped; `None` if it passed. A drop without its event, or the
    /// other way round, is an error of the test's subject.
    pub(crate) fn reason(&self) -> Option<DropReason> {
        let told = self.seen.iter().find_map(|seen| match seen.outcome {
            Outcome::Drop(reason) => Some(reason),
            _ => None,
        });
        assert_eq!(
            told.is_none(),
            self.passed,
            "verdict and event differ: {self:?}"
        );
        told
    }
}

pub(crate) fn limits() -> Limits {
    Limits {
        endpoints: 8,
        policies: 16,
        policy_entries: 4096,
        addresses: 4096,
        prefixes: 64,
        flows: 4096,
        fragments: 64,
        ..Limits::default()
    }
}

/// Runs `body` in a namespace with two devices, on a datapath without endpoints.
pub(crate) fn bare(
    loader: Loader,
    limits: Limits,
    body: impl FnOnce(&mut Node) -> TestOutcome + Send,
) -> TestOutcome {
    let namespace = Namespace::new()?;
    let peer = Namespace::new()?;
    let devices = [
        namespace.veth("a", &peer, "a")?.index,
        namespace.veth("b", &peer, "b")?.index,
    ];
    namespace.run(|| {
        let mut datapath = Datapath::load(&Config {
            loader,
            limits,
            ..Config::default()
        })?;
        let events = datapath.events().ok_or("the events are there once")?;
        body(&mut Node {
            datapath,
            events,
            devices,
        })
    })?
}

/// The same with both endpoints added, every direction open, and ready.
pub(crate) fn open(
    loader: Loader,
    body: impl FnOnce(&mut Node) -> TestOutcome + Send,
) -> TestOutcome {
    bare(loader, limits(), |node| {
        let policy = everything(16);
        for id in [A, B] {
            node.add(id)?;
            node.datapath.install(&[(id, &policy)])?;
            node.datapath.set_ready(id)?;
        }
        body(node)
    })
}

impl Node {
    pub(crate) fn spec(&self, id: EndpointId) -> EndpointSpec {
        let [a, b] = self.devices;
        EndpointSpec {
            id,
            ifindex: if id == A { a } else { b },
            identity: if id == A { ID_A } else { ID_B },
            addresses: vec![v4(id), v6(id)],
        }
    }

    pub(crate) fn add(&mut self, id: EndpointId) -> Result<(), Failed> {
        Ok(self.datapath.add_endpoint(self.spec(id))?)
    }

    /// The endpoint sends a frame.
    pub(crate) fn leave(&mut self, id: EndpointId, frame: &Frame) -> Judged {
        self.judge(Hook::FromEndpoint, id, frame.bytes(), 0)
    }

    /// A frame with this mark is to reach the endpoint.
    pub(crate) fn arrive(&mut self, id: EndpointId, frame: &Frame, mark: u32) -> Judged {
        self.judge(Hook::ToEndpoint, id, frame.bytes(), mark)
    }

    /// From one endpoint all the way to the other.
    pub(crate) fn cross(&mut self, from: EndpointId, frame: &Frame) -> Judged {
        let to = if from == A { B } else { A };
        let left = self.leave(from, frame);
        if !left.passed {
            return left;
        }
        let mut arrived = self.arrive(to, frame, left.mark);
        arrived.seen.splice(0..0, left.seen);
        arrived
    }

    pub(crate) fn judge(&mut self, hook: Hook, id: EndpointId, bytes: &[u8], mark: u32) -> Judged {
        let packet = TestPacket {
            bytes,
            ifindex: self.spec(id).ifindex,
            mark,
        };
        let run = self
            .datapath
            .run(hook, &packet, 1)
            .expect("the program runs");
        let mut seen = Vec::new();
        self.events.drain(|observation| seen.push(observation));
        Judged {
            passed: run.passed,
            mark: run.mark,
            seen,
        }
    }
}

pub(crate) fn v4(id: EndpointId) -> IpAddr {
    IpAddr::from([10, 0, 0, u8::try_from(id.get()).expect("small")])
}

pub(crate) fn v6(id: EndpointId) -> IpAddr {
    let low = u16::try_from(id.get()).expect("small");
    IpAddr::from([0xfd00, 0, 0, 0, 0, 0, 0, low])
}

pub(crate) fn at(address: IpAddr, port: u16) -> SocketAddr {
    SocketAddr::new(address, port)
}

/// One entry of a policy.
pub(crate) fn entry(
    direction: Direction,
    peer: IdentityId,
    (protocol, port): (Protocol, PortPrefix),
    action: EntryAction,
    cookie: u32,
) -> (MapKey, MapEntry) {
    let key = MapKey {
        direction,
        identity: peer,
        protocol,
        port,
    };
    let rank = if action == EntryAction::Deny { 255 } else { 1 };
    let entry = MapEntry {
        auth: porin_policy::AuthMode::Disabled,
        action,
        precedence: Precedence::compose(1, rank),
        cookie: RuleCookie::new(cookie),
    };
    (key, entry)
}

pub(crate) const ANY_PORT: (Protocol, PortPrefix) = (Protocol::ANY, PortPrefix::ALL);

pub(crate) fn tcp_port(port: u16) -> (Protocol, PortPrefix) {
    (Protocol::TCP, PortPrefix::exact(port))
}

/// Both directions open to everybody.
pub(crate) fn everything(cookie: u32) -> MapState {
    let any = |direction| {
        entry(
            direction,
            IdentityId::UNKNOWN,
            ANY_PORT,
            EntryAction::Allow,
            cookie,
        )
    };
    Direction::ALL.map(any).into_iter().collect()
}

/// Nothing allowed in either direction.
pub(crate) fn nothing() -> MapState {
    std::iter::empty().collect()
}
