//! Peers that have a name of their own.

use porin_identity::{Requirement, Selector, SelectorKey, key, source};

use super::peers::Who;
use crate::Options;
use crate::peers::Entity;

/// An entity is any of some labels, and each of them is a selector of its own.
pub(super) fn entity_labels(entity: Entity, options: &Options) -> Vec<Who> {
    let reserved = |name: &&str| {
        let key = SelectorKey::new(source::RESERVED, name);
        Selector::from_parts([Requirement::equals(key, "")])
    };
    let cluster = |source: &str| SelectorKey::new(source, key::CLUSTER);
    let parts = [
        "host",
        "remote-node",
        "init",
        "ingress",
        "health",
        "unmanaged",
        "kube-apiserver",
    ];
    let mut names: Vec<&str> = match entity {
        Entity::All => return vec![Who::Anybody],
        Entity::Cluster | Entity::ClusterMesh => parts.to_vec(),
        _ => vec![entity.name()],
    };
    names.extend(match entity {
        Entity::World => &["world-ipv4", "world-ipv6", "aggregate-world"][..],
        Entity::RemoteNode => &["aggregate-remote-node"],
        Entity::Cluster => &["aggregate-cluster"],
        Entity::ClusterMesh => &["aggregate-cluster", "aggregate-cluster-mesh"],
        _ => &[],
    });
    let place = match entity {
        Entity::Cluster => Some(Requirement::equals(
            cluster(source::K8S),
            &options.cluster_name,
        )),
        Entity::ClusterMesh => Some(Requirement::exists(cluster(source::ANY))),
        _ => None,
    };
    let place = place.map(|place| Selector::from_parts([place]));
    names
        .iter()
        .map(reserved)
        .chain(place)
        .map(Who::Labels)
        .collect()
}
