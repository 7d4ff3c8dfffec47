use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::block;
use crate::object::put;
use crate::random::Random;
use crate::scene::{Scene, Subject};

/// A namespace and the labels of its metadata.
#[derive(Debug)]
pub(crate) struct Namespace {
    pub(crate) name: &'static str,
    pub(crate) labels: BTreeMap<&'static str, &'static str>,
}

/// A pod: one identity.
#[derive(Debug)]
pub(crate) struct Pod {
    pub(crate) id: u32,
    pub(crate) namespace: &'static str,
    /// Its own labels.
    pub(crate) labels: BTreeMap<&'static str, &'static str>,
    /// Every label of the identity.
    all: Vec<String>,
}

const NAMESPACES: [&str; 5] = ["default", "team-a", "prod", "dev", "kube-system"];

/// Keys of pod labels and their values.
pub(crate) const WORDS: [(&str, &[&str]); 5] = [
    ("app", &["web", "db", "api", "cache"]),
    ("tier", &["fe", "be"]),
    ("env", &["prod", "dev"]),
    ("version", &["v1", "v2"]),
    ("app.kubernetes.io/name", &["shop", "cart"]),
];

/// Keys of namespace labels and their values.
pub(crate) const NAMESPACE_WORDS: [(&str, &[&str]); 2] =
    [("env", &["prod", "dev"]), ("team", &["xray", "yoke"])];

/// Names that FQDN selectors and identities carry.
pub(crate) const NAMES: [&str; 5] = [
    "api.example.com",
    "cdn.example.net",
    "*.example.com",
    "*.corp.test",
    "**.example.org",
];

pub(crate) const GROUPS: [&str; 2] = ["partners", "vpn"];

fn some(
    random: &mut Random,
    words: &[(&'static str, &[&'static str])],
) -> BTreeMap<&'static str, &'static str> {
    let mut labels = BTreeMap::new();
    for (key, values) in words {
        if random.chance(60) {
            labels.insert(*key, random.word(values));
        }
    }
    labels
}

pub(crate) fn namespaces(random: &mut Random) -> Vec<Namespace> {
    let mut names = BTreeSet::new();
    for _ in 0..random.between(1, 3) {
        names.insert(random.word(&NAMESPACES));
    }
    let of = |name| Namespace {
        name,
        labels: some(random, &NAMESPACE_WORDS),
    };
    names.into_iter().map(of).collect()
}

/// Pods in namespaces, some of them in another cluster; the first is at home.
pub(crate) fn pods(
    random: &mut Random,
    namespaces: &[Namespace],
    own: &'static str,
    odd: bool,
) -> Vec<Pod> {
    let mut pods: Vec<Pod> = Vec::new();
    for at in 0..random.between(3, 9) {
        let Some(namespace) = random.pick(namespaces) else {
            break;
        };
        let labels = some(random, &WORDS);
        let cluster = match random.chance(12) && at > 0 {
            true if own == "default" => "cluster2",
            true => "default",
            false => own,
        };
        let mut all: Vec<String> = labels
            .iter()
            .map(|(key, value)| format!("k8s:{key}={value}"))
            .collect();
        all.extend(
            namespace
                .labels
                .iter()
                .map(|(key, value)| format!("k8s:io.cilium.k8s.namespace.labels.{key}={value}")),
        );
        all.push(format!(
            "k8s:io.cilium.k8s.namespace.labels.kubernetes.io/metadata.name={}",
            namespace.name
        ));
        all.push(format!("k8s:io.cilium.k8s.policy.cluster={cluster}"));
        all.push(format!(
            "k8s:io.cilium.k8s.policy.serviceaccount={}",
            random.word(&["default", "builder"])
        ));
        all.push(format!(
            "k8s:io.kubernetes.pod.namespace={}",
            namespace.name
        ));
        if namespace.name == "kube-system" && random.chance(50) {
            all.push("k8s:k8s-app=kube-dns".to_owned());
        }
        if odd && random.chance(40) {
            let label = random.word(&[
                "k8s:host=yes",
                "k8s:init=",
                "k8s:world=",
                "container:app=db",
                "k8s:remote-node=",
            ]);
            all.push(label.to_owned());
        }
        all.sort();
        // The number tells the cluster, as upstream's aggregates want it.
        let cluster = if cluster == own { 0 } else { 1 << 16 };
        let id = cluster + u32::try_from(random.between(300, 65_000)).unwrap_or(300);
        if pods.iter().all(|pod| pod.all != all && pod.id != id) {
            pods.push(Pod {
                id,
                namespace: namespace.name,
                labels,
                all,
            });
        }
    }
    pods
}

pub(crate) fn services(scene: &mut Scene) -> Vec<Value> {
    if !scene.flavour.services {
        return Vec::new();
    }
    let mut services = Vec::new();
    for name in ["db", "ext"] {
        let addresses: Vec<&str> = block::ADDRESSES
            .into_iter()
            .filter(|_| scene.random.chance(50))
            .collect();
        for address in &addresses {
            scene.blocks.extend(
                block::HOSTS
                    .into_iter()
                    .find(|host| host.split('/').next() == Some(*address)),
            );
        }
        let namespace = scene.random.pick(&scene.namespaces);
        let mut service = json!({
            "name": name,
            "namespace": namespace.map_or("default", |namespace| namespace.name),
            "labels": {"app": scene.random.word(&["web", "db"])},
            "selectorless": scene.random.chance(50),
            "endpoints": addresses,
        });
        if service.get("selectorless") == Some(&false.into()) {
            let pod = scene.random.pick(&scene.pods);
            let labels = pod.map(|pod| pod.labels.clone()).unwrap_or_default();
            let mut selector = labels.iter().take(scene.random.between(1, 2)).peekable();
            let selector = match selector.peek() {
                Some(_) => json!(selector.collect::<BTreeMap<_, _>>()),
                None => json!({"app": "web"}),
            };
            put(&mut service, "selector", selector);
        }
        services.push(service);
    }
    services
}

