use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::people::{NAMESPACE_WORDS, WORDS};
use crate::random::Random;
use crate::scene::{Scene, Subject};

type Labels = BTreeMap<&'static str, &'static str>;

/// A selector as a map of labels and a list of expressions.
#[derive(Debug, Default)]
struct Terms {
    labels: Map<String, Value>,
    expressions: Vec<Value>,
}

impl Terms {
    fn label(&mut self, key: &str, value: &str) {
        self.labels.insert(key.to_owned(), value.into());
    }

    fn exists(&mut self, key: &str, operator: &str) {
        self.expressions
            .push(json!({"key": key, "operator": operator}));
    }

    fn among(&mut self, key: &str, operator: &str, values: &[&str]) {
        self.expressions
            .push(json!({"key": key, "operator": operator, "values": values}));
    }

    fn json(self) -> Value {
        let mut selector = Map::new();
        if !self.labels.is_empty() {
            selector.insert("matchLabels".to_owned(), self.labels.into());
        }
        if !self.expressions.is_empty() {
            selector.insert("matchExpressions".to_owned(), self.expressions.into());
        }
        selector.into()
    }
}

/// A key of a Cilium selector, with or without a source.
fn sourced(random: &mut Random, key: &str) -> String {
    let source = random.weighted(&[(72, ""), (20, "k8s:"), (8, "any:")]);
    format!("{source}{key}")
}

/// Terms about labels that somebody has, or nearly.
fn about(
    random: &mut Random,
    known: &Labels,
    words: &[(&'static str, &[&'static str])],
    key: impl Fn(&mut Random, &str) -> String,
) -> Terms {
    let mut terms = Terms::default();
    let known_labels: Vec<_> = known.iter().collect();
    for _ in 0..random.weighted(&[(20, 0), (60, 1), (20, 2)]) {
        if let Some((name, value)) = random.pick(&known_labels) {
            terms.label(&key(random, name), value);
        }
    }
    if terms.labels.is_empty() || random.chance(25) {
        expression(random, &mut terms, known, words, &key);
    }
    terms
}

fn expression(
    random: &mut Random,
    terms: &mut Terms,
    known: &Labels,
    words: &[(&'static str, &[&'static str])],
    key: &impl Fn(&mut Random, &str) -> String,
) {
    let Some((name, values)) = random.pick(words).copied() else {
        return;
    };
    let key = key(random, name);
    let mut some: Vec<&str> = values
        .iter()
        .copied()
        .filter(|_| random.chance(50))
        .collect();
    if random.chance(50) {
        some.extend(known.get(name).copied());
    }
    some.sort_unstable();
    some.dedup();
    match random.below(4) {
        0 if !some.is_empty() => terms.among(&key, "In", &some),
        1 if !some.is_empty() => terms.among(&key, "NotIn", &some),
        2 => terms.exists(&key, "DoesNotExist"),
        _ => terms.exists(&key, "Exists"),
    }
}

/// The labels of a pod; of the subject more often than not, where that is wanted.
fn labels_of(scene: &mut Scene, of_subject: bool) -> Labels {
    let pod = if of_subject && scene.random.chance(75) {
        scene.pods.first()
    } else {
        scene.random.pick(&scene.pods)
    };
    pod.map(|pod| pod.labels.clone()).unwrap_or_default()
}

/// Whom a CiliumNetworkPolicy or its clusterwide form selects.
pub(crate) fn subject(scene: &mut Scene) -> Value {
    if scene.random.chance(45)
        || matches!(scene.subject, Subject::Reserved(_)) && scene.random.chance(60)
    {
        return json!({});
    }
    if let Subject::Reserved(5) = scene.subject
        && scene.random.chance(50)
    {
        return json!({"matchLabels": {"reserved:init": ""}});
    }
    let labels = labels_of(scene, true);
    let mut terms = about(&mut scene.random, &labels, &WORDS, sourced);
    if scene.random.chance(8) {
        namespace(scene, &mut terms);
    }
    terms.json()
}

/// Which nodes a node rule selects.
pub(crate) fn node_subject(scene: &mut Scene) -> Value {
    match scene.random.below(4) {
        0 => json!({"matchLabels": {"node:role": "worker"}}),
        1 => json!({"matchLabels": {"role": "worker"}}),
        2 => json!({"matchExpressions": [{"key": "kubernetes.io/os", "operator": "Exists"}]}),
        _ => json!({}),
    }
}

