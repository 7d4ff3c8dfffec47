//! A node with a namespace for every endpoint of a cluster, and the enforcer that holds it.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use porin::datapath::Limits;
use porin::enforcer::{EndpointSpec, Enforcer};
use porin::flow::EndpointId;
use porin::identity::Labels;
use porin::policy::{IpBlocks, NamedPort, Options, RefusedDocuments, Semantics};
use porin_testbed::suite::{Failed, Outcome};
use porin_testbed::{Mac, Namespace};

use crate::case::{Cluster, Step};
use crate::now;

/// Nobody has them: the node's devices are named as their stations.
const GATEWAYS: [&str; 2] = ["169.254.0.1", "fd00:ffff::1"];

/// Somebody in a namespace of his own.
pub(crate) struct Inhabitant {
    pub(crate) namespace: Namespace,
    pub(crate) ip: IpAddr,
    /// Of his device and of the node's.
    pub(crate) macs: (Mac, Mac),
    link: String,
    /// Where the enforcer governs him.
    governed: Option<Governed>,
}

struct Governed {
    id: EndpointId,
    labels: Labels,
    ports: Vec<NamedPort>,
}

/// The test runs in the namespace of the node.
pub(crate) struct Field {
    node: Namespace,
    pub(crate) enforcer: Enforcer,
    pub(crate) inhabitants: BTreeMap<String, Inhabitant>,
    links: u32,
}

impl Field {
    pub(crate) fn new() -> Result<Self, Failed> {
        let node = Namespace::current()?;
        let limits = Limits {
            endpoints: 32,
            policies: 64,
            flows: 8192,
            ..Limits::default()
        };
        let options = Options::new()
            .semantics(Semantics::Strict)
            .refused(RefusedDocuments::Error)
            .ip_blocks(IpBlocks::MatchPods);
        Ok(Self {
            node,
            enforcer: Enforcer::builder()
                .node("test")
                .limits(limits)
                .options(options)
                .open()?,
            inhabitants: BTreeMap::new(),
            links: 0,
        })
    }

    /// Goes to the next step: who came, went or changed, and the policies.
    pub(crate) fn follow(&mut self, cluster: &Cluster, step: &Step) -> Outcome {
        let pods = cluster
            .pods
            .iter()
            .map(|pod| (pod.name(), pod.ip, Some(pod)));
        let externals = cluster
            .externals
            .iter()
            .map(|one| (one.name(), one.ip, None));
        let present: Vec<_> = pods.chain(externals).collect();
        let gone = self
            .inhabitants
            .keys()
            .filter(|known| !present.iter().any(|(name, ..)| name == *known));
        for name in gone.cloned().collect::<Vec<_>>() {
            self.remove(&name)?;
        }
        for (name, ip, pod) in present {
            let governed = match pod {
                Some(pod) => Some((cluster.labels(pod)?, pod.ports()?)),
                None => None,
            };
            self.place(name, ip, governed)?;
        }
        let policies = step.policies.iter().enumerate();
        let policies =
            policies.map(|(place, policy)| (format!("policies[{place}]"), policy.to_string()));
        self.enforcer.load_policies(policies, now())?;
        self.enforcer.drain(drop);
        Ok(())
    }

    fn place(
        &mut self,
        name: String,
        ip: IpAddr,
        wanted: Option<(Labels, Vec<NamedPort>)>,
    ) -> Outcome {
        if let Some(known) = self.inhabitants.get_mut(&name) {
            let stays = known.ip == ip;
            match (&mut known.governed, &wanted) {
                (None, None) if stays => return Ok(()),
                (Some(governed), Some((labels, ports))) if stays && governed.ports == *ports => {
                    if governed.labels != *labels {
                        self.enforcer.relabel(governed.id, labels.clone(), now())?;
                        governed.labels = labels.clone();
                    }
                    return Ok(());
                }
                _ => self.remove(&name)?,
            }
        }
        let mut inhabitant = self.connect(ip)?;
        if let Some((labels, ports)) = wanted {
            let ifindex = self.node.index(&inhabitant.link)?;
            let spec = EndpointSpec::new(&name, labels.clone(), ifindex)
                .address(ip)
                .ports(ports.iter().cloned());
            let id = self.enforcer.add_endpoint(spec, now())?;
            inhabitant.governed = Some(Governed { id, labels, ports });
        }
        self.inhabitants.insert(name, inhabitant);
        Ok(())
    }

    fn remove(&mut self, name: &str) -> Outcome {
        let Some(gone) = self.inhabitants.remove(name) else {
            return Ok(());
        };
        if let Some(governed) = gone.governed {
            self.enforcer.remove_endpoint(governed.id, now())?;
        }
        Ok(self.node.delete(&gone.link)?)
    }

    /// A namespace behind a link. Both ends know each other's station: nothing is asked on the link.
    fn connect(&mut self, ip: IpAddr) -> Result<Inhabitant, Failed> {
        let namespace = Namespace::new()?;
        self.links += 1;
        let link = format!("pod{}", self.links);
        self.node.veth(&link, &namespace, "eth0")?;
        let own = IpNet::from(ip);
        namespace.add_address("eth0", own)?;
        namespace.up("eth0")?;
        self.node.up(&link)?;
        let macs = (namespace.mac("eth0")?, self.node.mac(&link)?);
        let gateway: IpAddr = GATEWAYS[usize::from(ip.is_ipv6())].parse()?;
        namespace.add_route(gateway.into(), "eth0", None)?;
        namespace.add_default_route("eth0", gateway)?;
        namespace.add_neighbour("eth0", gateway, macs.1)?;
        self.node.add_route(own, &link, None)?;
        self.node.add_neighbour(&link, ip, macs.0)?;
        Ok(Inhabitant {
            namespace,
            ip,
            macs,
            link,
            governed: None,
        })
    }
}
