use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::object::put;
use crate::scene::Scene;

/// Numbers that policies name.
pub(crate) const NUMBERS: [u16; 9] = [22, 53, 80, 81, 443, 8080, 8090, 8443, 9092];
/// Ranges that policies name.
const RANGES: [(u16, u16); 8] = [
    (80, 90),
    (8000, 8100),
    (1024, 65_535),
    (16, 31),
    (443, 445),
    (8080, 8080),
    (1, 65_535),
    (8080, 8087),
];
/// Protocols without ports.
const PORTLESS: [&str; 3] = ["GRE", "VRRP", "ESP"];
/// Names of ports.
const NAMES: [&str; 5] = ["http", "metrics", "dns", "api-v1", "dns-tcp"];

/// The named ports of the subject and of everybody.
pub(crate) fn named(scene: &mut Scene) -> Value {
    let mut some = || -> Vec<Value> {
        let all = [
            ("http", 8080, "TCP"),
            ("http", 80, "TCP"),
            ("metrics", 9091, "TCP"),
            ("dns", 53, "UDP"),
            ("dns-tcp", 53, "TCP"),
            ("api-v1", 80, "TCP"),
            ("http", 8443, "SCTP"),
        ];
        let chances = [70, 6, 60, 60, 50, 60, 10];
        all.iter()
            .zip(chances)
            .filter(|(_, chance)| scene.random.chance(*chance))
            .map(|((name, port, protocol), _)| json!({"name": name, "port": port, "protocol": protocol}))
            .collect()
    };
    let (mut subject, cluster) = (some(), some());
    // A pod has one port of a name.
    let mut names = BTreeSet::new();
    subject.retain(|port| {
        let name = port.get("name").map(Value::to_string);
        names.insert(name)
    });
    json!({"subject": subject, "cluster": cluster})
}

/// Remembers a port that a policy names, and its neighbours.
pub(crate) fn remember(scene: &mut Scene, port: u16) {
    scene.ports.extend([
        port,
        port,
        port,
        port.saturating_add(1),
        port.saturating_sub(1),
    ]);
}

fn number(scene: &mut Scene) -> u16 {
    let port = scene.random.pick(&NUMBERS).copied().unwrap_or(80);
    remember(scene, port);
    port
}

fn range(scene: &mut Scene) -> (u16, u16) {
    let (first, last) = scene.random.pick(&RANGES).copied().unwrap_or((80, 90));
    remember(scene, first);
    remember(scene, last);
    (first, last)
}

/// A protocol without ports, once in a while.
pub(crate) fn portless(scene: &mut Scene) -> Option<&'static str> {
    (scene.flavour.portless && scene.random.chance(10)).then(|| scene.random.word(&PORTLESS))
}

/// A port of a policy that is none, or should be none.
fn without_port(scene: &mut Scene) -> Option<Value> {
    let protocol = portless(scene)?;
    let mut port = match scene.random.chance(12) {
        true => json!({"protocol": protocol.to_lowercase()}),
        false => json!({"protocol": protocol}),
    };
    match scene.random.below(10) {
        0..5 => put(&mut port, "port", "0".into()),
        5 => put(&mut port, "port", "80".into()),
        _ => {}
    }
    Some(port)
}

/// A port of a Cilium policy.
fn cilium(scene: &mut Scene) -> Value {
    let protocol = scene.random.weighted(&[
        (50, "TCP"),
        (18, "UDP"),
        (8, "SCTP"),
        (12, "ANY"),
        (3, "tcp"),
        (9, ""),
    ]);
    let mut port = match scene.random.below(100) {
        0..20 => {
            let (first, last) = range(scene);
            json!({"port": first.to_string(), "endPort": last})
        }
        20..24 => json!({"port": "0"}),
        24..26 => {
            remember(scene, 1023);
            json!({"port": "0", "endPort": 1023})
        }
        26..46 if scene.flavour.named_ports => json!({"port": scene.random.word(&NAMES)}),
        46 => {
            remember(scene, 80);
            json!({"port": "0120"})
        }
        47 => {
            remember(scene, 443);
            json!({"port": "443", "endPort": 80})
        }
        _ => json!({"port": number(scene).to_string()}),
    };
    if !protocol.is_empty() {
        put(&mut port, "protocol", protocol.into());
    }
    without_port(scene).unwrap_or(port)
}

