//! Ports by the names that workloads give them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use porin_identity::IdentityId;

use crate::Protocol;

/// A port of a workload, by name (`containerPort` of the Kubernetes pod API).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NamedPort {
    name: Arc<str>,
    protocol: Protocol,
    port: u16,
}

impl NamedPort {
    /// A port; names are folded to lower case.
    pub fn new(name: &str, protocol: Protocol, port: u16) -> Self {
        Self {
            name: name.to_ascii_lowercase().into(),
            protocol,
            port,
        }
    }

    /// Its name, in lower case.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its protocol.
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Its number.
    pub fn port(&self) -> u16 {
        self.port
    }
}

/// The named ports of one identity: what all its workloads agree upon.
///
/// ```
/// use porin_policy::{NamedPort, PortNames, Protocol};
/// let mut names = PortNames::default();
/// names.add(&[NamedPort::new("web", Protocol::TCP, 8080)]);
/// assert_eq!(names.get("web", Protocol::TCP), Some(8080));
/// names.add(&[NamedPort::new("web", Protocol::TCP, 9090)]); // a second workload disagrees
/// assert_eq!(names.get("web", Protocol::TCP), None);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PortNames(BTreeMap<(Arc<str>, Protocol), Option<u16>>);

impl PortNames {
    /// Adds the ports of a workload. A name that two workloads give to two numbers leads nowhere.
    pub fn add(&mut self, ports: &[NamedPort]) {
        for port in ports {
            let key = (Arc::clone(&port.name), port.protocol);
            let held = self.0.entry(key).or_insert(Some(port.port));
            if *held != Some(port.port) {
                *held = None;
            }
        }
    }

    /// The number of a name.
    #[must_use]
    pub fn get(&self, name: &str, protocol: Protocol) -> Option<u16> {
        *self.0.get(&(Arc::from(name), protocol))?
    }

    /// The names that lead somewhere, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Arc<str>, Protocol, u16)> {
        let known = self.0.iter();
        known.filter_map(|((name, protocol), port)| Some((name, *protocol, (*port)?)))
    }

    /// Whether there is no name at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The named ports of all identities, as egress rules need them.
pub type NamedPorts = HashMap<IdentityId, PortNames>;
