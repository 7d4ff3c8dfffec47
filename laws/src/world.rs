use std::collections::BTreeMap;
use std::net::IpAddr;

use porin_identity::{Families, Identities, IdentityId, Label, Labels, Snapshot, key, source};
use porin_policy::{
    Backends, Direction, EndpointPolicy, NamedPort, NamedPorts, Options, PolicySet, PortNames,
    Protocol, Query, Reference, ResolveError, Resolver, Service,
};
use porin_worlds::Random;
use serde::Deserialize;
use serde_json::Value;

use crate::Broken;
use crate::config::Config;

/// A random world, ready to be asked about.
#[derive(Debug)]
pub struct World {
    /// The settings.
    pub options: Options,
    /// The documents as texts; each is a file of its own.
    pub policies: Vec<String>,
    /// What `toServices` can mean.
    pub services: Vec<Service>,
    /// Who exists.
    pub identities: Vec<(IdentityId, Labels)>,
    /// The address families of the registry.
    pub families: Families,
    /// Whose policy is asked for.
    pub subject: IdentityId,
    /// The named ports of every identity.
    pub named_ports: NamedPorts,
    /// The named ports of the subject's own workload.
    pub own_ports: PortNames,
    /// What is asked.
    pub queries: Vec<Query>,
}

#[derive(Debug, Deserialize)]
struct Written {
    config: Config,
    policies: Vec<String>,
    identities: Vec<Identity>,
    subject: u32,
    #[serde(default)]
    services: Vec<NamedService>,
    #[serde(default)]
    named_ports: Ports,
    flows: Vec<Flow>,
}

#[derive(Debug, Deserialize)]
struct Identity {
    id: u32,
    labels: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct NamedService {
    name: Box<str>,
    namespace: Box<str>,
    #[serde(default)]
    labels: BTreeMap<Box<str>, Box<str>>,
    selectorless: bool,
    #[serde(default)]
    selector: BTreeMap<Box<str>, Box<str>>,
    #[serde(default)]
    endpoints: Vec<IpAddr>,
}

#[derive(Debug, Default, Deserialize)]
struct Ports {
    subject: Vec<OnePort>,
    cluster: Vec<OnePort>,
}

#[derive(Debug, Deserialize)]
struct OnePort {
    name: String,
    port: u16,
    protocol: String,
}

#[derive(Debug, Deserialize)]
struct Flow {
    direction: String,
    peer: u32,
    protocol: String,
    port: u16,
}

impl World {
    /// The world of the whole language with a number, of a seed.
    ///
    /// # Errors
    /// If the world is not in the format that worlds are written in.
    pub fn random(seed: u64, number: u64, flows: usize) -> Result<Self, Broken> {
        Self::read(&porin_worlds::whole_world(seed, number, flows))
    }

    /// The world whose choices bytes spell out.
    ///
    /// # Errors
    /// As [`World::random`].
    pub fn spelt(bytes: &[u8], flows: usize) -> Result<Self, Broken> {
        Self::read(&porin_worlds::whole_world_of(Random::spelt(bytes), flows))
    }

    /// The world that a JSON object holds, in the format of the policy cases.
    ///
    /// # Errors
    /// If it is not in that format.
    pub fn read(world: &Value) -> Result<Self, Broken> {
        let written = Written::deserialize(world).map_err(Broken::of)?;
        let mut identities = Vec::new();
        for identity in &written.identities {
            let labels: Result<Labels, _> = identity
                .labels
                .iter()
                .map(|label| label.parse::<Label>())
                .collect();
            identities.push((IdentityId::new(identity.id), labels.map_err(Broken::of)?));
        }
        let (mut named_ports, own_ports) =
            (NamedPorts::new(), names(&written.named_ports.subject)?);
        let everywhere = names(&written.named_ports.cluster)?;
        for (place, (id, labels)) in identities.iter().enumerate() {
            // Not all of them agree.
            let named = if place % 3 == 0 {
                &own_ports
            } else {
                &everywhere
            };
            if labels.has_key(source::K8S, key::NAMESPACE) {
                named_ports.insert(*id, named.clone());
            }
        }
        let queries: Result<Vec<_>, _> = written.flows.iter().map(Flow::query).collect();
        Ok(Self {
            options: written.config.options(),
            families: written.config.families(),
            services: written.services.iter().map(NamedService::service).collect(),
            policies: written.policies,
            identities,
            subject: IdentityId::new(written.subject),
            named_ports,
            own_ports,
            queries: queries?,
        })
    }