/// Everybody: reserved ones, pods, nodes, blocks, names.
pub(crate) fn identities(scene: &mut Scene) -> Vec<Value> {
    let mut all = reserved(scene);
    let pods = scene
        .pods
        .iter()
        .map(|pod| identity(pod.id, pod.all.iter().map(String::as_str), None));
    all.extend(pods);
    all.extend(nodes(scene));
    if scene.settings.addresses {
        all.iter_mut()
            .for_each(|inside| give_address(scene, inside));
    }
    all.extend(outside(scene));
    all
}

/// Gives some pods and nodes an address of their own, as identities have that are split by address.
fn give_address(scene: &mut Scene, identity: &mut Value) {
    let Some(labels) = identity.get_mut("labels").and_then(Value::as_array_mut) else {
        return;
    };
    let inside = |label: &Value| {
        let label = label.as_str().unwrap_or_default();
        label.starts_with("k8s:io.kubernetes.pod.namespace=")
            || ["reserved:host", "reserved:remote-node"].contains(&label)
    };
    if labels.iter().any(inside) && scene.random.chance(60) {
        let address = scene.random.word(&block::HOSTS);
        labels.extend(block::label(address).map(Value::from));
    }
}

fn identity<'a>(id: u32, labels: impl IntoIterator<Item = &'a str>, block: Option<&str>) -> Value {
    let mut labels: Vec<&str> = labels.into_iter().collect();
    labels.sort_unstable();
    json!({"id": id, "labels": labels, "cidr": block})
}

fn reserved(scene: &mut Scene) -> Vec<Value> {
    let mut host = vec!["reserved:host"];
    if scene.subject == Subject::Host || scene.settings.node_labels && scene.random.chance(50) {
        host.push(
            scene
                .random
                .word(&["node:role=worker", "node:role=control", "k8s:role=worker"]),
        );
        host.push("node:kubernetes.io/os=linux");
    }
    if scene.random.chance(15) {
        host.push("reserved:kube-apiserver");
    }
    let mut all = vec![
        identity(1, host, None),
        identity(2, ["reserved:world"], None),
    ];
    let others: [(u32, &[&str]); 6] = [
        (3, &["reserved:unmanaged"]),
        (4, &["reserved:health"]),
        (5, &["reserved:init"]),
        (6, &["reserved:remote-node"]),
        (7, &["reserved:kube-apiserver", "reserved:remote-node"]),
        (8, &["reserved:ingress"]),
    ];
    for (id, labels) in others {
        if scene.subject == Subject::Reserved(id) || scene.random.chance(55) {
            all.push(identity(id, labels.iter().copied(), None));
        }
    }
    if scene.settings.dual_stack {
        all.push(identity(9, ["reserved:world-ipv4"], None));
        all.push(identity(10, ["reserved:world-ipv6"], None));
    }
    all
}

fn nodes(scene: &mut Scene) -> Vec<Value> {
    let chance = if scene.settings.node_labels { 80 } else { 10 };
    if !scene.random.chance(chance) {
        return Vec::new();
    }
    let cluster = format!(
        "k8s:io.cilium.k8s.policy.cluster={}",
        scene.settings.cluster
    );
    let mut all = Vec::new();
    for (id, role) in [
        (33_554_433, "node:role=worker"),
        (33_554_434, "node:role=control"),
    ] {
        let mut labels = vec!["reserved:remote-node", "node:kubernetes.io/os=linux", role];
        if scene.random.chance(75) {
            labels.push(&cluster);
        }
        all.push(identity(id, labels, None));
    }
    all
}

/// An identity for nearly every block that a policy names, for some others, and for names.
fn outside(scene: &mut Scene) -> Vec<Value> {
    let mut blocks = scene.blocks.clone();
    blocks.retain(|_| scene.random.chance(92));
    for other in block::BLOCKS.into_iter().chain(block::HOSTS) {
        if scene.random.chance(12) {
            blocks.insert(other);
        }
    }
    let mut all = Vec::new();
    let mut next = 16_777_217;
    for block in blocks {
        let Some(label) = block::label(block) else {
            continue;
        };
        let mut labels = vec![
            label,
            block::world(block, scene.settings.dual_stack).to_owned(),
        ];
        for group in GROUPS {
            if scene.random.chance(15) {
                labels.push(format!("cidrgroup:io.cilium.policy.cidrgroupname/{group}"));
                labels.push("cidrgroup:team=xray".to_owned());
                labels.push("cidrgroup:team+xray".to_owned());
            }
        }
        if scene.random.chance(5) {
            labels.push("reserved:kube-apiserver".to_owned());
        }
        labels.sort();
        labels.dedup();
        all.push(identity(
            next,
            labels.iter().map(String::as_str),
            Some(block),
        ));
        next += 1;
    }
    for name in NAMES {
        if scene.random.chance(25) {
            let world = if scene.settings.dual_stack {
                "reserved:world-ipv4"
            } else {
                "reserved:world"
            };
            all.push(identity(
                next,
                [format!("fqdn:{name}").as_str(), world],
                None,
            ));
            next += 1;
        }
    }
    all
}
