use serde_json::{Value, json};

use crate::object::put;
use crate::scene::Scene;

/// In some worlds, makes a document one that has to be refused; the last of them only by those who
/// look closely.
pub(crate) fn perhaps(scene: &mut Scene, mut object: Value) -> Value {
    if !scene.flavour.mistakes || !scene.random.chance(40) {
        return object;
    }
    let is_cilium = object
        .get("apiVersion")
        .is_some_and(|version| version == "cilium.io/v2");
    let is_kubernetes = object
        .get("kind")
        .is_some_and(|kind| kind == "NetworkPolicy");
    let Some(spec) = object.get_mut("spec") else {
        return object;
    };
    if is_cilium {
        put(spec, "ingress", json!([entry(scene)]));
    } else if is_kubernetes {
        let rule = match scene.random.below(2) {
            0 => json!({"ports": [{"port": 70_000}]}),
            _ => {
                json!({"from": [{"podSelector": {"matchExpressions": [{"key": "app", "operator": "Is"}]}}]})
            }
        };
        put(spec, "ingress", json!([rule]));
    }
    object
}

fn entry(scene: &mut Scene) -> Value {
    match scene.random.below(16) {
        0 => json!({"fromEntities": ["nobody"]}),
        1 => json!({"fromCIDR": ["10.0.0.0/33"]}),
        2 => json!({"fromCIDRSet": [{"cidr": "10.1.0.0/16", "except": ["10.0.0.0/8"]}]}),
        3 => json!({"fromCIDRSet": [{"cidr": "10.1.0.0/16", "cidrGroupRef": "vpn"}]}),
        4 => json!({"toPorts": [{"ports": [{"port": "65536", "protocol": "TCP"}]}]}),
        5 => json!({"toPorts": [{"ports": [{"port": "80", "protocol": "ICMP"}]}]}),
        6 => json!({"toPorts": [{"ports": [{"port": 80, "protocol": "TCP"}]}]}),
        7 => json!({"fromEndpoints": [{}], "fromEntities": ["host"]}),
        8 => json!({"fromEndpoints": [{"matchExpressions": [{"key": "app", "operator": "In"}]}]}),
        9 => {
            json!({"icmps": [{"fields": [{"type": 8}]}], "toPorts": [{"ports": [{"port": "80"}]}]})
        }
        10 => {
            json!({"toPorts": [{"ports": [{"port": "53", "protocol": "UDP"}], "rules": {"dns": [{}]}}]})
        }
        11 => {
            json!({"toPorts": [{"ports": [{"port": "80", "protocol": "UDP"}], "rules": {"http": [{}]}}]})
        }
        12 => json!({"fromRequires": ["app"], "fromEntities": ["all"]}),
        13 => json!({"fromEndpoint": [{}], "toPorts": [{"ports": [{"port": "80"}]}]}),
        14 => json!({"toPorts": [{"ports": [{"port": "80"}], "rules": {"kafka": [{}]}}]}),
        _ => json!({"fromCIDRSet": [{"cidrGroupRef": "vpn", "except": ["10.1.0.0/16"]}]}),
    }
}
