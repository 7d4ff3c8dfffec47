//! Laws of lint over random sets: edits make findings disappear, in block style and in JSON.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

use porin_identity::{Families, Identities, IdentityId};
use porin_policy::{
    Code, Document, Finding, Options, PolicySet, Query, Semantics, Verdict, World, lint,
    parse_documents,
};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

const WORLD: &str = "
workloads:
- {name: one, namespace: a, labels: {app: x, tier: t}, ports: [{name: http, port: 80}], addresses: [10.1.0.1]}
- {name: two, namespace: b, labels: {app: z}}
- {name: three, namespace: c, labels: {app: z, tier: t}}
";

fn selector() -> impl Strategy<Value = Value> {
    select(vec![
        json!({}),
        json!({"matchLabels": {"app": "x"}}),
        json!({"matchLabels": {"app": "z"}}),
        json!({"matchLabels": {"app": "x", "tier": "t"}}),
        json!({"matchExpressions": [{"key": "app", "operator": "In", "values": ["x", "z"]}]}),
        json!({"matchExpressions": [{"key": "app", "operator": "In", "values": ["z"]}], "matchLabels": {"tier": "t"}}),
        json!({"matchExpressions": [{"key": "reserved:host", "operator": "DoesNotExist"}]}),
    ])
}

fn peers() -> impl Strategy<Value = Option<(&'static str, Value)>> {
    prop_oneof![
        1 => Just(None),
        3 => prop::collection::vec(selector(), 1..3).prop_map(|list| Some(("Endpoints", json!(list)))),
        1 => select(vec![json!(["10.0.0.0/8"]), json!(["10.1.0.0/16", "192.0.2.1"])]).prop_map(|list| Some(("CIDR", list))),
        1 => select(vec![json!([{"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}])]).prop_map(|list| Some(("CIDRSet", list))),
        1 => select(vec![json!(["all"]), json!(["world"]), json!(["cluster", "host"])]).prop_map(|list| Some(("Entities", list))),
        1 => select(vec![json!([])]).prop_map(|list| Some(("Groups", list))),
    ]
}

/// Names can only be peers of what goes out.
fn names() -> impl Strategy<Value = Option<(&'static str, Value)>> {
    select(vec![
        json!([]),
        json!([{"matchPattern": "*example.com"}, {"matchName": "a.example.com"}]),
    ])
    .prop_map(|list| Some(("FQDNs", list)))
}

fn l7() -> impl Strategy<Value = Option<Value>> {
    let http = select(vec![
        json!({}),
        json!({"method": "GET"}),
        json!({"method": "GET", "path": "/a/.*"}),
        json!({"path": "/a/b/.*", "headers": ["Authorization: .*", "X-Y"]}),
        json!({"method": "GET|POST.*", "path": "/a.*", "host": "a.example.com"}),
    ]);
    let kafka = select(vec![
        json!({"role": "produce"}),
        json!({"role": "produce", "topic": "t"}),
        json!({"apiKey": "produce", "topic": "t", "clientID": "c"}),
    ]);
    prop_oneof![
        2 => Just(None),
        2 => prop::collection::vec(http, 1..4).prop_map(|list| Some(json!({"http": list}))),
        1 => prop::collection::vec(kafka, 1..4).prop_map(|list| Some(json!({"kafka": list}))),
    ]
}

fn element() -> impl Strategy<Value = Value> {
    let port = select(vec![
        json!({"port": "80", "protocol": "TCP"}),
        json!({"port": "443", "protocol": "TCP"}),
        json!({"port": "80", "endPort": 90, "protocol": "TCP"}),
        json!({"port": "90", "endPort": 80, "protocol": "TCP"}),
        json!({"port": "web", "protocol": "TCP"}),
    ]);
    let names = prop_oneof![3 => Just(false), 1 => Just(true)];
    (prop::collection::vec(port, 1..3), l7(), names).prop_map(|(ports, l7, names)| match l7 {
        Some(rules) => json!({"ports": ports, "rules": rules}),
        None if names => json!({"ports": ports, "serverNames": ["*example.com"]}),
        None => json!({"ports": ports}),
    })
}

fn icmp() -> impl Strategy<Value = Value> {
    select(vec![
        json!([{"fields": [{"type": 8}]}]),
        json!([{"fields": [{"type": 0}, {"type": 8}]}]),
    ])
}

fn rule(prefix: &'static str) -> impl Strategy<Value = Value> {
    let peers = match prefix {
        "to" => prop_oneof![3 => peers(), 1 => names()].boxed(),
        _ => peers().boxed(),
    };
    let icmp = prop_oneof![7 => Just(None), 1 => icmp().prop_map(Some)];
    let elements = prop::collection::vec(element(), 0..3);
    (peers, elements, icmp).prop_map(move |(peers, mut elements, icmp)| {
        let mut rule = serde_json::Map::new();
        if let Some(icmp) = icmp {
            rule.insert("icmps".to_owned(), icmp);
            elements.clear();
        }
        if let Some((kind, list)) = peers {
            rule.insert(format!("{prefix}{kind}"), list);
        }
        if !elements.is_empty() {
            rule.insert("toPorts".to_owned(), json!(elements));
        }
        Value::Object(rule)
    })
}

/// A rule of a list of denials.
fn denial() -> impl Strategy<Value = Value> {
    rule("from").prop_map(|mut rule| {
        let elements = rule.get_mut("toPorts").and_then(Value::as_array_mut);
        for element in elements.into_iter().flatten() {
            if let Some(element) = element.as_object_mut() {
                element.retain(|field, _| field == "ports");
            }
        }
        rule
    })
}

fn policy() -> impl Strategy<Value = Value> {
    let lists = (
        prop::collection::vec(rule("from"), 0..4),
        prop::option::of(prop::collection::vec(rule("to"), 0..2)),
        prop::option::of(prop::collection::vec(denial(), 1..3)),
    );
    (select(vec![Some("a"), Some("b"), None]), selector(), lists).prop_map(
        |(namespace, subject, (ingress, egress, denied))| {
            let mut spec = json!({"endpointSelector": subject, "ingress": ingress});
            if let (Some(egress), Some(spec)) = (egress, spec.as_object_mut()) {
                spec.insert("egress".to_owned(), json!(egress));
            }
            if let (Some(denied), Some(spec)) = (denied, spec.as_object_mut()) {
                spec.insert("ingressDeny".to_owned(), json!(denied));
            }
            let kind = if namespace.is_some() {
                "CiliumNetworkPolicy"
            } else {
                "CiliumClusterwideNetworkPolicy"
            };
            let mut metadata = json!({});
            if let (Some(namespace), Some(metadata)) = (namespace, metadata.as_object_mut()) {
                metadata.insert("namespace".to_owned(), json!(namespace));
            }
            json!({"apiVersion": "cilium.io/v2", "kind": kind, "metadata": metadata, "spec": spec})
        },
    )
}

/// Block style, with empty collections and scalars as JSON writes them.
fn block(value: &Value, indent: usize) -> String {
    let pad = " ".repeat(indent);
    let nested = |value: &Value, indent: usize| match value {
        Value::Object(map) if !map.is_empty() => format!("\n{}", block(value, indent)),
        Value::Array(list) if !list.is_empty() => format!("\n{}", block(value, indent)),
        scalar => format!(" {scalar}\n"),
    };
    match value {
        Value::Object(map) => map
            .iter()
            .map(|(key, value)| format!("{pad}{key}:{}", nested(value, indent + 2)))
            .collect(),
        Value::Array(list) => list
            .iter()
            .map(|item| match item {
                Value::Object(map) if !map.is_empty() => {
                    format!("{pad}- {}", block(item, indent + 2).trim_start())
                }
                item => format!("{pad}- {item}\n"),
            })
            .collect(),
        scalar => format!("{pad}{scalar}\n"),
    }
}

fn documents(files: &[(String, String)]) -> Vec<Document> {
    let parse = |(name, text): &(String, String)| {
        let parsed = parse_documents(name, text);
        assert!(parsed.refused.is_empty(), "{:?}\n{text}", parsed.refused);
        parsed.documents
    };
    files.iter().flat_map(parse).collect()
}

/// How many findings have the code of `finding` in the file of it.
fn alike(findings: &[Finding], finding: &Finding) -> usize {
    let same = |other: &&Finding| {
        other.code == finding.code && other.location.file() == finding.location.file()
    };
    findings.iter().filter(same).count()
}

fn mends(files: &[(String, String)]) {
    let world = World::parse("world.yaml", WORLD).unwrap();
    let before = lint(&documents(files), Some(&world), &Options::new());
    for finding in &before {
        if finding.suggestion.edits.is_empty() {
            assert!(finding.code >= Code::NobodyFits, "{finding}");
            continue;
        }
        let edited: Vec<_> = files
            .iter()
            .map(|(name, text)| (name.clone(), finding.suggestion.apply(name, text)))
            .collect();
        let after = lint(&documents(&edited), Some(&world), &Options::new());
        assert!(
            alike(&after, finding) < alike(&before, finding),
            "{finding}\n{edited:#?}\n{after:#?}"
        );
    }
}

/// What every workload of the world may do with every other, and with the world outside.
fn verdicts(files: &[(String, String)], semantics: Semantics) -> Option<Vec<Verdict>> {
    let mut set = PolicySet::new(Options::new().semantics(semantics));
    set.load(files.iter().cloned()).ok()?;
    let world = World::parse("world.yaml", WORLD).unwrap();
    let mut identities = Identities::new(Families::Dual);
    let mut ids = Vec::new();
    for workload in &world.workloads {
        let labels = workload.identity("default").unwrap();
        ids.push(identities.intern(labels).unwrap().id);
    }
    let snapshot = identities.snapshot();
    let mut verdicts = Vec::new();
    for subject in &ids {
        let policy = set.resolve(*subject, &snapshot).ok()?;
        for peer in ids
            .iter()
            .chain([&IdentityId::WORLD_IPV4, &IdentityId::HOST])
        {
            for port in [22, 80, 85, 90, 443] {
                for query in [Query::ingress(*peer), Query::egress(*peer)] {
                    verdicts.push(policy.check(&query.tcp(port)).verdict());
                }
            }
        }
    }
    Some(verdicts)
}

/// Rules that are said to have no effect have none, and no other edit of the further codes lets
/// more through.
fn keeps_access(files: &[(String, String)]) {
    let world = World::parse("world.yaml", WORLD).unwrap();
    for semantics in [Semantics::Strict, Semantics::Cilium] {
        let Some(before) = verdicts(files, semantics) else {
            continue;
        };
        let options = Options::new().semantics(semantics);
        let found = lint(&documents(files), Some(&world), &options);
        for finding in found
            .iter()
            .filter(|f| f.code >= Code::NobodyFits && !f.suggestion.edits.is_empty())
        {
            let edited: Vec<_> = files
                .iter()
                .map(|(name, text)| (name.clone(), finding.suggestion.apply(name, text)))
                .collect();
            let Some(after) = verdicts(&edited, semantics) else {
                continue;
            };
            let idle = [
                Code::DeniedAnyway,
                Code::UnreachableRule,
                Code::RedundantRule,
            ];
            match idle.contains(&finding.code) {
                true => assert_eq!(before, after, "{finding}\n{files:#?}"),
                false => assert!(
                    before
                        .iter()
                        .zip(&after)
                        .all(|(b, a)| *b != Verdict::Deny || *a == Verdict::Deny),
                    "{finding}\n{files:#?}"
                ),
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_edit_makes_its_finding_disappear_and_lets_nothing_more_through(mut policies in prop::collection::vec(policy(), 1..4)) {
        for (at, policy) in policies.iter_mut().enumerate() {
            policy["metadata"]["name"] = json!(format!("p{at}"));
        }
        let named = |extension: &str, text: fn(&Value) -> String| -> Vec<(String, String)> {
            let file = |(at, policy): (usize, &Value)| (format!("{at}.{extension}"), text(policy));
            policies.iter().enumerate().map(file).collect()
        };
        keeps_access(&named("json", ToString::to_string));
        mends(&named("json", ToString::to_string));
        mends(&named("yaml", |policy| block(policy, 0)));
    }
}
