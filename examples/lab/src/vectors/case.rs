//! The format of a policy case.

use std::collections::BTreeMap;
use std::net::IpAddr;

use porin::identity::{Families, IdentityId, Label, Labels, key, source};
use porin::policy::{
    AllowLocalhost, Backends, CidrMatch, Direction, Enforcement, IpBlocks, NamedPort, NamedPorts,
    NetworkPolicyReading, Options, PortNames, Protocol, Query, RefusedDocuments, Semantics,
    Service,
};
use serde::Deserialize;
use serde_json::Value;

/// Documents, identities, a subject, and what the reference decides about its flows.
#[derive(Debug, Deserialize)]
pub(crate) struct Case {
    config: Config,
    /// One YAML document each.
    pub(crate) policies: Vec<String>,
    pub(crate) identities: Vec<Identity>,
    pub(crate) subject: u32,
    #[serde(default)]
    services: Vec<NamedService>,
    #[serde(default)]
    named_ports: Ports,
    /// Every block that the policies name.
    pub(crate) cidr_prefixes: Option<Vec<ipnet::IpNet>>,
    /// Indexes of the documents that are refused.
    #[serde(default)]
    policy_errors: Vec<String>,
    /// The subject's policy cannot be computed.
    #[serde(default)]
    pub(crate) resolve_error: bool,
    pub(crate) ingress_enforced: bool,
    pub(crate) egress_enforced: bool,
    pub(crate) flows: Vec<Flow>,
}

#[derive(Debug, Deserialize)]
struct Config {
    enforcement: String,
    allow_localhost: String,
    dual_stack: bool,
    host_firewall: bool,
    cluster_name: String,
    default_local_cluster: bool,
    node_selector_labels: bool,
    non_default_deny: bool,
    #[serde(default)]
    cidr_match: Reach,
    #[serde(default)]
    portless_protocols: bool,
}

/// Whom blocks pick besides the world.
#[derive(Debug, Default, Deserialize)]
struct Reach {
    nodes: bool,
    pods: bool,
}

#[derive(Debug, Deserialize)]
struct NamedService {
    name: Box<str>,
    namespace: Box<str>,
    #[serde(default)]
    labels: BTreeMap<Box<str>, Box<str>>,
    selectorless: bool,
    /// The labels of the pods behind it, where the case tells them.
    #[serde(default)]
    selector: BTreeMap<Box<str>, Box<str>>,
    #[serde(default)]
    endpoints: Vec<IpAddr>,
}

/// Ports by name: those of the subject, and those that every pod has.
#[derive(Debug, Default, Deserialize)]
struct Ports {
    #[serde(default)]
    subject: Vec<OnePort>,
    #[serde(default)]
    cluster: Vec<OnePort>,
}

#[derive(Debug, Deserialize)]
struct OnePort {
    name: String,
    port: u16,
    protocol: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Identity {
    pub(crate) id: u32,
    labels: Vec<String>,
}

/// One question and its answer.
#[derive(Debug, Deserialize)]
pub(crate) struct Flow {
    direction: String,
    pub(crate) peer: u32,
    protocol: String,
    port: u16,
    pub(super) verdict: String,
    pub(super) redirect: Option<String>,
    pub(super) auth: Option<String>,
    pub(super) l7: Option<Content>,
}

/// What the proxy is told about a flow.
#[derive(Debug, Deserialize)]
pub(super) struct Content {
    pub(super) allow_all: bool,
    /// As in a policy document.
    #[serde(default)]
    pub(super) rules: Vec<Value>,
    #[serde(default)]
    pub(super) server_names: Vec<String>,
    pub(super) listener: Option<String>,
}

impl Case {
    /// The settings of the reference, in our options.
    pub(crate) fn options(&self) -> Result<Options, String> {
        let config = &self.config;
        let enforcement = match config.enforcement.as_str() {
            "default" => Enforcement::Default,
            "always" => Enforcement::Always,
            "never" => Enforcement::Never,
            other => return Err(format!("unknown enforcement `{other}`")),
        };
        let localhost = match config.allow_localhost.as_str() {
            "always" => AllowLocalhost::Always,
            "policy" => AllowLocalhost::Policy,
            other => return Err(format!("unknown allow_localhost `{other}`")),
        };
        Ok(Options::new()
            .semantics(Semantics::Cilium)
            .refused(RefusedDocuments::Skip)
            .enforcement(enforcement)
            .allow_localhost(localhost)
            .families(self.families())
            .host_firewall(config.host_firewall)
            .cluster_name(config.cluster_name.clone())
            .default_local_cluster(config.default_local_cluster)
            .node_labels(config.node_selector_labels)
            .non_default_deny(config.non_default_deny)
            .cidr_match(CidrMatch {
                nodes: config.cidr_match.nodes,
                pods: config.cidr_match.pods,
            })
            .portless_protocols(config.portless_protocols)
            .network_policies(NetworkPolicyReading::Cilium)
            .ip_blocks(IpBlocks::SkipPods))
    }

    /// The services whose backends the case knows: it may not say what others select.
    pub(crate) fn services(&self) -> impl Iterator<Item = Service> {
        let services = self.services.iter();
        let known = services.filter(|service| service.selectorless || !service.selector.is_empty());
        known.map(|service| Service {
            name: service.name.clone(),
            namespace: service.namespace.clone(),
            labels: service.labels.clone(),
            backends: match service.selectorless {
                true => Backends::Addresses(service.endpoints.clone()),
                false => Backends::Pods(service.selector.clone()),
            },
        })
    }

    /// The named ports of the subject's own workload.
    pub(crate) fn own_ports(&self) -> Result<PortNames, String> {
        port_names(&self.named_ports.subject)
    }

    /// The named ports of every identity: those of the cluster, for each that has a namespace.
    pub(crate) fn named_ports(&self) -> Result<NamedPorts, String> {
        let names = port_names(&self.named_ports.cluster)?;
        let pod = |labels: &Labels| labels.has_key(source::K8S, key::NAMESPACE);
        let mut named = NamedPorts::new();
        for identity in &self.identities {
            if pod(&identity.labels()?) {
                named.insert(IdentityId::new(identity.id), names.clone());
            }
        }
        Ok(named)
    }

    pub(crate) fn families(&self) -> Families {
        if self.config.dual_stack {
            Families::Dual
        } else {
            Families::V4
        }
    }

    /// Whether the document at this place is refused by the reference.
    pub(crate) fn refuses(&self, index: usize) -> bool {
        self.policy_errors
            .iter()
            .any(|text| *text == index.to_string())
    }
}

fn port_names(ports: &[OnePort]) -> Result<PortNames, String> {
    let mut names = PortNames::default();
    for OnePort {
        name,
        port,
        protocol,
    } in ports
    {
        let protocol = protocol.parse().map_err(|_| protocol.clone())?;
        names.add(&[NamedPort::new(name, protocol, *port)]);
    }
    Ok(names)
}

impl Identity {
    pub(crate) fn labels(&self) -> Result<Labels, String> {
        let label = |text: &String| text.parse::<Label>().map_err(|e| e.to_string());
        self.labels.iter().map(label).collect()
    }
}

impl Flow {
    pub(crate) fn query(&self) -> Result<Query, String> {
        let peer = IdentityId::new(self.peer);
        let direction = match self.direction.as_str() {
            "ingress" => Direction::Ingress,
            "egress" => Direction::Egress,
            other => return Err(format!("unknown direction `{other}`")),
        };
        let protocol: Protocol = self.protocol.parse().map_err(|_| self.protocol.clone())?;
        Ok(Query {
            direction,
            peer,
            protocol,
            port: self.port,
        })
    }
}
