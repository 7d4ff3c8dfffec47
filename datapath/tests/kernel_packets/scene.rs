//! Pods around a node, and what the datapath of the node says about them.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use porin_datapath::{Config, Datapath, EndpointSpec, Events, Limits};
use porin_flow::{DropReason, EndpointId, Observation, Outcome};
use porin_identity::IdentityId;
use porin_policy::{
    Direction, EntryAction, MapEntry, MapKey, MapState, PortPrefix, Precedence, Protocol,
    RuleCookie,
};
use porin_testbed::Namespace;

use crate::common::Failure;

/// How long an event that must come is waited for.
const COMES: Duration = Duration::from_secs(15);

/// Small tables: they are quick to make.
pub(crate) fn config() -> Config {
    Config {
        limits: Limits {
            endpoints: 16,
            policies: 15,
            policy_entries: 64,
            addresses: 64,
            prefixes: 64,
            flows: 4096,
            fragments: 64,
            ..Limits::default()
        },
        ..Config::default()
    }
}

/// A pod: a namespace behind a veth pair, with an address of each family.
pub(crate) struct Pod {
    pub(crate) namespace: Namespace,
    pub(crate) id: EndpointId,
    pub(crate) identity: IdentityId,
    /// The host's side.
    pub(crate) ifindex: u32,
    pub(crate) v4: IpAddr,
    pub(crate) v6: IpAddr,
}

impl Pod {
    /// The pod `id` at the node, with the addresses of number `place`.
    pub(crate) fn new(node: &Namespace, id: u8, place: u8) -> Result<Self, Failure> {
        let namespace = Namespace::new()?;
        let near = format!("pod{id}");
        let ifindex = node.veth(&near, &namespace, "eth0")?.index;
        let v4 = [format!("10.1.{place}.1"), format!("10.1.{place}.2")];
        let v6 = [format!("fd00:{place}::1"), format!("fd00:{place}::2")];
        for (end, here, link) in [(0, node, near.as_str()), (1, &namespace, "eth0")] {
            here.add_address(link, format!("{}/24", v4[end]).parse()?)?;
            here.add_address(link, format!("{}/64", v6[end]).parse()?)?;
            here.up(link)?;
        }
        namespace.add_default_route("eth0", v4[0].parse()?)?;
        namespace.add_default_route("eth0", v6[0].parse()?)?;
        Ok(Self {
            namespace,
            id: EndpointId::new(id.into()),
            identity: IdentityId::new(1000 + u32::from(id)),
            ifindex,
            v4: v4[1].parse()?,
            v6: v6[1].parse()?,
        })
    }

    pub(crate) fn addresses(&self) -> [IpAddr; 2] {
        [self.v4, self.v6]
    }

    pub(crate) fn spec(&self) -> EndpointSpec {
        EndpointSpec {
            id: self.id,
            ifindex: self.ifindex,
            identity: self.identity,
            addresses: self.addresses().to_vec(),
        }
    }

    pub(crate) fn at(&self, v6: bool, port: u16) -> SocketAddr {
        SocketAddr::new(if v6 { self.v6 } else { self.v4 }, port)
    }
}

/// A node with pods and a datapath that knows them.
pub(crate) struct Scene {
    pub(crate) datapath: Datapath,
    pub(crate) log: Log,
    pub(crate) pods: Vec<Pod>,
    pub(crate) node: Namespace,
}

impl Scene {
    /// A node and its pods, not ready yet.
    pub(crate) fn new(config: &Config, pods: u8) -> Result<Self, Failure> {
        let node = node()?;
        let pods: Result<Vec<_>, _> = (1..=pods).map(|id| Pod::new(&node, id, id)).collect();
        let pods = pods?;
        let mut datapath = Datapath::load(config)?;
        for pod in &pods {
            node.run(|| datapath.add_endpoint(pod.spec()))??;
        }
        let log = Log::new(&mut datapath)?;
        Ok(Self {
            datapath,
            log,
            pods,
            node,
        })
    }

    /// Installs a policy for each pod, in order, and makes them ready.
    pub(crate) fn ready(&mut self, policies: &[&MapState]) -> Result<(), Failure> {
        let ids = self.pods.iter().map(|pod| pod.id);
        let batch: Vec<_> = ids.zip(policies.iter().copied()).collect();
        self.datapath.install(&batch)?;
        for (id, _) in batch {
            self.datapath.set_ready(id)?;
        }
        Ok(())
    }

    /// Another policy for the pod of this place.
    pub(crate) fn install(&mut self, place: usize, policy: &MapState) -> Result<(), Failure> {
        self.datapath.install(&[(self.pods[place].id, policy)])?;
        Ok(())
    }
}

/// A node that routes between its pods.
pub(crate) fn node() -> Result<Namespace, Failure> {
    let node = Namespace::new()?;
    node.forward()?;
    Ok(node)
}

