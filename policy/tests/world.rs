//! World files: what they say, and what is refused about them.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

use porin_policy::{Backends, Protocol, World};

fn refused(text: &str) -> String {
    World::parse("w.yaml", text).unwrap_err().to_string()
}

#[test]
fn everything_a_world_can_hold_is_read() {
    let world = World::parse(
        "w.yaml",
        r#"
workloads:
- name: web
  namespace: shop
  cluster: west
  labels: {app: web}
  ports: [{port: 8080, name: HTTP}, {port: 53, protocol: UDP}]
namespaces:
- {name: shop, labels: {team: sales}}
- {name: nobody-lives-here}
nodes:
- {name: n1, labels: {zone: a}, addresses: [10.2.0.1]}
services:
- {name: web, namespace: shop, selector: {app: web}}
- {name: legacy, addresses: [192.0.2.1]}
outside:
- {name: api, cidr: 203.0.113.0/24, names: [api.example.com]}
"#,
    )
    .unwrap();
    let web = world.workload("web").unwrap();
    let labels = web.identity("east").unwrap().to_string();
    assert!(
        labels.contains("k8s:io.cilium.k8s.policy.cluster=west"),
        "{labels}"
    );
    assert!(
        labels.contains("k8s:io.cilium.k8s.namespace.labels.team=sales"),
        "{labels}"
    );
    let ports = web.named_ports();
    assert_eq!(ports.len(), 1);
    assert_eq!(
        (ports[0].name(), ports[0].protocol(), ports[0].port()),
        ("http", Protocol::TCP, 8080)
    );
    assert_eq!(world.node("n1").unwrap().addresses.len(), 1);
    assert!(matches!(&world.services[0].backends, Backends::Pods(pods) if pods.len() == 1));
    assert_eq!(&*world.services[1].namespace, "default");
    let range = world.range("api").unwrap();
    assert_eq!(range.sample().to_string(), "203.0.113.1");
    assert_eq!(&*range.names[0], "api.example.com");
}

#[test]
fn what_a_world_cannot_mean_is_refused_with_its_place() {
    for (text, place) in [
        ("workloads:\n- {name: a, colour: red}\n", "w.yaml:2:13"),
        ("workloads:\n- {name: a}\n- {name: a}\n", "w.yaml:3:10"),
        (
            "workloads:\n- {name: a}\nnodes:\n- {name: a}\n",
            "w.yaml:4:10",
        ),
        (
            "workloads:\n- {name: a, ports: [{port: 0}]}\n",
            "w.yaml:2:28",
        ),
        (
            "namespaces:\n- {name: a}\n- {name: a, labels: {x: z}}\n",
            "w.yaml:3:3",
        ),
        ("services:\n- {name: s}\n", "w.yaml:2:3"),
        (
            "services:\n- {name: s, selector: {a: b}, addresses: [10.0.0.1]}\n",
            "w.yaml:2:3",
        ),
        (
            "outside:\n- {name: o, cidr: 10.0.0.0/8, addresses: [11.0.0.1]}\n",
            "w.yaml:2:43",
        ),
    ] {
        let said = refused(text);
        assert!(said.starts_with(place), "{text}: {said}");
    }
}