    /// The files, as a set loads them.
    pub fn files(&self) -> impl Iterator<Item = (String, &str)> {
        let texts = self.policies.iter().enumerate();
        texts.map(|(at, text)| (format!("policies[{at}]"), text.as_str()))
    }

    /// The policies in force.
    ///
    /// # Errors
    /// If they cannot be loaded.
    pub fn set(&self) -> Result<PolicySet, Broken> {
        let mut set = PolicySet::new(self.options.clone());
        set.set_services(self.services.iter().cloned());
        set.load(self.files()).map_err(Broken::of)?;
        Ok(set)
    }

    /// The registry of everybody.
    ///
    /// # Errors
    /// If two have one number.
    pub fn registry(&self) -> Result<Identities, Broken> {
        let mut registry = Identities::new(self.families);
        for (id, labels) in &self.identities {
            registry
                .insert_fixed(*id, labels.clone())
                .map_err(Broken::of)?;
        }
        Ok(registry)
    }

    /// The subject's policy as the fast engine has it.
    ///
    /// # Errors
    /// As [`Resolver::resolve_endpoint`].
    pub fn resolve(
        &self,
        set: &PolicySet,
        everybody: &Snapshot,
    ) -> Result<EndpointPolicy, ResolveError> {
        self.resolver(set, everybody)
            .resolve_endpoint(self.subject, &self.own_ports)
    }

    /// A resolver that knows the named ports.
    #[must_use]
    pub fn resolver(&self, set: &PolicySet, everybody: &Snapshot) -> Resolver {
        let mut resolver = Resolver::new(set, everybody);
        for (identity, names) in &self.named_ports {
            resolver.set_named_ports(*identity, names.clone());
        }
        resolver
    }

    /// The subject's policy as the reference has it.
    ///
    /// # Errors
    /// As [`Resolver::resolve_endpoint`].
    pub fn reference<'a>(
        &'a self,
        set: &'a PolicySet,
        everybody: &'a Snapshot,
    ) -> Result<Reference<'a>, ResolveError> {
        let reference = Reference::new(set, everybody, self.subject)?
            .named_ports(&self.named_ports)
            .own_ports(&self.own_ports);
        match reference.conflict() {
            Some(conflict) => Err(conflict),
            None => Ok(reference),
        }
    }
}

fn names(ports: &[OnePort]) -> Result<PortNames, Broken> {
    let mut names = PortNames::default();
    for port in ports {
        let protocol = port.protocol.parse().map_err(Broken::of)?;
        names.add(&[NamedPort::new(&port.name, protocol, port.port)]);
    }
    Ok(names)
}

impl NamedService {
    fn service(&self) -> Service {
        let backends = match self.selectorless {
            true => Backends::Addresses(self.endpoints.clone()),
            false => Backends::Pods(self.selector.clone()),
        };
        Service {
            name: self.name.clone(),
            namespace: self.namespace.clone(),
            labels: self.labels.clone(),
            backends,
        }
    }
}

impl Flow {
    fn query(&self) -> Result<Query, Broken> {
        let direction = match self.direction.as_str() {
            "ingress" => Direction::Ingress,
            "egress" => Direction::Egress,
            other => return Err(Broken::of(format!("unknown direction `{other}`"))),
        };
        let protocol: Protocol = self.protocol.parse().map_err(Broken::of)?;
        Ok(Query {
            direction,
            peer: IdentityId::new(self.peer),
            protocol,
            port: self.port,
        })
    }
}
