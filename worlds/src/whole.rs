//! What worlds of the whole language have besides: what no peer of ours can be asked about.

use serde_json::{Map, Value, json};

use crate::block;
use crate::object::put;
use crate::people::GROUPS;
use crate::random::Random;
use crate::scene::Scene;

/// The settings that the peer does not have, or not in one run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Whole {
    strict: bool,
    upstream_network_policies: bool,
    blocks_skip_pods: bool,
    close_refused: bool,
    staged: bool,
    home_staged: bool,
}

/// Whoever is not in the world.
const STRANGER: u64 = 64_999;

impl Whole {
    pub(crate) fn of(random: &mut Random) -> Self {
        Self {
            strict: random.chance(65),
            upstream_network_policies: random.chance(30),
            blocks_skip_pods: random.chance(30),
            close_refused: random.chance(20),
            staged: random.chance(25),
            home_staged: random.chance(3),
        }
    }
}

/// Adds the settings to those that are there.
pub(crate) fn settings(scene: &Scene, config: &mut Value) {
    let Some(whole) = scene.whole else {
        return;
    };
    let either = |yes: bool, one: &str, other: &str| Value::from(if yes { one } else { other });
    let staged: &[&str] = if whole.home_staged {
        &[scene.home()]
    } else {
        &[]
    };
    for (name, value) in [
        ("semantics", either(whole.strict, "strict", "cilium")),
        (
            "network_policies",
            either(whole.upstream_network_policies, "cilium", "kubernetes"),
        ),
        (
            "ip_blocks",
            either(whole.blocks_skip_pods, "skip-pods", "match-pods"),
        ),
        ("refused", either(whole.close_refused, "deny", "skip")),
        ("staged_namespaces", staged.into()),
    ] {
        put(config, name, value);
    }
}

/// Somebody to ask about of whom nothing is known.
pub(crate) fn stranger(scene: &Scene) -> Option<u64> {
    scene.whole.map(|_| STRANGER)
}

/// Stages some documents, or some of their rules.
pub(crate) fn stage(scene: &mut Scene, mut object: Value) -> Value {
    if !scene.whole.is_some_and(|whole| whole.staged) || !scene.random.chance(45) {
        return object;
    }
    let lists = ["ingress", "egress", "ingressDeny", "egressDeny"];
    let places: Vec<String> = lists
        .into_iter()
        .flat_map(|list| {
            let rules = object.pointer(&format!("/spec/{list}"));
            let count = rules.and_then(Value::as_array).map_or(0, Vec::len);
            (0..count).map(move |at| format!("{list}[{at}]"))
        })
        .collect();
    let some: Vec<String> = places
        .into_iter()
        .filter(|_| scene.random.chance(50))
        .collect();
    let staged = match some.is_empty() || scene.random.chance(35) {
        true => "true".to_owned(),
        false => some.join(", "),
    };
    if let Some(metadata) = object.get_mut("metadata") {
        let staged = Map::from_iter([("policy.porin.dev/staged".to_owned(), staged.into())]);
        put(metadata, "annotations", staged.into());
    }
    object
}

/// The groups that rules name, as documents.
pub(crate) fn groups(scene: &mut Scene) -> Vec<Value> {
    if scene.whole.is_none() || !scene.random.chance(15) {
        return Vec::new();
    }
    let group = |name: &str| {
        let blocks = [block::any(scene), block::any(scene)];
        json!({
            "apiVersion": "cilium.io/v2",
            "kind": "CiliumCIDRGroup",
            "metadata": {"name": name, "labels": {"team": "xray"}},
            "spec": {"externalCIDRs": blocks},
        })
    };
    GROUPS.into_iter().map(group).collect()
}
