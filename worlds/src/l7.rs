use serde_json::{Value, json};

use crate::object::put;
use crate::peer::Place;
use crate::port;
use crate::scene::Scene;

/// A port element whose traffic a proxy looks into; none where the place does not take any.
pub(crate) fn element(scene: &mut Scene, place: Place) -> Option<Value> {
    if place.deny {
        return None;
    }
    let listener = usize::from(scene.flavour.listeners);
    let older = usize::from(scene.whole.is_some());
    let kind = match (place.ingress, place.node) {
        (true, false) => scene.random.weighted(&[
            (70, "http"),
            (30, "sni"),
            (20 * older, "kafka"),
            (15 * older, "parser"),
        ]),
        (true, true) => "sni",
        (false, false) => scene.random.weighted(&[
            (50, "http"),
            (25, "dns"),
            (15, "sni"),
            (25 * listener, "listener"),
            (15 * older, "kafka"),
            (12 * older, "parser"),
        ]),
        (false, true) => scene.random.weighted(&[(60, "dns"), (40, "sni")]),
    };
    Some(match kind {
        "http" => json!({"ports": tcp(scene, place), "rules": {"http": list(scene, http)}}),
        "dns" => json!({"ports": names(scene, place), "rules": {"dns": list(scene, dns)}}),
        "listener" => with_listener(scene, place),
        "kafka" => json!({"ports": tcp(scene, place), "rules": {"kafka": list(scene, kafka)}}),
        "parser" => {
            let parser = scene.random.word(&["envoy.test", "r2d2", "cassandra"]);
            json!({"ports": tcp(scene, place), "rules": {"l7proto": parser, "l7": list(scene, pairs)}})
        }
        _ => server_names(scene, place),
    })
}

fn list(scene: &mut Scene, one: impl Fn(&mut Scene) -> Value) -> Value {
    let count = scene.random.weighted(&[(5, 0), (55, 1), (25, 2), (15, 3)]);
    (0..count).map(|_| one(scene)).collect()
}

fn tcp(scene: &mut Scene, place: Place) -> Value {
    let ports: [(u16, &str); 3] = [(80, "80"), (8080, "8080"), (443, "443")];
    let (number, text) = scene.random.pick(&ports).copied().unwrap_or((80, "80"));
    port::remember(scene, number);
    scene.hot.push((place.ingress, "TCP", number));
    let mut port = json!({"port": text, "protocol": "TCP"});
    match scene.random.below(20) {
        0 | 1 => {
            put(&mut port, "endPort", (number + 7).into());
            port::remember(scene, number + 7);
        }
        2 | 3 if scene.flavour.named_ports => put(
            &mut port,
            "port",
            scene.random.word(&["http", "api-v1"]).into(),
        ),
        _ => {}
    }
    json!([port])
}

fn names(scene: &mut Scene, place: Place) -> Value {
    port::remember(scene, 53);
    scene
        .hot
        .push((place.ingress, scene.random.word(&["UDP", "TCP"]), 53));
    let protocol = scene
        .random
        .weighted(&[(50, "UDP"), (25, "ANY"), (25, "TCP")]);
    let port = match scene.random.below(10) {
        0 if scene.flavour.named_ports => "dns",
        _ => "53",
    };
    json!([{"port": port, "protocol": protocol}])
}

fn http(scene: &mut Scene) -> Value {
    let mut rule = json!({});
    if scene.random.chance(60) {
        put(
            &mut rule,
            "method",
            scene
                .random
                .word(&["GET", "POST", "HEAD", "PUT|PATCH"])
                .into(),
        );
    }
    if scene.random.chance(60) {
        put(
            &mut rule,
            "path",
            scene
                .random
                .word(&["/", "/api/.*", "/v1/items/[0-9]+$", "/public/[a-z]+"])
                .into(),
        );
    }
    if scene.random.chance(10) {
        put(
            &mut rule,
            "host",
            scene.random.word(&["svc.local", ".*\\.corp\\.test"]).into(),
        );
    }
    if scene.random.chance(12) {
        put(
            &mut rule,
            "headers",
            json!([scene.random.word(&["X-Debug", "X-Env: prod"])]),
        );
    }
    if scene.random.chance(12) {
        put(
            &mut rule,
            "headerMatches",
            match scene.random.below(3) {
                0 => json!([{"name": "X-Env", "value": "prod"}]),
                1 => json!([{"name": "X-Team", "mismatch": "LOG", "value": "a"}]),
                _ => json!([{"name": "X-Token", "mismatch": "REPLACE", "value": "t"}]),
            },
        );
    }
    rule
}

fn kafka(scene: &mut Scene) -> Value {
    match scene.random.below(4) {
        0 => json!({"role": "produce", "topic": "orders"}),
        1 => json!({"apiKey": "fetch", "topic": "orders"}),
        2 => json!({"role": "consume"}),
        _ => json!({"clientID": "billing"}),
    }
}

fn pairs(scene: &mut Scene) -> Value {
    json!({"cmd": scene.random.word(&["READ", "WRITE"])})
}

fn dns(scene: &mut Scene) -> Value {
    match scene.random.below(5) {
        0 => json!({"matchName": "api.example.com"}),
        1 => json!({"matchPattern": "*.example.com"}),
        2 => json!({"matchPattern": "db-*.corp.test"}),
        3 => json!({"matchPattern": "*"}),
        _ => json!({"matchName": "cdn.example.net"}),
    }
}

fn server_names(scene: &mut Scene, place: Place) -> Value {
    let names: Vec<&str> = (0..scene.random.between(1, 2))
        .map(|_| {
            scene.random.word(&[
                "a.example.com",
                "b.example.com",
                "*.example.com",
                "**.corp.test",
            ])
        })
        .collect();
    let mut element = json!({"ports": tcp(scene, place), "serverNames": names});
    if scene.random.chance(20) {
        put(
            &mut element,
            "terminatingTLS",
            json!({"secret": {"name": "server", "namespace": "kube-system"}}),
        );
        if scene.random.chance(50) {
            put(&mut element, "rules", json!({"http": list(scene, http)}));
        }
    }
    element
}

fn with_listener(scene: &mut Scene, place: Place) -> Value {
    let mut listener = match scene.random.below(3) {
        0 => {
            json!({"envoyConfig": {"kind": "CiliumClusterwideEnvoyConfig", "name": "proxy"}, "name": "one"})
        }
        1 => json!({"envoyConfig": {"kind": "CiliumEnvoyConfig", "name": "proxy"}, "name": "one"}),
        _ => json!({"envoyConfig": {"name": "proxy"}, "name": "two"}),
    };
    if scene.random.chance(50) {
        put(
            &mut listener,
            "priority",
            scene.random.between(1, 100).into(),
        );
    }
    json!({"ports": tcp(scene, place), "listener": listener})
}
