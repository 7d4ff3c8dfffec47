//! The world as network namespaces: one per workload and per host outside, each on a link of its
//! own to the node, which routes between them.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd as _, AsRawFd as _};

use porin_testbed::{IpNet, Mac, Namespace};

use super::cast::Actor;
use super::error::DemoError;

/// The device inside every namespace but the node's.
const DEVICE: &str = "eth0";

/// The node's address on every link: link-local, as it is nobody's peer.
const GATEWAYS: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(169, 254, 1, 1)),
    IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1)),
];

/// Where one actor lives.
#[derive(Debug)]
pub(crate) struct Site {
    /// Its namespace.
    pub(crate) namespace: Namespace,
    /// The index of its device's other end, in the node.
    pub(crate) index: u32,
    /// Its addresses.
    pub(crate) addresses: Vec<IpAddr>,
    /// The link-layer address of the node's end, for frames by hand.
    pub(crate) gateway: Mac,
    device: String,
}

impl Site {
    /// Its address of one family.
    pub(crate) fn address(&self, ipv6: bool) -> Option<IpAddr> {
        let mut addresses = self.addresses.iter().copied();
        addresses.find(|address| address.is_ipv6() == ipv6)
    }

    /// The number of the file descriptor that holds the namespace.
    pub(crate) fn handle(&self) -> i32 {
        self.namespace.as_fd().as_raw_fd()
    }

    /// The device inside the namespace.
    pub(crate) fn device(&self) -> &'static str {
        DEVICE
    }
}

/// The node and everybody on it.
#[derive(Debug)]
pub(crate) struct Stage {
    node: Namespace,
    sites: BTreeMap<String, Site>,
    devices: u32,
}

impl Stage {
    /// A node with nobody on it, in the namespace of the calling thread.
    pub(crate) fn new() -> Result<Self, DemoError> {
        let node = Namespace::current()?;
        node.up("lo")?;
        node.set("ipv6/conf/default/accept_dad", "0")?;
        node.forward()?;
        Ok(Self {
            node,
            sites: BTreeMap::new(),
            devices: 0,
        })
    }

    /// Gives `actor` a namespace, a link and its addresses.
    pub(crate) fn enter(&mut self, actor: &Actor) -> Result<&Site, DemoError> {
        self.leave(&actor.name)?;
        self.devices += 1;
        let device = format!("pod{}", self.devices);
        let namespace = Namespace::new()?;
        let pair = self.node.veth(&device, &namespace, DEVICE)?;
        for (place, link) in [(&self.node, device.as_str()), (&namespace, DEVICE)] {
            place.up(link)?;
        }
        for gateway in GATEWAYS {
            self.node.add_address(&device, IpNet::from(gateway))?;
            // The gateway is on the link itself, though no subnet of ours has it.
            if gateway.is_ipv4() {
                namespace.add_route(IpNet::from(gateway), DEVICE, None)?;
            }
        }
        // Everybody knows everybody's station beforehand: the first packet that a pod sends is the
        // one that is asked about, not a question for its gateway.
        let (near, far) = (self.node.mac(&device)?, namespace.mac(DEVICE)?);
        for gateway in GATEWAYS {
            namespace.add_neighbour(DEVICE, gateway, near)?;
        }
        for &address in &actor.addresses {
            namespace.add_address(DEVICE, IpNet::from(address))?;
            self.node.add_route(IpNet::from(address), &device, None)?;
            self.node.add_neighbour(&device, address, far)?;
        }
        for gateway in GATEWAYS {
            if actor.has_family(gateway.is_ipv6()) {
                namespace.add_default_route(DEVICE, gateway)?;
            }
        }
        let site = Site {
            gateway: near,
            index: pair.index,
            addresses: actor.addresses.clone(),
            namespace,
            device,
        };
        Ok(self.sites.entry(actor.name.clone()).or_insert(site))
    }

    /// Takes somebody's namespace and link away; nothing happens where there is none.
    pub(crate) fn leave(&mut self, name: &str) -> Result<(), DemoError> {
        if let Some(site) = self.sites.remove(name) {
            // The link goes with the namespace, but only some time after: a successor on the
            // same address must not find the old route.
            self.node.delete(&site.device)?;
        }
        Ok(())
    }

    /// Where somebody lives.
    pub(crate) fn site(&self, name: &str) -> Result<&Site, DemoError> {
        self.sites
            .get(name)
            .ok_or_else(|| DemoError::Nobody(name.to_owned()))
    }

    /// Everybody, by name.
    pub(crate) fn sites(&self) -> impl Iterator<Item = (&str, &Site)> {
        self.sites.iter().map(|(name, site)| (name.as_str(), site))
    }
}