/// Nodes as peers.
pub(crate) fn nodes(scene: &mut Scene) -> Value {
    match scene.random.below(4) {
        0 => json!({"matchLabels": {"role": "worker"}}),
        1 => json!({"matchLabels": {"node:role": "control"}}),
        2 => {
            json!({"matchExpressions": [{"key": "role", "operator": "NotIn", "values": ["control"]}]})
        }
        _ => json!({}),
    }
}

/// Nodes as peers, as Kubernetes writes them.
pub(crate) fn nodes_by_label(scene: &mut Scene) -> Value {
    match scene.random.below(3) {
        0 => json!({"matchLabels": {"role": "worker"}}),
        1 => json!({"matchExpressions": [{"key": "role", "operator": "Exists"}]}),
        _ => json!({}),
    }
}

/// A peer of a Cilium policy.
pub(crate) fn peer(scene: &mut Scene) -> Value {
    if scene.random.chance(15) {
        return json!({});
    }
    if scene.random.chance(6) {
        let who = scene.random.word(&[
            "host",
            "ingress",
            "remote-node",
            "init",
            "health",
            "world",
            "kube-apiserver",
        ]);
        return if scene.random.chance(50) {
            json!({"matchLabels": {format!("reserved:{who}"): ""}})
        } else {
            json!({"matchExpressions": [{"key": format!("reserved:{who}"), "operator": "Exists"}]})
        };
    }
    let labels = labels_of(scene, false);
    let mut terms = about(&mut scene.random, &labels, &WORDS, sourced);
    if scene.random.chance(35) {
        place(scene, &mut terms);
    }
    terms.json()
}

/// Terms about where a peer is, rather than what it is.
fn place(scene: &mut Scene, terms: &mut Terms) {
    match scene.random.below(8) {
        0..4 => namespace(scene, terms),
        4 => {
            let (key, values) = scene
                .random
                .pick(&NAMESPACE_WORDS)
                .copied()
                .unwrap_or_default();
            let key = format!("io.cilium.k8s.namespace.labels.{key}");
            let key = sourced(&mut scene.random, &key);
            terms.label(&key, scene.random.word(values));
        }
        5 => {
            let key = sourced(&mut scene.random, "io.cilium.k8s.policy.cluster");
            terms.label(&key, scene.random.word(&["default", "west", "cluster2"]));
        }
        6 => terms.exists("k8s:io.cilium.k8s.policy.cluster", "Exists"),
        _ => terms.label(
            "io.cilium.k8s.policy.serviceaccount",
            scene.random.word(&["default", "builder"]),
        ),
    }
}

fn namespace(scene: &mut Scene, terms: &mut Terms) {
    let names: Vec<&'static str> = scene
        .namespaces
        .iter()
        .map(|namespace| namespace.name)
        .collect();
    let some = scene.random.pick(&names).copied().unwrap_or("default");
    let key = sourced(&mut scene.random, "io.kubernetes.pod.namespace");
    match scene.random.below(6) {
        0 => terms.among(&key, "In", &[some, "elsewhere"]),
        1 => terms.among(&key, "NotIn", &[some]),
        2 => terms.exists(&key, "Exists"),
        3 if scene.random.chance(40) => terms.exists(&key, "DoesNotExist"),
        _ => terms.label(&key, some),
    }
}

/// A selector over pod labels as Kubernetes writes it.
pub(crate) fn pods(scene: &mut Scene, of_subject: bool) -> Value {
    if scene.random.chance(35) {
        return json!({});
    }
    let labels = labels_of(scene, of_subject);
    about(&mut scene.random, &labels, &WORDS, |_, key| key.to_owned()).json()
}

/// A selector over the metadata of namespaces.
pub(crate) fn namespaces(scene: &mut Scene) -> Value {
    let Some(one) = scene.random.pick(&scene.namespaces) else {
        return json!({});
    };
    let (name, labels) = (one.name, one.labels.clone());
    match scene.random.below(5) {
        0 => json!({}),
        1 => json!({"matchLabels": {"kubernetes.io/metadata.name": name}}),
        _ => about(&mut scene.random, &labels, &NAMESPACE_WORDS, |_, key| {
            key.to_owned()
        })
        .json(),
    }
}

/// The same in a policy whose selectors pick pods only: it says so, because a negative term alone
/// is taken by some to pick whatever is no pod.
pub(crate) fn namespaces_with_pods(scene: &mut Scene) -> Value {
    let mut selector = namespaces(scene);
    let named = json!({"key": "kubernetes.io/metadata.name", "operator": "Exists"});
    if let Some(Value::Array(terms)) = selector.get_mut("matchExpressions") {
        terms.push(named);
    }
    selector
}
