use serde_json::{Value, json};

use crate::object::put;
use crate::scene::Scene;
use crate::{block, cilium, port, selector};

/// A NetworkPolicy of networking.k8s.io/v1, as an API server takes it.
pub(crate) fn policy(scene: &mut Scene, at: usize) -> Value {
    let mut spec = json!({"podSelector": selector::pods(scene, true)});
    if scene.random.chance(65) {
        put(&mut spec, "ingress", rules(scene, "from"));
    }
    if scene.random.chance(55) {
        put(&mut spec, "egress", rules(scene, "to"));
    }
    match scene.random.below(5) {
        0 => put(&mut spec, "policyTypes", json!(["Ingress"])),
        1 => put(&mut spec, "policyTypes", json!(["Egress"])),
        2 => put(&mut spec, "policyTypes", json!(["Ingress", "Egress"])),
        _ => {}
    }
    let metadata = json!({"name": cilium::name(scene, "knp", at), "namespace": scene.home()});
    json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata, "spec": spec})
}

fn rules(scene: &mut Scene, side: &str) -> Value {
    let count = scene.random.weighted(&[(12, 0), (50, 1), (30, 2), (8, 3)]);
    let mut rules = Vec::new();
    for _ in 0..count {
        let mut rule = json!({});
        if scene.random.chance(80) {
            let peers: Vec<Value> = (0..scene.random.between(0, 2))
                .map(|_| peer(scene))
                .collect();
            put(&mut rule, side, peers.into());
        }
        if scene.random.chance(60) {
            put(&mut rule, "ports", port::kubernetes(scene).into());
        }
        rules.push(rule);
    }
    rules.into()
}

fn peer(scene: &mut Scene) -> Value {
    match scene.random.below(10) {
        0 | 1 => {
            let (block, mut except) = block::with_exceptions(scene);
            // Strictly inside, as an API server wants it.
            except.retain(|inside| *inside != block);
            json!({"ipBlock": {"cidr": block, "except": except}})
        }
        2 => json!({"ipBlock": {"cidr": block::any(scene)}}),
        3..6 => json!({"podSelector": selector::pods(scene, false)}),
        6 | 7 => json!({"namespaceSelector": selector::namespaces(scene)}),
        _ => json!({
            "podSelector": selector::pods(scene, false),
            "namespaceSelector": selector::namespaces(scene),
        }),
    }
}
