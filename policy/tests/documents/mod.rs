//! Random documents of every kind, each valid in its language.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    dead_code,
    reason = "a test, and not every test needs all of it"
)]

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};

type Of = BoxedStrategy<Value>;

/// A document of any kind.
pub(crate) fn document() -> Of {
    prop_oneof![
        4 => cilium("CiliumNetworkPolicy"),
        2 => cilium("CiliumClusterwideNetworkPolicy"),
        1 => network_policy(),
        1 => admin(),
        1 => cluster(),
    ]
    .boxed()
}

fn text(words: &'static [&'static str]) -> Of {
    select(words).prop_map(Value::from).boxed()
}

fn list(of: Of, size: std::ops::Range<usize>) -> Of {
    prop::collection::vec(of, size)
        .prop_map(Value::from)
        .boxed()
}

/// A map in which each field is there or not.
fn some(fields: Vec<(&'static str, Of)>) -> Of {
    let fields: Vec<_> = fields
        .into_iter()
        .map(|(name, of)| prop::option::of(of).prop_map(move |value| (name, value)))
        .collect();
    let put = |fields: Vec<(&str, Option<Value>)>| {
        let fields = fields.into_iter();
        let fields = fields.filter_map(|(name, value)| Some((name.to_owned(), value?)));
        Value::Object(fields.collect())
    };
    fields.prop_map(put).boxed()
}

/// The fields of both.
fn both(one: Of, other: Of) -> Of {
    let merge = |(one, other): (Value, Value)| {
        let (Value::Object(mut one), Value::Object(other)) = (one, other) else {
            return Value::Null;
        };
        one.extend(other);
        Value::Object(one)
    };
    (one, other).prop_map(merge).boxed()
}

fn field(name: &'static str, of: Of) -> Of {
    of.prop_map(move |value| json!({ name: value })).boxed()
}

fn all(fields: Vec<(&'static str, Of)>) -> Of {
    let start = Just(json!({})).boxed();
    let fields = fields.into_iter().map(|(name, of)| field(name, of));
    fields.fold(start, both)
}

fn one_of(fields: Vec<Of>) -> Of {
    proptest::strategy::Union::new(fields).boxed()
}

const KEYS: &[&str] = &[
    "app",
    "k8s:app",
    "any:app",
    "$init",
    "reserved:init",
    "io.kubernetes.pod.namespace",
    "k8s:io.cilium.k8s.namespace.labels.team",
    "cidr:10.0.0.0/8",
];
const PLAIN: &[&str] = &["app", "example.com/tier", "kubernetes.io/metadata.name"];
const VALUES: &[&str] = &["", "a", "b-1", "C_2"];

fn selector(keys: &'static [&'static str]) -> Of {
    let pairs = prop::collection::btree_map(select(keys), select(VALUES), 0..4);
    let labels = pairs.prop_map(|pairs| {
        let pairs = pairs.into_iter();
        Value::Object(
            pairs
                .map(|(key, value)| (key.to_owned(), value.into()))
                .collect::<Map<_, _>>(),
        )
    });
    let values = list(text(VALUES), 1..4);
    let listed = all(vec![
        ("key", text(keys)),
        ("operator", text(&["In", "NotIn"])),
        ("values", values),
    ]);
    let bare = all(vec![
        ("key", text(keys)),
        ("operator", text(&["Exists", "DoesNotExist"])),
    ]);
    let expressions = list(one_of(vec![listed, bare]), 0..3);
    some(vec![
        ("matchLabels", labels.boxed()),
        ("matchExpressions", expressions),
    ])
}

fn peers(egress: bool, denies: bool) -> Of {
    let blocks: &[&str] = &["10.0.0.0/8", "10.1.2.3/9", "2001:db8::/32", "0.0.0.0/0"];
    let addresses: &[&str] = &["10.0.0.1", "::1", "10.1.0.0/16"];
    let set = one_of(vec![
        field("cidr", text(blocks)),
        all(vec![
            ("cidr", text(&["10.0.0.0/8"])),
            ("except", list(text(&["10.1.0.0/16", "10.2.3.4/32"]), 0..3)),
        ]),
        field("cidrGroupRef", text(&["g", "h"])),
        field(
            "cidrGroupSelector",
            selector(&["env", "cidrgroup:env", "any:env", "k8s:x"]),
        ),
    ]);
    let group = some(vec![(
        "aws",
        some(vec![
            ("labels", some(vec![("a", text(&["<&>", "b"]))])),
            ("securityGroupsIds", list(text(&["sg-1", "sg-2"]), 0..3)),
            (
                "securityGroupsNames",
                list(text(&["web", "\u{2028}"]), 0..2),
            ),
            ("region", text(&["eu-west-1"])),
        ]),
    )]);
    let name = |what: &'static str| -> &'static str {
        let names: [(&str, [&str; 2]); 6] = [
            ("Endpoints", ["fromEndpoints", "toEndpoints"]),
            ("CIDR", ["fromCIDR", "toCIDR"]),
            ("CIDRSet", ["fromCIDRSet", "toCIDRSet"]),
            ("Entities", ["fromEntities", "toEntities"]),
            ("Nodes", ["fromNodes", "toNodes"]),
            ("Groups", ["fromGroups", "toGroups"]),
        ];
        names
            .into_iter()
            .find(|(known, _)| *known == what)
            .unwrap()
            .1[usize::from(egress)]
    };
    let mut fields = vec![
        field(name("Endpoints"), list(selector(KEYS), 0..3)),
        field(name("CIDR"), list(text(addresses), 0..3)),
        field(name("CIDRSet"), list(set, 0..3)),
        field(
            name("Entities"),
            list(text(&["world", "cluster", "all"]), 0..3),
        ),
        field(name("Nodes"), list(selector(KEYS), 0..2)),
        field(name("Groups"), list(group, 0..2)),
        Just(json!({})).boxed(),
    ];
    if egress {
        let service = one_of(vec![
            field(
                "k8sService",
                some(vec![
                    ("serviceName", text(&["db"])),
                    ("namespace", text(&["ns"])),
                ]),
            ),
            field(
                "k8sServiceSelector",
                both(
                    field("selector", selector(&["app", "k8s:x"])),
                    some(vec![("namespace", text(&["ns"]))]),
                ),
            ),
            Just(json!({})).boxed(),
        ]);
        fields.push(field("toServices", list(service, 0..3)));
    }
    if egress && !denies {
        let fqdn = one_of(vec![
            field("matchName", text(&["a.example.com", "B.c."])),
            field("matchPattern", text(&["*", "**.example.com", "a*.b"])),
            Just(json!({})).boxed(),
        ]);
        fields.push(field("toFQDNs", list(fqdn, 0..3)));
    }
    one_of(fields)
}

const PROTOCOLS: &[&str] = &["TCP", "udp", "SCTP", "ANY", ""];

fn port() -> Of {
    one_of(vec![
        both(
            field("port", text(&["0", "80", "443", "010", "web", "Dns-tcp"])),
            some(vec![
                ("protocol", text(PROTOCOLS)),
                ("endPort", (-1..70000_i32).prop_map(Value::from).boxed()),
            ]),
        ),
        both(
            field("protocol", text(&["GRE", "esp", "VRRP"])),
            some(vec![("port", text(&["0", ""]))]),
        ),
        all(vec![
            ("protocol", text(&["gre"])),
            ("port", text(&["7", "web"])),
        ]),
    ])
}

fn l7() -> Of {
    let secret = both(
        field("name", text(&["s"])),
        some(vec![("namespace", text(&["ns"]))]),
    );
    let header = both(
        field("name", text(&["X-A"])),
        some(vec![
            ("value", text(&["v", "<>"])),
            ("secret", secret),
            ("mismatch", text(&["LOG", "ADD", "DELETE", "REPLACE"])),
        ]),
    );
    let http = some(vec![
        ("method", text(&["GET", "GET|PUT"])),
        ("path", text(&["/a/.*", "/\"x\\\\"])),
        ("host", text(&["a.b"])),
        (
            "headers",
            list(text(&["X", "X:", "X::", "X: v", "X v w", "X: ", ""]), 0..3),
        ),
        ("headerMatches", list(header, 0..2)),
    ]);
    let kafka = both(
        one_of(vec![
            some(vec![("role", text(&["produce", "Consume"]))]),
            some(vec![("apiKey", text(&["fetch", "OffsetCommit"]))]),
        ]),
        some(vec![
            ("apiVersion", text(&["0", "7"])),
            ("clientID", text(&["me"])),
            ("topic", text(&["t.1"])),
        ]),
    );
    let other = some(vec![(
        "l7",
        list(some(vec![("cmd", text(&["SET"]))]), 0..2),
    )]);
    one_of(vec![
        field("http", list(http, 0..3)),
        field("kafka", list(kafka, 0..3)),
        both(field("l7proto", text(&["memcached"])), other),
    ])
}

fn allowed(egress: bool) -> Of {
    let tls = some(vec![
        ("secret", field("name", text(&["s"]))),
        ("trustedCA", text(&["ca"])),
        ("certificate", text(&["crt"])),
        ("privateKey", text(&["key"])),
    ]);
    let plain = both(
        field("ports", list(port(), 0..3)),
        some(vec![
            ("serverNames", list(text(&["a.b", "*.C"]), 0..3)),
            ("terminatingTLS", tls.clone()),
            ("originatingTLS", tls),
        ]),
    );
    let tcp = Just(json!([{"port": "80", "protocol": "TCP"}])).boxed();
    let content = all(vec![("ports", tcp.clone()), ("rules", l7())]);
    let mut elements = vec![plain, content];
    if egress {
        let udp = Just(json!([{"port": "53", "protocol": "ANY"}])).boxed();
        let dns = some(vec![
            ("matchName", text(&["a.b"])),
            ("matchPattern", text(&["*.c"])),
        ]);
        elements.push(all(vec![
            ("ports", udp),
            ("rules", field("dns", list(dns, 0..3))),
        ]));
        let config = both(
            field("name", text(&["c"])),
            some(vec![(
                "kind",
                text(&["CiliumEnvoyConfig", "CiliumClusterwideEnvoyConfig"]),
            )]),
        );
        let listener = both(
            all(vec![("name", text(&["l"])), ("envoyConfig", config)]),
            some(vec![(
                "priority",
                (0..=100_u16).prop_map(Value::from).boxed(),
            )]),
        );
        elements.push(all(vec![("ports", tcp), ("listener", listener)]));
    }
    one_of(elements)
}

fn icmps() -> Of {
    let field4 = all(vec![(
        "type",
        one_of(vec![
            text(&["EchoRequest", "8"]),
            (0..300_u16).prop_map(Value::from).boxed(),
        ]),
    )]);
    let field6 = all(vec![
        ("family", text(&["IPv6"])),
        ("type", text(&["EchoReply", "0"])),
    ]);
    let fields = list(one_of(vec![field4, field6]), 0..3);
    list(some(vec![("fields", fields)]), 0..3)
}

fn rule(egress: bool, denies: bool) -> Of {
    let denied = field("ports", list(port(), 0..3));
    let element = if denies { denied } else { allowed(egress) };
    let ports = one_of(vec![
        Just(json!({})).boxed(),
        field("toPorts", list(element, 0..3)),
        field("icmps", icmps()),
    ]);
    let mut rule = both(peers(egress, denies), ports);
    if !denies {
        let auth = field("mode", text(&["required", "disabled", "test-always-fail"]));
        rule = both(rule, some(vec![("authentication", auth)]));
    }
    rule
}

fn spec(clusterwide: bool) -> Of {
    let mut subjects = vec![field("endpointSelector", selector(KEYS))];
    let lists = || {
        some(vec![
            ("ingress", list(rule(false, false), 0..3)),
            ("ingressDeny", list(rule(false, true), 0..2)),
            ("egress", list(rule(true, false), 1..3)),
            ("egressDeny", list(rule(true, true), 0..2)),
        ])
    };
    let ingress = field("ingress", list(rule(false, false), 1..3));
    let rest = some(vec![
        (
            "enableDefaultDeny",
            some(vec![
                ("ingress", any::<bool>().prop_map(Value::from).boxed()),
                ("egress", any::<bool>().prop_map(Value::from).boxed()),
            ]),
        ),
        ("labels", list(text(&["k8s:a=b", "c", "any:d=e"]), 0..3)),
        ("description", text(&["", "what\nfor"])),
        ("log", some(vec![("value", text(&["x"]))])),
    ]);
    if clusterwide {
        subjects.push(field("nodeSelector", selector(KEYS)));
    }
    both(both(one_of(subjects), both(ingress, lists())), rest)
}

fn head(version: &'static str, kind: &'static str, staged: &'static [&'static str]) -> Of {
    let metadata = both(
        field("name", text(&["p", "default"])),
        some(vec![
            ("namespace", text(&["ns"])),
            (
                "annotations",
                field("policy.porin.dev/staged", text(staged)),
            ),
        ]),
    );
    all(vec![
        ("apiVersion", text_of(version)),
        ("kind", text_of(kind)),
        ("metadata", metadata),
    ])
}

