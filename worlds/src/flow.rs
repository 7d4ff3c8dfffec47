use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::scene::Scene;
use crate::{port, whole};

/// Ports that are asked about whether somebody names them or not.
const OTHERS: [u16; 5] = [1, 443, 8081, 31_000, 65_535];
const ICMP: [u16; 5] = [0, 3, 5, 8, 11];
const ICMPV6: [u16; 4] = [1, 128, 129, 135];

/// Questions, none twice.
pub(crate) fn flows(scene: &mut Scene, identities: &[Value], most: usize) -> Vec<Value> {
    let known = identities
        .iter()
        .filter_map(|identity| identity.get("id")?.as_u64());
    let peers: Vec<u64> = known.chain(whole::stranger(scene)).collect();
    let ports: Vec<u16> = scene.ports.iter().copied().chain(OTHERS).collect();
    let mut asked = BTreeSet::new();
    // Some of the draws repeat what was asked.
    for _ in 0..most + most / 4 {
        if asked.len() == most {
            break;
        }
        let peer = scene.random.pick(&peers).copied().unwrap_or(0);
        let (ingress, protocol, port) = match scene.random.pick(&scene.hot).copied() {
            Some(hot) if scene.random.chance(35) => hot,
            _ => anywhere(scene, &ports),
        };
        asked.insert((ingress, peer, protocol, port));
    }
    asked
        .into_iter()
        .map(|(ingress, peer, protocol, port)| {
            let direction = if ingress { "ingress" } else { "egress" };
            json!({"direction": direction, "peer": peer, "protocol": protocol, "port": port})
        })
        .collect()
}

/// A direction, a protocol and a port or ICMP type.
fn anywhere(scene: &mut Scene, ports: &[u16]) -> (bool, &'static str, u16) {
    let ingress = scene.random.chance(50);
    let protocols = [
        (58, "TCP"),
        (22, "UDP"),
        (7, "SCTP"),
        (8, "ICMP"),
        (5, "ICMPv6"),
    ];
    if let Some(protocol) = port::portless(scene) {
        return (ingress, protocol, 0);
    }
    let protocol = scene.random.weighted(&protocols);
    let from: &[u16] = match protocol {
        "ICMP" => &ICMP,
        "ICMPv6" => &ICMPV6,
        _ => ports,
    };
    let port = scene.random.pick(from).copied().unwrap_or(80);
    (ingress, protocol, port)
}
