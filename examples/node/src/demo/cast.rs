//! Who takes part: everybody of the world file, the look-alikes, and the newcomer.

use std::collections::BTreeMap;
use std::net::IpAddr;

use porin::policy::World;

/// Somebody with addresses: a pod, or a host outside the cluster.
#[derive(Debug, Clone)]
pub(crate) struct Actor {
    /// The name in the probes.
    pub(crate) name: String,
    /// What makes it a workload; `None` for a host outside.
    pub(crate) pod: Option<Pod>,
    /// Its addresses.
    pub(crate) addresses: Vec<IpAddr>,
}

/// What the cluster knows of a workload.
#[derive(Debug, Clone)]
pub(crate) struct Pod {
    /// The namespace it runs in.
    pub(crate) namespace: String,
    /// Its labels.
    pub(crate) labels: BTreeMap<String, String>,
}

impl Pod {
    /// A pod of `namespace` with `labels`.
    pub(crate) fn new(namespace: &str, labels: &[(&str, &str)]) -> Self {
        let text = |&(key, value): &(&str, &str)| (key.to_owned(), value.to_owned());
        Self {
            namespace: namespace.to_owned(),
            labels: labels.iter().map(text).collect(),
        }
    }
}

impl Actor {
    fn pod(name: &str, pod: Pod, addresses: [IpAddr; 2]) -> Self {
        Self {
            name: name.to_owned(),
            pod: Some(pod),
            addresses: addresses.into(),
        }
    }

    /// Whether it has an address of the family.
    pub(crate) fn has_family(&self, ipv6: bool) -> bool {
        self.addresses
            .iter()
            .any(|address| address.is_ipv6() == ipv6)
    }
}

/// Everybody of the world file.
pub(crate) fn cast(world: &World) -> Vec<Actor> {
    let pods = world.workloads.iter().map(|workload| Actor {
        name: workload.name.to_string(),
        pod: Some(Pod {
            namespace: workload.namespace.to_string(),
            labels: workload
                .labels
                .iter()
                .map(|(key, value)| (key.to_string(), value.to_string()))
                .collect(),
        }),
        addresses: workload.addresses.clone(),
    });
    let hosts = world.outside.iter().map(|host| Actor {
        name: host.name.to_string(),
        pod: None,
        addresses: host.addresses.clone(),
    });
    pods.chain(hosts).collect()
}

/// Two pods of the act as written whose labels fit rules that their namespace was never meant
/// for. Through them one sees what the rules above the transport do; lint does not know them.
pub(crate) fn look_alikes() -> [Actor; 2] {
    [
        Actor::pod(
            LOOK_ALIKE_FRONTEND,
            Pod::new("backend", &[("role", "frontend")]),
            addresses(101),
        ),
        Actor::pod(
            LOOK_ALIKE_API,
            Pod::new("kafka", &[("role", "backend-api")]),
            addresses(102),
        ),
    ]
}

/// `role=frontend` in namespace backend.
pub(crate) const LOOK_ALIKE_FRONTEND: &str = "look-alike-frontend";

/// `role=backend-api` in namespace kafka.
pub(crate) const LOOK_ALIKE_API: &str = "look-alike-api";

/// A pod that comes, changes and goes while the scenes are played.
pub(crate) const NEWCOMER: &str = "newcomer";

/// The newcomer as one more frontend.
pub(crate) fn newcomer() -> Actor {
    let labels = [("role", "frontend"), ("app", "frontend")];
    Actor::pod(NEWCOMER, Pod::new("frontend", &labels), addresses(103))
}

/// Another pod on the newcomer's addresses, that nobody has granted anything.
pub(crate) fn successor() -> Actor {
    let labels = [("app", "successor")];
    Actor::pod(NEWCOMER, Pod::new("default", &labels), addresses(103))
}

/// Addresses in the pods' blocks that the world file leaves free.
fn addresses(number: u8) -> [IpAddr; 2] {
    [
        IpAddr::from([10, 1, 0, number]),
        IpAddr::from([0xfd00, 1, 0, 0, 0, 0, 0, u16::from(number)]),
    ]
}