/// Everything the datapath has said so far.
pub(crate) struct Log {
    events: Events,
    seen: Vec<Observation>,
}

impl Log {
    pub(crate) fn new(datapath: &mut Datapath) -> Result<Self, Failure> {
        Ok(Self {
            events: datapath.events().ok_or("no events")?,
            seen: Vec::new(),
        })
    }

    /// Forgets what was said until now.
    pub(crate) fn clear(&mut self) {
        self.events.drain(drop);
        self.seen.clear();
    }

    /// Forgets what was heard, and hears the rest.
    pub(crate) fn forget(&mut self) {
        self.seen.clear();
    }

    /// Waits for an observation of this kind.
    pub(crate) fn expect(
        &mut self,
        what: &str,
        wanted: impl Fn(&Observation) -> bool,
    ) -> Result<Observation, Failure> {
        let end = Instant::now() + COMES;
        loop {
            self.listen();
            if let Some(found) = self.seen.iter().find(|seen| wanted(seen)) {
                return Ok(*found);
            }
            if Instant::now() > end {
                return Err(format!("no event of {what} in {:#?}", self.seen).into());
            }
            self.events.wait(Duration::from_millis(2))?;
        }
    }

    /// Waits for a drop for this reason, reported by this endpoint.
    pub(crate) fn expect_drop(
        &mut self,
        at: EndpointId,
        direction: Direction,
        reason: DropReason,
    ) -> Result<Observation, Failure> {
        let what = format!("{} at {at} {direction}", reason.name());
        self.expect(&what, |seen| {
            seen.endpoint == at
                && seen.direction == direction
                && seen.outcome == Outcome::Drop(reason)
        })
    }

    /// All that was said until now.
    pub(crate) fn all(&mut self) -> &[Observation] {
        self.listen();
        &self.seen
    }

    fn listen(&mut self) {
        let seen = &mut self.seen;
        self.events.drain(|observation| {
            if !is_chatter(&observation) {
                seen.push(observation);
            }
        });
    }

    /// How many events found no room.
    pub(crate) fn lost(&self) -> Result<u64, Failure> {
        Ok(self.events.lost()?.total())
    }
}

/// What hosts tell each other on a link without being asked, at times of their own choice.
fn is_chatter(seen: &Observation) -> bool {
    let on_link = |address| match address {
        IpAddr::V4(_) => false,
        IpAddr::V6(address) => address.is_multicast() || address.is_unicast_link_local(),
    };
    seen.tuple.protocol != Protocol::UDP
        && (on_link(seen.tuple.source) || on_link(seen.tuple.destination))
}

/// One entry of a policy.
pub(crate) type Entry = (MapKey, MapEntry);

pub(crate) fn entry(
    direction: Direction,
    peer: IdentityId,
    (protocol, port): (Protocol, PortPrefix),
    action: EntryAction,
    cookie: u32,
) -> Entry {
    let deny = u32::from(action == EntryAction::Deny);
    let key = MapKey {
        direction,
        identity: peer,
        protocol,
        port,
    };
    let entry = MapEntry {
        auth: porin_policy::AuthMode::Disabled,
        action,
        precedence: Precedence::new(deny),
        cookie: RuleCookie::new(cookie),
    };
    (key, entry)
}

/// `peer` may open this port of the subject; for ICMP the port is the type.
pub(crate) fn allow(peer: IdentityId, protocol: Protocol, port: u16, cookie: u32) -> Entry {
    let what = (protocol, PortPrefix::exact(port));
    entry(Direction::Ingress, peer, what, EntryAction::Allow, cookie)
}

/// The subject may open this port of `peer`.
pub(crate) fn egress(peer: IdentityId, protocol: Protocol, port: u16, cookie: u32) -> Entry {
    let what = (protocol, PortPrefix::exact(port));
    entry(Direction::Egress, peer, what, EntryAction::Allow, cookie)
}

/// `peer` may not open this port of the subject, whatever else allows it.
pub(crate) fn deny(peer: IdentityId, protocol: Protocol, port: u16, cookie: u32) -> Entry {
    let what = (protocol, PortPrefix::exact(port));
    entry(Direction::Ingress, peer, what, EntryAction::Deny, cookie)
}

/// The subject may open everything to this peer; identity 0: to everybody.
pub(crate) fn allow_egress(peer: IdentityId) -> Entry {
    let what = (Protocol::ANY, PortPrefix::ALL);
    entry(Direction::Egress, peer, what, EntryAction::Allow, 2)
}

/// The policy of these entries.
pub(crate) fn policy(entries: impl IntoIterator<Item = Entry>) -> MapState {
    entries.into_iter().collect()
}

/// A policy of somebody who only sends.
pub(crate) fn client() -> MapState {
    policy([allow_egress(IdentityId::UNKNOWN)])
}
