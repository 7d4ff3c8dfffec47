//! Random worlds: policies as JSON (which is YAML), identities, questions.
#![allow(dead_code, reason = "each test file uses its own part")]

use porin_identity::{Families, Identities, IdentityId, Label, Labels, Snapshot, cidr_label};
use porin_policy::{
    AllowLocalhost, Direction, Enforcement, Options, Protocol, Query, RefusedDocuments, Semantics,
};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};

pub(crate) const PORTS: [u16; 15] = [
    0, 1, 22, 53, 80, 81, 443, 1023, 1024, 8080, 8087, 8088, 8090, 8091, 65535,
];
pub(crate) const BLOCKS: [&str; 6] = [
    "10.0.0.0/8",
    "10.1.0.0/16",
    "10.1.2.3/32",
    "0.0.0.0/0",
    "2001:db8::/32",
    "::/0",
];

/// The subject of every test: app=a, env=x in namespace p.
pub(crate) const SUBJECT: IdentityId = IdentityId::new(300);

/// Every identity a world may know.
pub(crate) fn pool(families: Families) -> Vec<(IdentityId, Labels)> {
    let mut pool = Vec::new();
    let mut number = SUBJECT.get();
    for namespace in ["p", "q"] {
        for (app, env, cluster) in [
            ("a", "x", "default"),
            ("b", "x", "default"),
            ("b", "y", "west"),
        ] {
            let text = format!(
                "k8s:app={app},k8s:env={env},k8s:io.kubernetes.pod.namespace={namespace},\
                 k8s:io.cilium.k8s.policy.cluster={cluster},\
                 k8s:io.cilium.k8s.namespace.labels.team={namespace}"
            );
            pool.push((IdentityId::new(number), text.parse().unwrap()));
            number += 1;
        }
    }
    let odd: Labels = "k8s:host=yes,container:app=b,k8s:app=a,k8s:io.kubernetes.pod.namespace=p,\
                       k8s:io.cilium.k8s.policy.cluster=default"
        .parse()
        .unwrap();
    pool.push((IdentityId::new(number), odd));
    for (at, block) in [
        "10.0.0.0/8",
        "10.1.0.0/16",
        "10.1.2.0/24",
        "10.1.2.3/32",
        "2001:db8::/32",
    ]
    .into_iter()
    .enumerate()
    {
        let block: ipnet::IpNet = block.parse().unwrap();
        let world = families.world_name(porin_identity::Family::of(&block.addr()));
        let world = Label::new("reserved", world, "").unwrap();
        let at = u32::try_from(at).unwrap();
        pool.push((
            IdentityId::new((1 << 24) + at),
            [cidr_label(block), world].into_iter().collect(),
        ));
    }
    pool
}

pub(crate) fn snapshot(
    families: Families,
    known: impl IntoIterator<Item = (IdentityId, Labels)>,
) -> Snapshot {
    registry(families, known).snapshot()
}

pub(crate) fn registry(
    families: Families,
    known: impl IntoIterator<Item = (IdentityId, Labels)>,
) -> Identities {
    let mut identities = Identities::with_quarantine(families, std::time::Duration::ZERO);
    for (id, labels) in known {
        identities.insert_fixed(id, labels).unwrap();
    }
    identities
}

/// Questions about one peer, in both directions.
pub(crate) fn questions(peer: IdentityId) -> impl Iterator<Item = Query> {
    let on = [
        (Protocol::TCP, &PORTS[..]),
        (Protocol::UDP, &[53, 80, 8085][..]),
        (Protocol::SCTP, &[80, 8085][..]),
        (Protocol::ICMP, &[0, 8][..]),
        (Protocol::ICMPV6, &[128][..]),
        (Protocol::new(47), &[0][..]),
    ];
    on.into_iter().flat_map(move |(protocol, ports)| {
        ports.iter().flat_map(move |port| {
            [
                Query::ingress(peer).on(protocol, *port),
                Query::egress(peer).on(protocol, *port),
            ]
        })
    })
}

