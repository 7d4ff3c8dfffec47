use serde_json::{Value, json};

use crate::object::put;
use crate::people::{GROUPS, NAMES};
use crate::scene::Scene;
use crate::{block, selector};

const ENTITIES: [&str; 15] = [
    "all",
    "world",
    "world-ipv4",
    "world-ipv6",
    "host",
    "remote-node",
    "cluster",
    "cluster-mesh",
    "init",
    "ingress",
    "health",
    "unmanaged",
    "none",
    "kube-apiserver",
    "cluster",
];

/// Where an entry of a rule stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) ingress: bool,
    pub(crate) deny: bool,
    /// In a rule about nodes.
    pub(crate) node: bool,
}

#[derive(Debug, Clone, Copy, Default)]
enum Kind {
    #[default]
    Nobody,
    Endpoints,
    Entities,
    Blocks,
    BlockSet,
    Nodes,
    Services,
    Names,
    Groups,
    Empty,
}

/// Adds the peers of an entry, of one kind.
pub(crate) fn add(scene: &mut Scene, entry: &mut Value, place: Place) {
    let side = if place.ingress { "from" } else { "to" };
    let egress = usize::from(!place.ingress);
    let kind = scene.random.weighted(&[
        (20, Kind::Nobody),
        (38, Kind::Endpoints),
        (15, Kind::Entities),
        (9, Kind::Blocks),
        (11, Kind::BlockSet),
        (if scene.settings.node_labels { 8 } else { 0 }, Kind::Nodes),
        (
            if scene.flavour.services {
                10 * egress
            } else {
                0
            },
            Kind::Services,
        ),
        (if place.deny { 0 } else { 5 * egress }, Kind::Names),
        (1, Kind::Groups),
        (2, Kind::Empty),
    ]);
    let (field, value) = match kind {
        Kind::Nobody => return,
        Kind::Endpoints => ("Endpoints", many(scene, selector::peer)),
        Kind::Entities => (
            "Entities",
            many(scene, |scene| scene.random.word(&ENTITIES).into()),
        ),
        Kind::Blocks => ("CIDR", many(scene, |scene| block::as_text(scene).into())),
        Kind::BlockSet => ("CIDRSet", many(scene, member)),
        Kind::Nodes => ("Nodes", many(scene, selector::nodes)),
        Kind::Services => ("Services", many(scene, service)),
        Kind::Names => ("FQDNs", many(scene, name)),
        Kind::Groups => ("Groups", json!([{"aws": {"securityGroupsIds": ["sg-1"]}}])),
        Kind::Empty => {
            let fields: &[&'static str] = match (place.ingress, place.deny) {
                (false, false) => &[
                    "Endpoints",
                    "CIDR",
                    "CIDRSet",
                    "Entities",
                    "FQDNs",
                    "Services",
                    "Groups",
                ],
                (false, true) => &["Endpoints", "CIDR", "CIDRSet", "Entities", "Services"],
                _ => &["Endpoints", "CIDR", "CIDRSet", "Entities", "Groups"],
            };
            (scene.random.word(fields), json!([]))
        }
    };
    put(entry, format!("{side}{field}"), value);
}

fn many(scene: &mut Scene, one: impl Fn(&mut Scene) -> Value) -> Value {
    (0..scene.random.between(1, 2))
        .map(|_| one(scene))
        .collect()
}

/// A member of a CIDRSet.
fn member(scene: &mut Scene) -> Value {
    match scene.random.below(10) {
        0..5 => {
            let (block, except) = block::with_exceptions(scene);
            json!({"cidr": block, "except": except})
        }
        5..7 => json!({"cidr": block::any(scene)}),
        7 => json!({"cidrGroupRef": scene.random.word(&GROUPS)}),
        8 => match scene.random.below(4) {
            0 => json!({"cidrGroupSelector": {}}),
            1 => json!({"cidrGroupSelector": {"matchLabels": {"team": "xray"}}}),
            2 => {
                json!({"cidrGroupSelector": {"matchExpressions": [{"key": "team", "operator": "NotIn", "values": ["xray"]}]}})
            }
            _ => {
                json!({"cidrGroupSelector": {"matchExpressions": [{"key": "team", "operator": "Exists"}]}})
            }
        },
        _ => json!({"cidr": block::any(scene), "except": []}),
    }
}

fn service(scene: &mut Scene) -> Value {
    let name = scene.random.word(&["db", "ext", "nobody"]);
    let namespace = scene.home();
    match scene.random.below(3) {
        0 => json!({"k8sService": {"serviceName": name}}),
        1 => json!({"k8sService": {"serviceName": name, "namespace": namespace}}),
        _ => {
            json!({"k8sServiceSelector": {"selector": {"matchLabels": {"app": scene.random.word(&["web", "db"])}}}})
        }
    }
}

fn name(scene: &mut Scene) -> Value {
    let name = scene.random.word(&NAMES);
    if name.contains('*') || scene.random.chance(20) {
        json!({"matchPattern": name})
    } else {
        json!({"matchName": name})
    }
}