fn text_of(text: &'static str) -> Of {
    Just(Value::from(text)).boxed()
}

fn cilium(kind: &'static str) -> Of {
    let clusterwide = kind != "CiliumNetworkPolicy";
    let specs = one_of(vec![
        field("spec", spec(clusterwide)),
        field("specs", list(spec(clusterwide), 0..3)),
        all(vec![
            ("spec", spec(clusterwide)),
            ("specs", list(spec(clusterwide), 0..2)),
        ]),
    ]);
    let staged = &["true", "false", "ingress[0]", "egressDeny[0], ingress[0]"];
    both(head("cilium.io/v2", kind, staged), specs)
}

fn k8s_ports(of: fn(&'static str, u16, Option<u16>) -> Value, named: fn(&str) -> Value) -> Of {
    let number = (
        select(vec!["TCP", "UDP", "SCTP"]),
        1..1000_u16,
        prop::option::of(1001..2000_u16),
    );
    one_of(vec![
        number
            .prop_map(move |(protocol, port, end)| of(protocol, port, end))
            .boxed(),
        select(vec!["web", "dns-tcp"]).prop_map(named).boxed(),
    ])
}

fn network_policy() -> Of {
    let pods = some(vec![("podSelector", selector(PLAIN))]);
    let namespaces = field("namespaceSelector", selector(PLAIN));
    let block = field(
        "ipBlock",
        both(
            field("cidr", text(&["10.0.0.1/8"])),
            some(vec![("except", list(text(&["10.1.0.0/16"]), 0..2))]),
        ),
    );
    let peer = one_of(vec![
        field("podSelector", selector(PLAIN)),
        both(pods, namespaces),
        block,
    ]);
    let port = k8s_ports(
        |protocol, port, end| match end {
            Some(end) => json!({"protocol": protocol, "port": port, "endPort": end}),
            None => json!({"protocol": protocol, "port": port}),
        },
        |name| json!({ "port": name }),
    );
    let ports = list(one_of(vec![port, Just(json!({})).boxed()]), 0..3);
    let rule = |field| {
        some(vec![
            (field, list(peer.clone(), 0..3)),
            ("ports", ports.clone()),
        ])
    };
    let spec = some(vec![
        ("podSelector", selector(PLAIN)),
        ("ingress", list(rule("from"), 0..3)),
        ("egress", list(rule("to"), 0..3)),
        ("policyTypes", list(text(&["Ingress", "Egress"]), 0..3)),
    ]);
    let head = head("networking.k8s.io/v1", "NetworkPolicy", &["true", "false"]);
    both(head, field("spec", spec))
}

fn subject() -> Of {
    one_of(vec![
        field("namespaces", selector(PLAIN)),
        field(
            "pods",
            all(vec![
                ("namespaceSelector", selector(PLAIN)),
                ("podSelector", selector(PLAIN)),
            ]),
        ),
    ])
}

fn rules(
    actions: &'static [&'static str],
    names: bool,
    ports: &'static str,
    port: &Of,
) -> (Of, Of) {
    let rule = |peer: &'static str, of: Of| {
        let named = some(vec![("name", text(&["first"]))]);
        let rest = all(vec![("action", text(actions)), (peer, list(of, 1..4))]);
        both(named, rest)
    };
    let with_ports = |rule: Of| both(rule, some(vec![(ports, list(port.clone(), 1..3))]));
    let mut destinations = vec![
        subject(),
        field("nodes", selector(PLAIN)),
        field(
            "networks",
            one_of(vec![
                Just(json!(["10.0.0.0/8", "2001:db8::/32"])).boxed(),
                Just(json!(["10.0.0.0/8"])).boxed(),
            ]),
        ),
        field("somethingNew", selector(PLAIN)),
    ];
    if names {
        destinations
            .push(Just(json!({"domainNames": ["A.example.com", "*.example.com."]})).boxed());
    }
    (
        list(with_ports(rule("from", subject())), 0..3),
        list(rule("to", one_of(destinations)), 0..3),
    )
}

