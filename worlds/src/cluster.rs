use serde_json::{Value, json};

use crate::object::put;
use crate::scene::Scene;
use crate::{block, port, selector};

/// A ClusterNetworkPolicy of policy.networking.k8s.io/v1alpha2.
pub(crate) fn policy(scene: &mut Scene, at: usize) -> Value {
    let subject = subject(scene);
    let mut spec = json!({
        "tier": scene.random.weighted(&[(60, "Admin"), (40, "Baseline")]),
        "priority": scene.random.below(4),
        "subject": subject,
    });
    if scene.random.chance(70) {
        put(&mut spec, "ingress", rules(scene, true));
    }
    if scene.random.chance(60) {
        put(&mut spec, "egress", rules(scene, false));
    }
    json!({
        "apiVersion": "policy.networking.k8s.io/v1alpha2",
        "kind": "ClusterNetworkPolicy",
        "metadata": {"name": format!("kcnp-{at}")},
        "spec": spec,
    })
}

/// Whom a cluster-scoped policy selects.
pub(crate) fn subject(scene: &mut Scene) -> Value {
    match scene.random.below(3) {
        0 => json!({"namespaces": selector::namespaces_with_pods(scene)}),
        1 => json!({"namespaces": {}}),
        _ => {
            json!({"pods": {"namespaceSelector": selector::namespaces_with_pods(scene), "podSelector": selector::pods(scene, true)}})
        }
    }
}

fn rules(scene: &mut Scene, ingress: bool) -> Value {
    let mut rules = Vec::new();
    for at in 0..scene.random.between(1, 3) {
        let action = scene
            .random
            .weighted(&[(40, "Accept"), (30, "Deny"), (30, "Pass")]);
        let mut rule = json!({"name": format!("r{at}"), "action": action});
        let peers: Vec<Value> = (0..scene.random.between(1, 2))
            .map(|_| peer(scene, ingress, action))
            .collect();
        // An API server takes names of ports beside pods only.
        let pods_only = peers
            .iter()
            .all(|peer| peer.get("pods").or(peer.get("namespaces")).is_some());
        put(&mut rule, if ingress { "from" } else { "to" }, peers.into());
        if scene.random.chance(60) {
            put(
                &mut rule,
                "protocols",
                port::cluster(scene, pods_only).into(),
            );
        }
        rules.push(rule);
    }
    rules.into()
}

/// A peer of a cluster-scoped policy.
pub(crate) fn peer(scene: &mut Scene, ingress: bool, action: &str) -> Value {
    let pods = |scene: &mut Scene| json!({"pods": {"namespaceSelector": selector::namespaces_with_pods(scene), "podSelector": selector::pods(scene, false)}});
    match scene.random.below(10) {
        0..4 => pods(scene),
        4..7 => json!({"namespaces": selector::namespaces_with_pods(scene)}),
        7 if !ingress => json!({"networks": [block::any(scene)]}),
        8 if !ingress && matches!(action, "Accept" | "Allow") => {
            json!({"domainNames": [scene.random.word(&["api.example.com", "*.example.com"])]})
        }
        9 if !ingress && scene.settings.node_labels => {
            json!({"nodes": selector::nodes_by_label(scene)})
        }
        _ => pods(scene),
    }
}
