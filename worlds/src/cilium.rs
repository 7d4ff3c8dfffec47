use serde_json::{Value, json};

use crate::object::put;
use crate::peer::{self, Place};
use crate::scene::{Scene, Subject};
use crate::{l7, port, selector};

/// A CiliumNetworkPolicy, mostly in the subject's namespace.
pub(crate) fn namespaced(scene: &mut Scene, at: usize) -> Value {
    let home = scene.home();
    let namespace = match scene.random.pick(&scene.namespaces) {
        Some(other) if scene.random.chance(15) => other.name,
        _ => home,
    };
    let mut metadata = json!({"name": name(scene, "cnp", at)});
    if namespace != "default" || scene.random.chance(50) {
        put(&mut metadata, "namespace", namespace.into());
    }
    object(scene, "CiliumNetworkPolicy", &metadata)
}

/// A CiliumClusterwideNetworkPolicy.
pub(crate) fn clusterwide(scene: &mut Scene, at: usize) -> Value {
    let metadata = json!({"name": name(scene, "ccnp", at)});
    object(scene, "CiliumClusterwideNetworkPolicy", &metadata)
}

/// Names are unlike each other, but for once in a while: then the later document counts.
pub(crate) fn name(scene: &mut Scene, kind: &str, at: usize) -> String {
    let at = if scene.random.chance(3) { 0 } else { at };
    format!("{kind}-{at}")
}

fn object(scene: &mut Scene, kind: &str, metadata: &Value) -> Value {
    let clusterwide = metadata.get("namespace").is_none() && kind.contains("Clusterwide");
    let mut object = json!({"apiVersion": "cilium.io/v2", "kind": kind, "metadata": metadata});
    match scene.random.below(20) {
        0 | 1 => {
            let specs: Vec<Value> = (0..scene.random.between(1, 3))
                .map(|_| spec(scene, clusterwide))
                .collect();
            put(&mut object, "specs", specs.into());
        }
        2 => {
            put(&mut object, "spec", spec(scene, clusterwide));
            put(&mut object, "specs", json!([spec(scene, clusterwide)]));
        }
        _ => put(&mut object, "spec", spec(scene, clusterwide)),
    }
    object
}

fn spec(scene: &mut Scene, clusterwide: bool) -> Value {
    let about_nodes = match scene.subject {
        Subject::Host => 80,
        _ => 4,
    };
    let node = clusterwide && scene.random.chance(about_nodes);
    let mut spec = if node {
        json!({"nodeSelector": selector::node_subject(scene)})
    } else {
        json!({"endpointSelector": selector::subject(scene)})
    };
    sections(scene, &mut spec, node);
    if scene.random.chance(15) {
        put(&mut spec, "enableDefaultDeny", default_deny(scene));
    }
    if scene.random.chance(4) {
        put(&mut spec, "description", "words".into());
    }
    if scene.random.chance(3) {
        put(
            &mut spec,
            "labels",
            json!([{"key": "team", "value": "a", "source": "k8s"}]),
        );
    }
    if scene.random.chance(3) {
        put(&mut spec, "log", json!({"value": "mark"}));
    }
    spec
}

fn sections(scene: &mut Scene, spec: &mut Value, node: bool) {
    let sections = [
        ("ingress", 60, true, false),
        ("egress", 60, false, false),
        ("ingressDeny", 18, true, true),
        ("egressDeny", 18, false, true),
    ];
    let before = spec.as_object().map_or(0, serde_json::Map::len);
    for (field, chance, ingress, deny) in sections {
        if scene.random.chance(chance) {
            let place = Place {
                ingress,
                deny,
                node,
            };
            let count = scene.random.weighted(&[(2, 0), (58, 1), (28, 2), (12, 3)]);
            put(
                spec,
                field,
                (0..count).map(|_| entry(scene, place)).collect(),
            );
        }
    }
    let after = spec.as_object().map_or(0, serde_json::Map::len);
    if after == before {
        put(spec, "ingress", json!([{}]));
    }
}

/// One entry of a section: peers, ports or ICMP types, authentication.
fn entry(scene: &mut Scene, place: Place) -> Value {
    let mut entry = json!({});
    let for_everybody = if scene.flavour.l7 { 35 } else { 0 };
    if !scene.random.chance(for_everybody) {
        peer::add(scene, &mut entry, place);
    }
    match scene.random.below(100) {
        0..25 => {}
        25..32 => put(&mut entry, "icmps", port::icmp(scene)),
        32 => put(&mut entry, "toPorts", json!([])),
        33..70 if scene.flavour.l7 => {
            put(
                &mut entry,
                "toPorts",
                match l7::element(scene, place) {
                    Some(element) if scene.random.chance(70) => json!([element]),
                    Some(element) => {
                        let mut all = port::elements(scene);
                        all.push(element);
                        all.into()
                    }
                    None => port::elements(scene).into(),
                },
            );
        }
        _ => put(&mut entry, "toPorts", port::elements(scene).into()),
    }
    if scene.flavour.authentication && !place.deny && scene.random.chance(50) {
        let mode = match scene.random.chance(85) {
            true => scene.mode,
            false => scene
                .random
                .word(&["required", "disabled", "test-always-fail"]),
        };
        put(&mut entry, "authentication", json!({"mode": mode}));
    }
    entry
}

fn default_deny(scene: &mut Scene) -> Value {
    let mut value = json!({});
    for direction in ["ingress", "egress"] {
        if scene.random.chance(60) {
            put(&mut value, direction, scene.random.chance(35).into());
        }
    }
    value
}