fn admin() -> Of {
    let port = k8s_ports(
        |protocol, port, end| match end {
            Some(end) => json!({"portRange": {"protocol": protocol, "start": port, "end": end}}),
            None => json!({"portNumber": {"protocol": protocol, "port": port}}),
        },
        |name| json!({ "namedPort": name }),
    );
    let (ingress, egress) = rules(&["Allow"], true, "ports", &port);
    let (denied, _) = rules(&["Allow", "Deny", "Pass"], false, "ports", &port);
    let spec = both(
        all(vec![
            ("priority", (0..=1000_u16).prop_map(Value::from).boxed()),
            ("subject", subject()),
        ]),
        one_of(vec![
            some(vec![("ingress", ingress), ("egress", egress)]),
            some(vec![("ingress", denied)]),
        ]),
    );
    let admin = head(
        "policy.networking.k8s.io/v1alpha1",
        "AdminNetworkPolicy",
        &["true", "false"],
    );
    let baseline = head(
        "policy.networking.k8s.io/v1alpha1",
        "BaselineAdminNetworkPolicy",
        &["true"],
    )
    .prop_map(|mut head| {
        head["metadata"]["name"] = "default".into();
        head
    });
    let (ingress, egress) = rules(&["Allow", "Deny"], false, "ports", &port);
    let base = both(
        field("subject", subject()),
        some(vec![("ingress", ingress), ("egress", egress)]),
    );
    one_of(vec![
        both(admin, field("spec", spec)),
        both(baseline.boxed(), field("spec", base)),
    ])
}

fn cluster() -> Of {
    let port = k8s_ports(
        |protocol, port, end| {
            let port = match end {
                Some(end) => json!({"range": {"start": port, "end": end}}),
                None => json!({ "number": port }),
            };
            json!({protocol.to_lowercase(): {"destinationPort": port}})
        },
        |name| json!({ "destinationNamedPort": name }),
    );
    let (ingress, egress) = rules(&["Accept"], true, "protocols", &port);
    let spec = both(
        all(vec![
            ("tier", text(&["Admin", "Baseline"])),
            ("priority", (0..=1000_u16).prop_map(Value::from).boxed()),
            ("subject", subject()),
        ]),
        some(vec![("ingress", ingress), ("egress", egress)]),
    );
    let head = head(
        "policy.networking.k8s.io/v1alpha2",
        "ClusterNetworkPolicy",
        &["true", "false"],
    );
    both(head, field("spec", spec))
}
