//! What happens to the node between packets, to the kernel's and to the model.

use std::net::IpAddr;

use ipnet::IpNet;
use porin_datapath::{AttachError, EndpointSpec};
use porin_flow::EndpointId;
use porin_identity::IdentityId;
use porin_policy::{
    AuthMode, Direction, EntryAction, MapEntry, MapKey, MapState, Parser, PortPrefix, Precedence,
    Protocol, Redirect, RuleCookie,
};
use porin_testbed::suite::{Failed, Outcome};

use super::Trial;
use super::frames::PORTS;
use super::model::Home;
use crate::adoption::rest;
use crate::node::{A, B};
use crate::random::Random;

/// Who anybody may be: workloads, and one that means something on this node alone.
pub(crate) const NAMES: [IdentityId; 6] = [
    IdentityId::new(1001),
    IdentityId::new(1002),
    IdentityId::new(1003),
    IdentityId::new(1 << 24 | 1001),
    IdentityId::new(0x00ff_ffff),
    IdentityId::HOST,
];
const OWN: [[&str; 2]; 4] = [
    ["10.0.0.1", "fd00::1"],
    ["10.0.0.2", "fd00::2"],
    ["10.0.0.3", "fe80::9"],
    ["172.16.0.5", "2001:db8::5"],
];
const FAR: [&str; 14] = [
    "192.0.2.1",
    "192.0.2.2",
    "198.51.100.7",
    "172.16.0.6",
    "10.0.0.254",
    "224.0.0.1",
    "2001:db8::1",
    "2001:db8::2",
    "2001:dead::7",
    "fd00::fe",
    "fe80::1",
    "ff02::1",
    "ff02::1:ff00:2",
    "::",
];
const BLOCKS: [&str; 14] = [
    "192.0.2.1/32",
    "192.0.2.0/24",
    "198.51.100.0/24",
    "172.16.0.0/12",
    "10.0.0.254/32",
    "0.0.0.0/0",
    "2001:db8::1/128",
    "2001:db8::/64",
    "2001:db8::/32",
    "2001:dead::/16",
    "fd00::fe/128",
    "fe80::/64",
    "::/0",
    MAPPED,
];
/// The node passes it over.
const MAPPED: &str = "::ffff:0:0/96";

/// Longer than one unit of ages (8.4 ms) and of the coarse clock.
const AGE: std::time::Duration = std::time::Duration::from_millis(14);

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

impl Trial {
    /// An address of the endpoint and one that it deals with, of one family.
    pub(crate) fn ends(&mut self, id: EndpointId) -> (IpAddr, IpAddr) {
        let home = self.model.land.homes.get(&id);
        let homely = home.map(|home| home.addresses.clone());
        let own = match homely {
            Some(own) if self.random.chance(95) => {
                own[self.random.below(own.len() as u64) as usize]
            }
            _ => address(self.random.pick(&OWN)[usize::from(self.random.chance(50))]),
        };
        let family = usize::from(own.is_ipv6());
        let other = if id == A { B } else { A };
        let neighbour = self.model.land.homes.get(&other);
        let near = neighbour.and_then(|home| {
            let same = |address: &&IpAddr| address.is_ipv6() == own.is_ipv6();
            home.addresses.iter().find(same).copied()
        });
        match (self.random.below(10), near) {
            (0..5, Some(near)) => (own, near),
            (5, _) => (own, address(self.random.pick(&OWN)[family])),
            _ => loop {
                let far = address(self.random.pick(&FAR));
                if far.is_ipv6() == own.is_ipv6() {
                    return (own, far);
                }
            },
        }
    }

    /// Whether somebody is away, held, or without a lease.
    pub(crate) fn is_troubled(&self) -> bool {
        let homes = &self.model.land.homes;
        homes.len() < 2 || homes.values().any(|home| !home.ready || home.lease_is_over)
    }

