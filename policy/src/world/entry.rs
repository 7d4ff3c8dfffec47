//! What stands in a world file.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use porin_identity::{Labels, ParseLabelError};

use crate::protocol::Protocol;
use crate::rule::Location;
use crate::{NamedPort, Service};

/// The workloads of a cluster, what else is in it, and the ranges around it.
///
/// ```
/// let world = porin_policy::World::parse("world.yaml", "
/// workloads:
/// - name: web
///   namespace: shop
///   labels: {app: web}
///   ports: [{port: 443, protocol: TCP, name: https}]
///   addresses: [10.1.0.7]
/// namespaces:
/// - {name: shop, labels: {team: sales}}
/// nodes:
/// - {name: node-1, labels: {zone: a}, addresses: [10.2.0.1]}
/// services:
/// - {name: web, namespace: shop, selector: {app: web}}
/// outside:
/// - {name: internet, cidr: 203.0.113.0/24, names: [www.example.com]}
/// ")?;
/// let web = world.workload("web").ok_or("no web")?;
/// assert_eq!(&*web.namespace, "shop");
/// assert!(web.identity("default")?.to_string().contains("namespace.labels.team=sales"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct World {
    /// What runs in the cluster, by unique names.
    pub workloads: Vec<Workload>,
    /// The nodes that policies can tell apart, by unique names.
    pub nodes: Vec<NodeEntry>,
    /// The services that `toServices` can mean.
    pub services: Vec<Service>,
    /// What lies around it, by unique names.
    pub outside: Vec<Outside>,
}

/// One workload.
#[derive(Debug, Clone)]
pub struct Workload {
    /// Its name in the file.
    pub name: Arc<str>,
    /// Its namespace (`default` if the file does not say).
    pub namespace: Arc<str>,
    /// The labels that its namespace carries.
    pub namespace_labels: Arc<[(Box<str>, Box<str>)]>,
    /// The cluster it runs in; `None` for the one that is asked about.
    pub cluster: Option<Arc<str>>,
    /// Its service account.
    pub service_account: Option<Arc<str>>,
    /// The labels that its owner gave it.
    pub labels: Vec<(Box<str>, Box<str>)>,
    /// What it listens on.
    pub ports: Vec<WorkloadPort>,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// Where it stands in the file.
    pub location: Location,
}

impl Workload {
    /// The labels that make its identity; `cluster` is the name of its cluster unless the file
    /// names one.
    ///
    /// # Errors
    /// When the cluster's name is no label value. (The rest was checked when the file was read.)
    pub fn identity(&self, cluster: &str) -> Result<Labels, ParseLabelError> {
        let cluster = self.cluster.as_deref().unwrap_or(cluster);
        let mut labels = porin_identity::Workload::new(&self.namespace)
            .cluster(cluster)
            .labels(self.labels.iter().map(|(key, value)| (key, value)));
        if let Some(account) = &self.service_account {
            labels = labels.service_account(account);
        }
        for (key, value) in self.namespace_labels.iter() {
            labels = labels.namespace_label(key, value);
        }
        labels.build()
    }

    /// Its ports that have names.
    pub fn named_ports(&self) -> Vec<NamedPort> {
        let named = |port: &WorkloadPort| {
            let name = port.name.as_deref()?;
            Some(NamedPort::new(name, port.protocol, port.port))
        };
        self.ports.iter().filter_map(named).collect()
    }
}

/// A port on which a workload listens.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct WorkloadPort {
    /// The port.
    pub port: u16,
    /// The protocol; TCP if the file does not say.
    pub protocol: Protocol,
    /// Its name, which policies can use in place of the number.
    pub name: Option<Arc<str>>,
}

/// A node of the cluster.
#[derive(Debug, Clone)]
pub struct NodeEntry {
    /// Its name in the file.
    pub name: Arc<str>,
    /// The labels that it carries.
    pub labels: Vec<(Box<str>, Box<str>)>,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// Where it stands in the file.
    pub location: Location,
}

/// A range outside of the cluster.
#[derive(Debug, Clone)]
pub struct Outside {
    /// Its name in the file.
    pub name: Arc<str>,
    /// The block.
    pub cidr: IpNet,
    /// Addresses inside the block that somebody really has.
    pub addresses: Vec<IpAddr>,
    /// The DNS names that lead there.
    pub names: Vec<Box<str>>,
    /// Where it stands in the file.
    pub location: Location,
}

impl Outside {
    /// The address that stands for the range: the first listed one, else the first host.
    pub fn sample(&self) -> IpAddr {
        let listed = self.addresses.first().copied();
        listed
            .or_else(|| self.cidr.hosts().next())
            .unwrap_or(self.cidr.addr())
    }
}

impl World {
    /// The workload of that name.
    pub fn workload(&self, name: &str) -> Option<&Workload> {
        self.workloads
            .iter()
            .find(|workload| &*workload.name == name)
    }

    /// The range of that name.
    pub fn range(&self, name: &str) -> Option<&Outside> {
        self.outside.iter().find(|outside| &*outside.name == name)
    }

    /// The node of that name.
    pub fn node(&self, name: &str) -> Option<&NodeEntry> {
        self.nodes.iter().find(|node| &*node.name == name)
    }
}
