//! A client and a server on one node, under policies of a known size.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::{IpNet, Ipv4Net};
use porin::{
    datapath::{Config, Datapath, EndpointSpec, Events, Limits},
    flow::EndpointId,
    identity::{Families, Identities, IdentityId, Labels},
    policy::{EndpointPolicy, Options, PolicySet},
};
use porin_testbed::Namespace;

use crate::Result;

/// Server and client know each other; the client may open TCP port 80 of the server, no other.
const POLICY: &str = "
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: server, namespace: bench}
spec:
  endpointSelector: {matchLabels: {app: server}}
  ingress:
  - fromEndpoints: [{matchLabels: {app: client}}]
    toPorts: [{ports: [{port: '80', protocol: TCP}]}]
---
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: client, namespace: bench}
spec:
  endpointSelector: {matchLabels: {app: client}}
  egress:
  - toEndpoints: [{matchLabels: {app: server}}]
    toPorts: [{ports: [{port: '80', protocol: TCP}]}]
";

pub(crate) const CLIENT: EndpointId = EndpointId::new(1);
pub(crate) const SERVER: EndpointId = EndpointId::new(2);
pub(crate) const CLIENT_ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
pub(crate) const SERVER_ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2));

/// How much the tables hold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tables {
    /// Clients and servers, each a label set of its own: entries of a policy.
    pub(crate) peers: u32,
    /// Blocks of addresses.
    pub(crate) blocks: u32,
}

/// Two endpoints and the datapath in front of them.
pub(crate) struct Site {
    pub(crate) datapath: Datapath,
    pub(crate) events: Events,
    pub(crate) client: u32,
    pub(crate) server: u32,
    /// The client's policy.
    pub(crate) policy: EndpointPolicy,
}

impl Site {
    /// In the namespace of the node, which the calling thread is in.
    pub(crate) fn new(
        node: &Namespace,
        name: &str,
        pods: &Namespace,
        tables: Tables,
    ) -> Result<Self> {
        let [client, server] = ["c", "s"].map(|end| {
            let end = format!("{end}-{name}");
            node.veth(&end, pods, &end).map(|veth| veth.index)
        });
        let (client, server) = (client?, server?);
        let mut identities = Identities::new(Families::Dual);
        let mut identity = |app, number: u32| -> Result<IdentityId> {
            let number = number.to_string();
            let own = [("app", app), ("number", number.as_str())];
            let labels = Labels::workload("bench", None, "default", own)?;
            Ok(identities.intern(labels)?.id)
        };
        let pair = (identity("client", 0)?, identity("server", 0)?);
        for number in 1..tables.peers {
            identity("client", number)?;
            identity("server", number)?;
        }
        let mut policies = PolicySet::new(Options::default().families(Families::Dual));
        policies.load([("bench.yaml", POLICY)])?;
        let known = identities.snapshot();
        let [of_client, of_server] =
            [pair.0, pair.1].map(|identity| policies.resolve(identity, &known));
        let (of_client, of_server) = (of_client?, of_server?);

        let mut datapath = Datapath::load(&Config {
            limits: Limits {
                prefixes: 1 << 17,
                ..Limits::default()
            },
            ..Config::default()
        })?;
        let events = datapath.events().ok_or("the datapath has no events")?;
        let block = |number: u32| -> Result<(IpNet, Option<IdentityId>)> {
            let base = Ipv4Addr::from_bits(0x0b00_0000 + (number << 8));
            Ok((
                Ipv4Net::new(base, 24)?.into(),
                Some(IdentityId::new((1 << 24) + 1 + number)),
            ))
        };
        let blocks = (0..tables.blocks).map(block).collect::<Result<Vec<_>>>()?;
        datapath.apply_prefixes(&blocks)?;
        for (id, ifindex, identity, address, policy) in [
            (CLIENT, client, pair.0, CLIENT_ADDRESS, &of_client),
            (SERVER, server, pair.1, SERVER_ADDRESS, &of_server),
        ] {
            let addresses = vec![address];
            datapath.add_endpoint(EndpointSpec {
                id,
                ifindex,
                identity,
                addresses,
            })?;
            datapath.install(&[(id, policy.map_state())])?;
            datapath.set_ready(id)?;
        }
        Ok(Self {
            datapath,
            events,
            client,
            server,
            policy: of_client,
        })
    }
}
