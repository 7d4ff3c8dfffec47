//! A policy case, whoever wrote it: settings, documents, identities, a subject and questions.
#![allow(dead_code, reason = "each test file uses its own part")]

use porin_identity::{Families, Identities, IdentityId, Label, Labels, Snapshot};
use porin_policy::{
    AllowLocalhost, Backends, CidrMatch, EndpointPolicy, Enforcement, IpBlocks, NamedPort,
    NamedPorts, NetworkPolicyReading, Options, PolicySet, PortNames, Query, Reference,
    RefusedDocuments, ResolveError, Resolver, Service,
};
use serde_json::Value;

/// A world to be asked about.
pub(crate) struct World {
    pub(crate) name: String,
    pub(crate) options: Options,
    pub(crate) texts: Vec<String>,
    pub(crate) services: Vec<Service>,
    pub(crate) identities: Snapshot,
    pub(crate) subject: IdentityId,
    pub(crate) named: NamedPorts,
    pub(crate) own: PortNames,
    pub(crate) queries: Vec<Query>,
}

impl World {
    /// Reads a case; what it does not say is as upstream has it.
    pub(crate) fn read(world: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let families = match world["config"]["dual_stack"].as_bool().unwrap() {
            true => Families::Dual,
            false => Families::V4,
        };
        let mut identities = Identities::new(families);
        let mut named = NamedPorts::new();
        for identity in world["identities"].as_array().unwrap() {
            let texts = identity["labels"].as_array().unwrap().iter();
            let labels: Labels = texts
                .map(|one| text(one).parse::<Label>().unwrap())
                .collect();
            let id = id(&identity["id"]);
            if labels.namespace().is_some() {
                named.insert(id, names(&world["named_ports"]["cluster"]));
            }
            identities.insert_fixed(id, labels).unwrap();
        }
        Self {
            name: text(&world["name"]),
            options: options(&world["config"], families),
            texts: world["policies"]
                .as_array()
                .unwrap()
                .iter()
                .map(text)
                .collect(),
            services: services(&world["services"]),
            identities: identities.snapshot(),
            subject: id(&world["subject"]),
            named,
            own: names(&world["named_ports"]["subject"]),
            queries: world["flows"]
                .as_array()
                .unwrap()
                .iter()
                .map(query)
                .collect(),
        }
    }

    /// Loads the documents; which of them were refused.
    pub(crate) fn load(&self, options: Options) -> (PolicySet, Vec<String>) {
        let mut set = PolicySet::new(options);
        set.set_services(self.services.clone());
        let files = self.texts.iter().enumerate();
        let files = files.map(|(at, text)| (at.to_string(), text));
        let report = set.load(files).unwrap();
        let refused = report.refused.iter();
        let refused = refused.map(|refused| refused.error.location().file().to_owned());
        (set, refused.collect())
    }

    pub(crate) fn resolve(&self, set: &PolicySet) -> Result<EndpointPolicy, ResolveError> {
        let mut resolver = Resolver::new(set, &self.identities);
        for (identity, names) in &self.named {
            resolver.set_named_ports(*identity, names.clone());
        }
        resolver.resolve_endpoint(self.subject, &self.own)
    }

    pub(crate) fn reference<'a>(&'a self, set: &'a PolicySet) -> Reference<'a> {
        let reference = Reference::new(set, &self.identities, self.subject).unwrap();
        reference.named_ports(&self.named).own_ports(&self.own)
    }
}

fn id(value: &Value) -> IdentityId {
    IdentityId::new(u32::try_from(value.as_u64().unwrap()).unwrap())
}

fn query(flow: &Value) -> Query {
    let query = match flow["direction"].as_str().unwrap() {
        "ingress" => Query::ingress(id(&flow["peer"])),
        _ => Query::egress(id(&flow["peer"])),
    };
    let port = u16::try_from(flow["port"].as_u64().unwrap()).unwrap();
    query.on(flow["protocol"].as_str().unwrap().parse().unwrap(), port)
}

fn names(ports: &Value) -> PortNames {
    let mut names = PortNames::default();
    for port in ports.as_array().into_iter().flatten() {
        let number = u16::try_from(port["port"].as_u64().unwrap()).unwrap();
        let protocol = port["protocol"].as_str().unwrap().parse().unwrap();
        names.add(&[NamedPort::new(
            port["name"].as_str().unwrap(),
            protocol,
            number,
        )]);
    }
    names
}

/// The services whose backends the case knows: it may not say what others select.
fn services(list: &Value) -> Vec<Service> {
    let boxed = |value: &Value| Box::from(value.as_str().unwrap());
    let labels = |value: &Value| {
        let labels = value.as_object().into_iter().flatten();
        labels
            .map(|(key, value)| (key.as_str().into(), boxed(value)))
            .collect()
    };
    let one = |service: &Value| {
        let endpoints = service["endpoints"].as_array().into_iter().flatten();
        let endpoints = endpoints.map(|one| one.as_str().unwrap().parse().unwrap());
        let backends = match service["selectorless"] == true {
            true => Backends::Addresses(endpoints.collect()),
            false => Backends::Pods(
                Some(&service["selector"])
                    .filter(|one| one.is_object())
                    .map(labels)?,
            ),
        };
        Some(Service {
            name: boxed(&service["name"]),
            namespace: boxed(&service["namespace"]),
            labels: labels(&service["labels"]),
            backends,
        })
    };
    list.as_array()
        .into_iter()
        .flatten()
        .filter_map(one)
        .collect()
}

fn options(config: &Value, families: Families) -> Options {
    let flag = |field: &str| config[field].as_bool().unwrap();
    let also = |pointer: &str| config.pointer(pointer) == Some(&Value::Bool(true));
    Options::new()
        .refused(RefusedDocuments::Skip)
        .families(families)
        .enforcement(match config["enforcement"].as_str().unwrap() {
            "always" => Enforcement::Always,
            "never" => Enforcement::Never,
            _ => Enforcement::Default,
        })
        .allow_localhost(match config["allow_localhost"].as_str().unwrap() {
            "policy" => AllowLocalhost::Policy,
            _ => AllowLocalhost::Always,
        })
        .host_firewall(flag("host_firewall"))
        .cluster_name(config["cluster_name"].as_str().unwrap())
        .default_local_cluster(flag("default_local_cluster"))
        .node_labels(flag("node_selector_labels"))
        .non_default_deny(flag("non_default_deny"))
        .cidr_match(CidrMatch {
            nodes: also("/cidr_match/nodes"),
            pods: also("/cidr_match/pods"),
        })
        .portless_protocols(also("/portless_protocols"))
        .network_policies(NetworkPolicyReading::Cilium)
        .ip_blocks(IpBlocks::SkipPods)
}