pub(crate) fn options() -> impl Strategy<Value = Options> {
    let modes = select(vec![
        Enforcement::Default,
        Enforcement::Default,
        Enforcement::Default,
        Enforcement::Always,
        Enforcement::Never,
    ]);
    let semantics = select(vec![Semantics::Cilium, Semantics::Strict]);
    let local = select(vec![AllowLocalhost::Always, AllowLocalhost::Policy]);
    let refused = select(vec![
        RefusedDocuments::Skip,
        RefusedDocuments::Skip,
        RefusedDocuments::Deny,
    ]);
    (
        semantics,
        modes,
        local,
        any::<bool>(),
        prop::bool::weighted(0.8),
        refused,
    )
        .prop_map(
            |(semantics, enforcement, local, own_cluster, non_default_deny, refused)| {
                Options::new()
                    .semantics(semantics)
                    .enforcement(enforcement)
                    .allow_localhost(local)
                    .default_local_cluster(own_cluster)
                    .non_default_deny(non_default_deny)
                    .refused(refused)
            },
        )
}

fn terms() -> impl Strategy<Value = Value> {
    let key = select(vec!["app", "k8s:app", "any:env", "env", "container:app"]);
    let value = select(vec!["a", "b", "x", "y"]);
    let label =
        (key.clone(), value.clone()).prop_map(|(key, value)| json!({"matchLabels": {key: value}}));
    let expression = (key, select(vec!["In", "NotIn"]), prop::collection::vec(value, 1..3)).prop_map(
        |(key, operator, values)| {
            json!({"matchExpressions": [{"key": key, "operator": operator, "values": values}]})
        },
    );
    let exists = select(vec!["Exists", "DoesNotExist"])
        .prop_map(|operator| json!({"matchExpressions": [{"key": "env", "operator": operator}]}));
    prop_oneof![Just(json!({})), label.clone(), label, expression, exists]
}

fn placed_terms() -> impl Strategy<Value = Value> {
    let place = select(vec![
        json!({"k8s:io.kubernetes.pod.namespace": "p"}),
        json!({"io.kubernetes.pod.namespace": "q"}),
        json!({"io.cilium.k8s.policy.cluster": "west"}),
        json!({"k8s:io.cilium.k8s.namespace.labels.team": "q"}),
        json!({"reserved:host": ""}),
        json!({"reserved:init": ""}),
    ]);
    prop_oneof![
        3 => terms(),
        1 => place.prop_map(|labels| json!({"matchLabels": labels})),
    ]
}

