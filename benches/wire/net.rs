//! A client and a server behind one router, and what stands between them.

use std::{
    io::Write as _,
    net::{IpAddr, Ipv4Addr},
    os::fd::AsFd as _,
    process::{Command, Stdio},
    time::Duration,
};

use porin::{
    datapath::{
        Config, Datapath, EndpointSpec, Events,
        sys::{Link, LinkPosition, Program, TcxHook},
    },
    flow::EndpointId,
    identity::{Families, Identities, IdentityId, Labels},
    policy::{Options, PolicySet},
};
use porin_testbed::Namespace;

use crate::Result;

/// The client's address; its router has .1.
pub(crate) const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 2);
/// The server's address; its router has .1.
pub(crate) const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);
/// Entries of each policy table and elements of the verdict map.
const PEERS: u32 = 1_000;

/// What judges the packets between client and server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Judge {
    /// Nobody: the router forwards.
    Nobody,
    /// An empty program at each of the four hooks.
    Empty,
    /// nftables: established connections pass, new ones are looked up among 1,000 addresses.
    Nftables,
    /// Porin, with 1,000 entries a policy.
    Porin,
    /// The same, delivering past the router's stack.
    Peer,
}

impl Judge {
    pub(crate) const ALL: [Self; 5] = [
        Self::Nobody,
        Self::Empty,
        Self::Nftables,
        Self::Porin,
        Self::Peer,
    ];

    /// What its figures are called after those of ours.
    pub(crate) const fn suffix(self) -> &'static str {
        match self {
            Self::Nobody => ".none",
            Self::Empty => ".empty",
            Self::Nftables => ".nftables",
            Self::Porin => "",
            Self::Peer => ".peer",
        }
    }
}

/// Three namespaces and two wires.
pub(crate) struct Net {
    pub(crate) judge: Judge,
    pub(crate) client: Namespace,
    pub(crate) server: Namespace,
    /// Dropped last: what is attached goes with it.
    _node: Namespace,
    held: Held,
}

/// What keeps a judge in place.
enum Held {
    Nothing,
    Links {
        _links: Vec<Link>,
        _program: Program,
    },
    Datapath {
        _datapath: Box<Datapath>,
        events: Option<Events>,
    },
}

impl Net {
    pub(crate) fn new(judge: Judge) -> Result<Self> {
        let (node, client, server) = (Namespace::new()?, Namespace::new()?, Namespace::new()?);
        node.forward()?;
        let sides = [
            wire(&node, "client", &client, CLIENT)?,
            wire(&node, "server", &server, SERVER)?,
        ];
        let held = match judge {
            Judge::Nobody => Held::Nothing,
            Judge::Empty => node.run(|| empty(sides))??,
            Judge::Nftables => {
                nftables(&node)?;
                Held::Nothing
            }
            Judge::Porin => node.run(|| porin(sides, [None; 2]))??,
            Judge::Peer => {
                let macs = [client.mac("eth0")?, server.mac("eth0")?];
                node.run(|| porin(sides, macs.map(|mac| Some(mac.0))))??
            }
        };
        Ok(Self {
            judge,
            client,
            server,
            _node: node,
            held,
        })
    }

    /// The events of the judge, for whoever reads them.
    pub(crate) fn events(&mut self) -> Option<Events> {
        match &mut self.held {
            Held::Datapath { events, .. } => events.take(),
            Held::Nothing | Held::Links { .. } => None,
        }
    }
}

/// A wire with known neighbours; the index of its end at the node.
fn wire(node: &Namespace, name: &str, far: &Namespace, address: Ipv4Addr) -> Result<u32> {
    let router = Ipv4Addr::from_bits(address.to_bits() & !0xff | 1);
    let index = node.veth(name, far, "eth0")?.index;
    for (here, link, own) in [(node, name, router), (far, "eth0", address)] {
        here.add_address(link, format!("{own}/24").parse()?)?;
        here.up(link)?;
    }
    node.add_neighbour(name, address.into(), far.mac("eth0")?)?;
    far.add_neighbour("eth0", router.into(), node.mac(name)?)?;
    far.add_default_route("eth0", router.into())?;
    Ok(index)
}

fn empty(sides: [u32; 2]) -> Result<Held> {
    let program = Program::constant("empty", -1)?;
    let mut links = Vec::new();
    for side in sides {
        for hook in [TcxHook::Ingress, TcxHook::Egress] {
            links.push(Link::attach(
                program.as_fd(),
                side,
                hook,
                LinkPosition::First,
            )?);
        }
    }
    Ok(Held::Links {
        _links: links,
        _program: program,
    })
}

fn nftables(node: &Namespace) -> Result<()> {
    let others =
        (2..=PEERS).map(|peer| format!("{} : accept", Ipv4Addr::from_bits(0x0a01_0000 + peer)));
    let elements: Vec<String> = std::iter::once(format!("{CLIENT} : accept"))
        .chain(others)
        .collect();
    let rules = format!(
        "table ip porin {{
            map peers {{ type ipv4_addr : verdict; elements = {{ {} }} }}
            chain forward {{
                type filter hook forward priority 0; policy drop;
                ct state established,related accept
                ip saddr vmap @peers
            }}
        }}",
        elements.join(", ")
    );
    let mut command = Command::new("nft");
    command.args(["-f", "-"]).stdin(Stdio::piped());
    let mut nft = node.spawn(command)?;
    let mut stdin = nft.stdin().ok_or("nft takes no input")?;
    stdin.write_all(rules.as_bytes())?;
    drop(stdin);
    match nft.wait_for(Duration::from_secs(10))? {
        Some(status) if status.success() => Ok(()),
        other => Err(format!("nft has not taken the rules: {other:?}").into()),
    }
}

const POLICY: &str = "
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: bench, namespace: bench}
spec:
  endpointSelector: {}
  ingress: [{fromEndpoints: [{matchLabels: {role: peer}}]}]
  egress: [{toEndpoints: [{matchLabels: {role: peer}}]}]
";

fn porin(sides: [u32; 2], macs: [Option<[u8; 6]>; 2]) -> Result<Held> {
    let mut identities = Identities::new(Families::Dual);
    let peers = (0..PEERS).map(|peer| -> Result<IdentityId> {
        let labels = [
            ("role".to_owned(), "peer".to_owned()),
            ("name".to_owned(), peer.to_string()),
        ];
        let labels = labels
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()));
        Ok(identities
            .intern(Labels::workload("bench", None, "default", labels)?)?
            .id)
    });
    let peers: Vec<IdentityId> = peers.collect::<Result<_>>()?;
    let mut policies = PolicySet::new(Options::default().families(Families::Dual));
    policies.load([("bench.yaml", POLICY)])?;
    let mut datapath = Datapath::load(&Config::default())?;
    let events = datapath.events();
    let ends: [(u32, IpAddr); 2] = [(1, CLIENT.into()), (2, SERVER.into())];
    let ends = ends.into_iter().zip(sides).zip(peers).zip(macs);
    for ((((number, address), ifindex), identity), mac) in ends {
        let id = EndpointId::new(number);
        datapath.add_endpoint(EndpointSpec {
            id,
            ifindex,
            identity,
            addresses: vec![address],
        })?;
        let policy = policies.resolve(identity, &identities.snapshot())?;
        datapath.install(&[(id, policy.map_state())])?;
        datapath.set_delivery(id, mac)?;
        datapath.set_ready(id)?;
    }
    Ok(Held::Datapath {
        _datapath: Box::new(datapath),
        events,
    })
}