/// Ports of an AdminNetworkPolicy.
pub(crate) fn admin(scene: &mut Scene, names: bool) -> Vec<Value> {
    (0..scene.random.between(1, 2))
        .map(|_| {
            if names && scene.flavour.named_ports && scene.random.chance(30) {
                return json!({"namedPort": scene.random.word(&NAMES)});
            }
            let protocol = scene
                .random
                .weighted(&[(60, "TCP"), (30, "UDP"), (10, "SCTP")]);
            let (first, last) = range(scene);
            if first < last && scene.random.chance(30) {
                json!({"portRange": {"protocol": protocol, "start": first, "end": last}})
            } else {
                json!({"portNumber": {"protocol": protocol, "port": number(scene)}})
            }
        })
        .collect()
}

/// Port elements of a Cilium policy, without content.
pub(crate) fn elements(scene: &mut Scene) -> Vec<Value> {
    let count = scene.random.weighted(&[(70, 1), (30, 2)]);
    (0..count)
        .map(|_| {
            let ports: Vec<Value> = (0..scene.random.between(1, 3))
                .map(|_| cilium(scene))
                .collect();
            json!({"ports": ports})
        })
        .collect()
}

/// ICMP types.
pub(crate) fn icmp(scene: &mut Scene) -> Value {
    let fields: Vec<Value> = (0..scene.random.between(1, 3))
        .map(|_| match scene.random.below(8) {
            0 => json!({"type": 8}),
            1 => json!({"family": "IPv4", "type": 0}),
            2 => json!({"family": "IPv4", "type": "EchoRequest"}),
            3 => json!({"family": "IPv4", "type": "DestinationUnreachable"}),
            4 => json!({"family": "IPv6", "type": 128}),
            5 => json!({"family": "IPv6", "type": "EchoReply"}),
            6 => json!({"type": 3}),
            _ => json!({"family": "IPv6", "type": 1}),
        })
        .collect();
    json!([{"fields": fields}])
}

/// Ports of a NetworkPolicy.
pub(crate) fn kubernetes(scene: &mut Scene) -> Vec<Value> {
    (0..scene.random.between(1, 2))
        .map(|_| {
            let mut port = match scene.random.below(10) {
                0 => json!({}),
                1 | 2 => {
                    let (first, last) = range(scene);
                    json!({"port": first, "endPort": last})
                }
                3 if scene.flavour.named_ports => json!({"port": scene.random.word(&NAMES)}),
                _ => json!({"port": number(scene)}),
            };
            let protocol =
                scene
                    .random
                    .weighted(&[(45, "TCP"), (20, "UDP"), (8, "SCTP"), (27, "")]);
            if !protocol.is_empty() {
                put(&mut port, "protocol", protocol.into());
            }
            port
        })
        .collect()
}

/// Protocols of a ClusterNetworkPolicy.
pub(crate) fn cluster(scene: &mut Scene, with_names: bool) -> Vec<Value> {
    (0..scene.random.between(1, 2))
        .map(|_| {
            if with_names && scene.flavour.named_ports && scene.random.chance(30) {
                return json!({"destinationNamedPort": scene.random.word(&NAMES)});
            }
            let protocol = scene
                .random
                .weighted(&[(60, "tcp"), (30, "udp"), (10, "sctp")]);
            let port = if scene.random.chance(30) {
                let (first, last) = range(scene);
                if first == last {
                    json!({"number": first})
                } else {
                    json!({"range": {"start": first, "end": last}})
                }
            } else {
                json!({"number": number(scene)})
            };
            json!({protocol: {"destinationPort": port}})
        })
        .collect()
}