    pub(crate) fn change(&mut self) -> Outcome {
        self.model.changes += 1;
        let id = self.random.pick(&[A, B]);
        match self.model.land.homes.get(&id) {
            None => return self.settle(id),
            Some(home) if !home.ready && self.random.chance(80) => return self.hold(id),
            Some(home) if home.lease_is_over && self.random.chance(80) => return self.lease(id),
            Some(_) => {}
        }
        match self.random.below(16) {
            0..5 => self.change_policy(id),
            5 | 6 => self.rename(id),
            7 => self.remove(id),
            8 => self.replace(id),
            9 => self.hold(id),
            10 => self.lease(id),
            11 | 12 => self.silence(),
            _ => self.change_block(),
        }
    }

    /// A new endpoint at its device; for some packets it is not ready.
    pub(crate) fn settle(&mut self, id: EndpointId) -> Outcome {
        let spec = EndpointSpec {
            id,
            ifindex: self.node.devices[usize::from(id == B)],
            identity: self.random.pick(&NAMES),
            addresses: self.addresses(),
        };
        let (identity, addresses) = (spec.identity, spec.addresses.clone());
        match self.node.datapath.add_endpoint(spec) {
            Err(AttachError::AddressTaken(_)) => return Ok(()),
            added => added?,
        }
        self.is_new(id, identity, addresses);
        self.change_policy(id)
    }

    fn addresses(&mut self) -> Vec<IpAddr> {
        let own = self.random.pick(&OWN).map(address);
        match self.random.below(6) {
            0 => own[..1].to_vec(),
            1 => own[1..].to_vec(),
            _ => own.to_vec(),
        }
    }

    fn is_new(&mut self, id: EndpointId, identity: IdentityId, addresses: Vec<IpAddr>) {
        // So fine is the clock by which the programs tell whether a flow is older.
        std::thread::sleep(AGE);
        let home = Home {
            identity,
            addresses,
            born: self.model.changes,
            ready: false,
            lease_is_over: false,
            policy: None,
            version: 0,
        };
        self.model.land.homes.insert(id, home);
        self.model.land.version = self.model.changes;
    }

    /// The kernel's number of an endpoint's policy; that of a policy that stayed stays.
    fn epoch(&self, id: EndpointId) -> Option<u64> {
        let dumps = self.node.datapath.endpoints();
        let dump = dumps.iter().find(|dump| dump.spec.id == id);
        dump.map(|dump| dump.epoch)
    }

    fn home(&mut self, id: EndpointId) -> Result<&mut Home, Failed> {
        let home = self.model.land.homes.get_mut(&id);
        Ok(home.ok_or("the endpoint lives here")?)
    }

    /// Edited where it can be and it is new enough to have one, else replaced; then, mostly, ready.
    fn change_policy(&mut self, id: EndpointId) -> Outcome {
        let (next, old) = (policy(&mut self.random), self.home(id)?.policy.clone());
        let before = self.epoch(id);
        let edited = match old {
            Some(old) if self.random.chance(40) => {
                let changes = next.diff(&old);
                self.node.datapath.amend(&[(id, &changes)])?.left.is_empty()
            }
            _ => false,
        };
        if !edited {
            self.node.datapath.install(&[(id, &next)])?;
        }
        self.home(id)?.policy = Some(next);
        if self.epoch(id) != before {
            self.home(id)?.version = self.model.changes;
        }
        if self.random.chance(90) {
            self.node.datapath.set_ready(id)?;
            self.home(id)?.ready = true;
        }
        Ok(())
    }

    fn rename(&mut self, id: EndpointId) -> Outcome {
        let name = self.random.pick(&NAMES);
        self.node.datapath.set_identity(id, name)?;
        self.home(id)?.identity = name;
        self.model.land.version = self.model.changes;
        Ok(())
    }

    fn remove(&mut self, id: EndpointId) -> Outcome {
        self.node.datapath.remove_endpoint(id)?;
        self.model.land.homes.remove(&id);
        self.model.land.version = self.model.changes;
        Ok(())
    }

    fn replace(&mut self, id: EndpointId) -> Outcome {
        let (name, addresses) = (self.random.pick(&NAMES), self.addresses());
        let replaced = self
            .node
            .datapath
            .replace_endpoint(id, name, addresses.clone());
        match replaced {
            Err(AttachError::AddressTaken(_)) => return Ok(()),
            replaced => replaced?,
        }
        self.is_new(id, name, addresses);
        self.change_policy(id)
    }