fn peers(direction: Direction) -> impl Strategy<Value = Map<String, Value>> {
    let prefix = if direction == Direction::Ingress {
        "from"
    } else {
        "to"
    };
    let field =
        move |name: &str, value: Value| Map::from_iter([(format!("{prefix}{name}"), value)]);
    let entity = select(vec![
        "all",
        "world",
        "world-ipv4",
        "host",
        "remote-node",
        "cluster",
        "cluster-mesh",
        "none",
        "init",
    ]);
    let set = select(vec![
        json!({"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}),
        json!({"cidr": "0.0.0.0/0", "except": ["10.1.2.3/32"]}),
        json!({"cidr": "10.1.0.0/16"}),
    ]);
    prop_oneof![
        2 => Just(Map::new()),
        1 => Just(field("Endpoints", json!([]))),
        5 => prop::collection::vec(placed_terms(), 1..3).prop_map(move |list| field("Endpoints", json!(list))),
        2 => select(&BLOCKS[..]).prop_map(move |block| field("CIDR", json!([block]))),
        1 => set.prop_map(move |set| field("CIDRSet", json!([set]))),
        2 => prop::collection::vec(entity, 1..3).prop_map(move |list| field("Entities", json!(list))),
    ]
}

fn port_element(direction: Direction, l7: bool) -> impl Strategy<Value = Value> {
    let protocol = select(vec!["TCP", "TCP", "UDP", "SCTP", "ANY"]);
    let port = select(vec![
        json!({"port": "80"}),
        json!({"port": "80"}),
        json!({"port": "0"}),
        json!({"port": "0", "endPort": 1023}),
        json!({"port": "8080", "endPort": 8090}),
        json!({"port": "8088"}),
        json!({"port": "53"}),
        json!({"port": "443", "endPort": 442}),
    ]);
    let plain = (port, protocol).prop_map(|(mut port, protocol)| {
        port["protocol"] = json!(protocol);
        json!({"ports": [port]})
    });
    let http = select(vec![
        json!({}),
        json!({"method": "GET"}),
        json!({"path": "/api/.*"}),
    ]);
    let on = select(vec![
        json!({"port": "80", "protocol": "TCP"}),
        json!({"port": "8080", "endPort": 8090, "protocol": "TCP"}),
        json!({"port": "8088", "protocol": "TCP"}),
    ]);
    let http = (on.clone(), http)
        .prop_map(|(port, rule)| json!({"ports": [port], "rules": {"http": [rule]}}));
    let kafka = select(vec![json!({}), json!({"topic": "orders"})]);
    let kafka =
        (on, kafka).prop_map(|(port, rule)| json!({"ports": [port], "rules": {"kafka": [rule]}}));
    let dns = (select(vec!["UDP", "ANY"]), select(vec!["*", "*.example.com"])).prop_map(|(protocol, name)| {
        json!({"ports": [{"port": "53", "protocol": protocol}], "rules": {"dns": [{"matchPattern": name}]}})
    });
    let plain = prop_oneof![9 => plain, 1 => Just(json!({"ports": []}))];
    match (l7, direction) {
        (false, _) => plain.boxed(),
        (true, Direction::Ingress) => prop_oneof![3 => plain, 2 => http, 1 => kafka].boxed(),
        (true, Direction::Egress) => {
            prop_oneof![3 => plain, 1 => http, 1 => kafka, 1 => dns].boxed()
        }
    }
}

fn rule(direction: Direction, l7: bool) -> impl Strategy<Value = Value> {
    let ports = prop::collection::vec(port_element(direction, l7), 1..3);
    (peers(direction), prop::option::weighted(0.7, ports)).prop_map(|(mut rule, ports)| {
        if let Some(ports) = ports {
            rule.insert("toPorts".into(), json!(ports));
        }
        Value::Object(rule)
    })
}

fn list(direction: Direction, l7: bool) -> impl Strategy<Value = Value> {
    prop::collection::vec(rule(direction, l7), 0..3).prop_map(Value::Array)
}

/// Rules of the four lists; `denials_only` leaves the allowances out.
fn spec(denials_only: bool) -> impl Strategy<Value = Value> {
    let lists = (
        prop::option::weighted(0.6, list(Direction::Ingress, true)),
        prop::option::weighted(0.6, list(Direction::Egress, true)),
        prop::option::weighted(0.3, list(Direction::Ingress, false)),
        prop::option::weighted(0.3, list(Direction::Egress, false)),
    );
    let default = prop::option::weighted(0.3, (any::<bool>(), any::<bool>()));
    let subject = prop_oneof![
        2 => Just(json!({})),
        1 => Just(json!({"matchLabels": {"app": "a"}})),
        2 => terms(),
    ];
    (subject, lists, default).prop_map(
        move |(subject, (ingress, egress, no_ingress, no_egress), default)| {
            let mut spec = json!({ "endpointSelector": subject });
            let lists = [
                ("ingress", ingress),
                ("egress", egress),
                ("ingressDeny", no_ingress),
                ("egressDeny", no_egress),
            ];
            for (name, list) in lists {
                let left_out = denials_only && !name.ends_with("Deny");
                if let Some(list) = list.filter(|_| !left_out) {
                    spec[name] = list;
                }
            }
            if let Some((ingress, egress)) = default {
                spec["enableDefaultDeny"] = json!({"ingress": ingress, "egress": egress});
            }
            spec
        },
    )
}

/// A policy of a number, so that names differ.
pub(crate) fn policy(number: usize, denials_only: bool) -> impl Strategy<Value = String> {
    let kind = prop_oneof![
        3 => Just(Some("p")),
        1 => Just(Some("q")),
        2 => Just(None),
    ];
    (kind, spec(denials_only)).prop_map(move |(namespace, spec)| {
        let name = format!("policy-{number}");
        let (kind, metadata) = match namespace {
            Some(namespace) => (
                "CiliumNetworkPolicy",
                json!({"name": name, "namespace": namespace}),
            ),
            None => ("CiliumClusterwideNetworkPolicy", json!({ "name": name })),
        };
        json!({"apiVersion": "cilium.io/v2", "kind": kind, "metadata": metadata, "spec": spec})
            .to_string()
    })
}

pub(crate) fn policies(most: usize) -> impl Strategy<Value = Vec<String>> {
    (0..most)
        .map(|number| policy(number, false))
        .collect::<Vec<_>>()
        .prop_flat_map(move |all| {
            (Just(all), 0..=most).prop_map(|(mut all, count)| {
                all.truncate(count);
                all
            })
        })
}

pub(crate) fn files(policies: &[String]) -> impl Iterator<Item = (String, &str)> {
    policies
        .iter()
        .enumerate()
        .map(|(at, text)| (format!("{at}.yaml"), text.as_str()))
}
