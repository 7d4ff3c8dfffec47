use serde_json::{Value, json};

use crate::object::put;
use crate::scene::Scene;
use crate::{cluster, port};

/// An AdminNetworkPolicy of policy.networking.k8s.io/v1alpha1.
pub(crate) fn policy(scene: &mut Scene, at: usize) -> Value {
    let priority = scene.random.below(4);
    object(
        scene,
        &json!({"kind": "AdminNetworkPolicy", "name": format!("anp-{at}"), "priority": priority}),
        &["Allow", "Deny", "Pass"],
    )
}

/// The one BaselineAdminNetworkPolicy.
pub(crate) fn baseline(scene: &mut Scene) -> Value {
    let head = json!({"kind": "BaselineAdminNetworkPolicy", "name": "default"});
    object(scene, &head, &["Allow", "Deny"])
}

fn object(scene: &mut Scene, head: &Value, actions: &[&'static str]) -> Value {
    let mut spec = json!({"subject": cluster::subject(scene)});
    if let Some(priority) = head.get("priority") {
        put(&mut spec, "priority", priority.clone());
    }
    if scene.random.chance(70) {
        put(&mut spec, "ingress", rules(scene, true, actions));
    }
    if scene.random.chance(60) {
        put(&mut spec, "egress", rules(scene, false, actions));
    }
    json!({
        "apiVersion": "policy.networking.k8s.io/v1alpha1",
        "kind": head.get("kind"),
        "metadata": {"name": head.get("name")},
        "spec": spec,
    })
}

fn rules(scene: &mut Scene, ingress: bool, actions: &[&'static str]) -> Value {
    let mut rules = Vec::new();
    for _ in 0..scene.random.between(1, 3) {
        let action = scene.random.word(actions);
        let peers: Vec<Value> = (0..scene.random.between(1, 2))
            .map(|_| cluster::peer(scene, ingress, action))
            .collect();
        let pods_only = peers
            .iter()
            .all(|peer| peer.get("pods").or(peer.get("namespaces")).is_some());
        let mut rule = json!({"action": action});
        put(&mut rule, if ingress { "from" } else { "to" }, peers.into());
        if scene.random.chance(60) {
            put(&mut rule, "ports", port::admin(scene, pods_only).into());
        }
        rules.push(rule);
    }
    rules.into()
}