    fn hold(&mut self, id: EndpointId) -> Outcome {
        let ready = self.home(id)?.ready;
        if ready {
            self.node.datapath.set_held(id)?;
        } else {
            self.node.datapath.set_ready(id)?;
        }
        self.home(id)?.ready = !ready;
        Ok(())
    }

    fn lease(&mut self, id: EndpointId) -> Outcome {
        let over = !self.home(id)?.lease_is_over;
        let hour = std::time::Duration::from_secs(3600);
        let later = porin_datapath::sys::monotonic() + hour;
        let until = match (over, self.random.chance(50)) {
            (true, _) => Some(1),
            (false, true) => Some(u64::try_from(later.as_nanos())?),
            (false, false) => None,
        };
        self.node.datapath.set_lease(id, until)?;
        self.home(id)?.lease_is_over = over;
        Ok(())
    }

    fn change_block(&mut self) -> Outcome {
        let block: IpNet = self.random.pick(&BLOCKS).parse()?;
        let prefixes = &mut self.model.land.prefixes;
        let (before, after) = if self.random.chance(35) {
            self.node.datapath.remove_prefix(block)?;
            (prefixes.remove(&block), None)
        } else {
            let name = self.random.pick(&NAMES);
            self.node.datapath.upsert_prefix(block, name)?;
            (prefixes.insert(block, name), Some(name))
        };
        if before != after && block != MAPPED.parse()? {
            self.model.land.version = self.model.changes;
        }
        Ok(())
    }

    /// Time passes: a little, enough for what was never answered, or more than any flow bears.
    fn silence(&mut self) -> Outcome {
        let ticks = self.random.pick(&[30, 100, 8000]);
        rest(&self.flow_table, ticks)?;
        self.model.flows.rest(ticks);
        Ok(())
    }

    pub(crate) fn forget_flows(&mut self) -> Outcome {
        self.node.datapath.clear_flows()?;
        self.model.flows.clear();
        Ok(())
    }
}

/// Allowances, denials, proxies and proofs, by name and without, by any part of the ports.
fn policy(random: &mut Random) -> MapState {
    let entries = random.below(40);
    (0..entries).map(|_| random_entry(random)).collect()
}

fn random_entry(random: &mut Random) -> (MapKey, MapEntry) {
    let protocols = [6, 6, 17, 17, 132, 1, 58, 47, 136, 0, 0].map(Protocol::new);
    let protocol = random.pick(&protocols);
    let port = match protocol {
        Protocol::TCP | Protocol::UDP | Protocol::SCTP => PortPrefix::new(
            random.pick(&PORTS),
            random.pick(&[0, 4, 12, 14, 16, 16, 16]),
        ),
        Protocol::ICMP if random.chance(70) => PortPrefix::exact(random.pick(&[0, 3, 8, 8, 13])),
        Protocol::ICMPV6 if random.chance(70) => {
            PortPrefix::exact(random.pick(&[1, 128, 128, 129, 135]))
        }
        _ => PortPrefix::ALL,
    };
    let identity = match random.below(10) {
        0..4 => IdentityId::UNKNOWN,
        4 => IdentityId::WORLD_IPV4,
        5 => IdentityId::WORLD_IPV6,
        _ => random.pick(&NAMES),
    };
    let redirect = |unrestricted| {
        EntryAction::Redirect(Redirect {
            parser: Parser::Http,
            unrestricted,
        })
    };
    let action = match random.below(16) {
        0..4 => EntryAction::Deny,
        4 => redirect(true),
        5 => redirect(false),
        _ => EntryAction::Allow,
    };
    let auth = if random.below(16) == 0 {
        AuthMode::Required
    } else {
        AuthMode::Disabled
    };
    let level = u32::try_from(random.below(3)).expect("small");
    let key = MapKey {
        direction: random.pick(&Direction::ALL),
        identity,
        protocol,
        port,
    };
    let entry = MapEntry {
        auth,
        action,
        precedence: Precedence::compose(level, random.pick(&[1, 1, 155, 255])),
        // 0: a default deny, behind which no rule stands.
        cookie: RuleCookie::new(u32::try_from(random.below(200)).expect("small")),
    };
    (key, entry)
}
