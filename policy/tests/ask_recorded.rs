//! Recorded flows: judged again, and turned into policies.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

use std::sync::Arc;

use porin_identity::{IdentityId, Labels};
use porin_policy::ask::{Census, Fate, Model, Recorded, RecordedEnd, Remark, Unjudged, suggest};
use porin_policy::{Direction, Options, PolicySet, Protocol, Verdict, World};
use proptest::prelude::*;
use serde_json::Value;

const WORLD: &str = r#"
workloads:
- {name: web-1, namespace: shop, labels: {app: web, version: '1'}}
- {name: web-2, namespace: shop, labels: {app: web, version: '2'}}
- {name: db, namespace: shop, labels: {app: db, tier: back}}
- {name: cache, namespace: shop, labels: {app: cache, tier: back}}
- {name: bare, namespace: shop}
- {name: west, namespace: shop, cluster: west, labels: {app: web, version: '1'}}
- {name: agent, namespace: ops, labels: {k8s-app: agent, pod-template-hash: abc}}
- {name: agent-2, namespace: ops, labels: {k8s-app: agent, pod-template-hash: xyz}}
outside:
- {name: internet, cidr: 203.0.113.0/24}
"#;

fn world() -> World {
    World::parse("world.yaml", WORLD).unwrap()
}

/// Everybody who can be an end of a flow.
fn ends() -> Vec<RecordedEnd> {
    let world = world();
    let of_labels = |labels: Labels| RecordedEnd {
        labels,
        ..RecordedEnd::default()
    };
    let mut ends: Vec<_> = world
        .workloads
        .iter()
        .map(|workload| of_labels(workload.identity("default").unwrap()))
        .collect();
    // Seen, and in no world file.
    ends.push(of_labels(
        "k8s:app=late,k8s:io.kubernetes.pod.namespace=shop"
            .parse()
            .unwrap(),
    ));
    for identity in [
        IdentityId::HOST,
        IdentityId::REMOTE_NODE,
        IdentityId::KUBE_APISERVER,
    ] {
        ends.push(RecordedEnd {
            identity,
            ..RecordedEnd::default()
        });
    }
    for address in ["203.0.113.7", "203.0.113.8", "2001:db8::1"] {
        ends.push(RecordedEnd {
            labels: "reserved:world".parse().unwrap(),
            address: Some(address.parse().unwrap()),
            ..RecordedEnd::default()
        });
    }
    ends
}

fn flows() -> impl Strategy<Value = Vec<Recorded>> {
    let end = || prop::sample::select(ends());
    let port = prop::sample::select(vec![
        (Protocol::TCP, 80),
        (Protocol::TCP, 443),
        (Protocol::UDP, 53),
        (Protocol::SCTP, 9),
        (Protocol::ICMP, 8),
        (Protocol::ICMPV6, 128),
    ]);
    let direction = prop::sample::select(vec![
        None,
        Some(Direction::Ingress),
        Some(Direction::Egress),
    ]);
    let flow = (end(), end(), port, direction).prop_map(
        |(source, destination, (protocol, port), direction)| Recorded {
            source,
            destination,
            protocol,
            port,
            direction,
            verdict: Verdict::Allow,
        },
    );
    prop::collection::vec(flow, 1..12)
}

fn census(flows: &[Recorded], sets: &[&PolicySet]) -> Census {
    let mut census = Census::new(&world(), sets).unwrap();
    for flow in flows {
        census.admit_recorded(flow, sets).unwrap();
    }
    census
}

/// What becomes of each flow under a set given as a text.
fn replay(text: &str, flows: &[Recorded]) -> Vec<Result<Fate, Unjudged>> {
    let mut set = PolicySet::new(Options::new());
    set.load([("suggested.yaml", text)]).unwrap();
    let model = Model::new(&set, &Arc::new(census(flows, &[&set]))).unwrap();
    let judged = flows.iter().map(|flow| {
        // Whoever judged then, both sides have to agree.
        let flow = Recorded {
            direction: None,
            ..flow.clone()
        };
        model.replay(&flow).map(|replayed| replayed.fate)
    });
    judged.collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// The suggestion allows every flow that it was made of, and every rule of it is needed.
    #[test]
    fn a_suggestion_is_enough_and_nothing_of_it_is_idle(flows in flows()) {
        let suggestion = suggest(&census(&flows, &[]), &flows, &Direction::ALL);
        let judged = replay(&suggestion.to_yaml(), &flows);
        for (flow, fate) in flows.iter().zip(&judged) {
            prop_assert!(
                matches!(fate, Ok(Fate::Same) | Err(Unjudged::NoSubject)),
                "{:?}: {:?}\n{}", flow, fate, suggestion.to_yaml()
            );
        }
        let json: Value = serde_json::from_str(&suggestion.to_json()).unwrap();
        for item in 0..json["items"].as_array().unwrap().len() {
            for direction in ["ingress", "egress"] {
                let count = json["items"][item]["spec"][direction].as_array().map_or(0, Vec::len);
                for rule in 0..count {
                    // The list stays, and with it default deny.
                    let mut less = json.clone();
                    less["items"][item]["spec"][direction].as_array_mut().unwrap().remove(rule);
                    let judged = replay(&less.to_string(), &flows);
                    prop_assert!(
                        judged.contains(&Ok(Fate::Denied)),
                        "{} {} {} is idle in\n{}", item, direction, rule, suggestion.to_yaml()
                    );
                }
            }
        }
    }

    /// Both forms are the same policies.
    #[test]
    fn both_forms_say_the_same(flows in flows()) {
        let suggestion = suggest(&census(&flows, &[]), &flows, &Direction::ALL);
        let hash = |text: String| {
            let mut set = PolicySet::new(Options::new());
            set.load([("s.yaml", text)]).unwrap();
            set.hash()
        };
        prop_assert_eq!(hash(suggestion.to_yaml()), hash(suggestion.to_json()));
    }
}

fn flow(from: usize, to: usize, port: u16) -> Recorded {
    Recorded {
        source: ends()[from].clone(),
        destination: ends()[to].clone(),
        port,
        ..Recorded::default()
    }
}

#[test]
fn labels_that_pass_are_not_chosen_and_whoever_else_is_picked_is_named() {
    // Both versions of web reach db; only one of them reaches the cache.
    let flows = [
        flow(0, 2, 5432),
        flow(1, 2, 5432),
        flow(0, 3, 6379),
        flow(6, 2, 5432),
    ];
    let suggestion = suggest(&census(&flows, &[]), &flows, &[Direction::Ingress]);
    let text = suggestion.to_yaml();
    let json: Value = serde_json::from_str(&suggestion.to_json()).unwrap();
    let labels = |item: usize, peer: usize| {
        json["items"][item]["spec"]["ingress"][0]["fromEndpoints"][peer]["matchLabels"].to_string()
    };
    assert_eq!(json["items"].as_array().unwrap().len(), 2, "{text}");
    assert_eq!(
        labels(0, 0),
        r#"{"k8s:app":"web","k8s:version":"1"}"#,
        "{text}"
    );
    assert_eq!(
        labels(1, 0),
        r#"{"k8s:io.kubernetes.pod.namespace":"ops","k8s:k8s-app":"agent"}"#,
        "{text}"
    );
    assert_eq!(labels(1, 1), r#"{"k8s:app":"web"}"#, "{text}");
    let extra = suggestion.remarks.iter().find_map(|remark| match remark {
        Remark::Extra {
            parties, guarded, ..
        } => Some((parties.clone(), *guarded)),
        _ => None,
    });
    assert_eq!(
        extra,
        Some((vec!["ops/agent-2".to_owned()], false)),
        "{text}"
    );
}

#[test]
fn flows_that_cannot_be_judged_say_why() {
    let set = PolicySet::new(Options::new());
    let unknown = Recorded {
        source: RecordedEnd {
            address: Some("198.51.100.1".parse().unwrap()),
            ..RecordedEnd::default()
        },
        ..flow(0, 2, 80)
    };
    let in_range = Recorded {
        source: RecordedEnd {
            address: Some("203.0.113.99".parse().unwrap()),
            ..RecordedEnd::default()
        },
        ..flow(0, 2, 80)
    };
    let outside = Recorded {
        source: ends()[12].clone(),
        destination: ends()[13].clone(),
        ..flow(0, 2, 80)
    };
    let flows = [unknown, in_range, outside];
    let model = Model::new(&set, &Arc::new(census(&flows, &[&set]))).unwrap();
    let judged: Vec<_> = flows
        .iter()
        .map(|flow| model.replay(flow).map(|one| one.fate))
        .collect();
    assert_eq!(
        judged,
        [
            Err(Unjudged::UnknownSource),
            Ok(Fate::Same),
            Err(Unjudged::NoSubject)
        ]
    );
}

#[test]
fn names_in_the_dns_lead_recorded_addresses_to_the_rules_that_speak_of_them() {
    let mut set = PolicySet::new(Options::new());
    set.load([(
        "web.yaml",
        r#"
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: web, namespace: shop}
spec:
  endpointSelector: {matchLabels: {app: web}}
  egress:
  - toFQDNs: [{matchPattern: '*.example.com'}]
    toPorts: [{ports: [{port: "443", protocol: TCP}]}]
"#,
    )])
    .unwrap();
    let named = |name: &str| {
        let mut flow = flow(0, 12, 443);
        flow.destination.dns_names = vec![name.into()];
        flow.destination.address = Some(match name {
            "api.example.com" => "203.0.113.50".parse().unwrap(),
            _ => "203.0.113.51".parse().unwrap(),
        });
        flow
    };
    let flows = [named("api.example.com"), named("example.org")];
    let model = Model::new(&set, &Arc::new(census(&flows, &[&set]))).unwrap();
    let judged: Vec<_> = flows
        .iter()
        .map(|flow| model.replay(flow).unwrap().fate)
        .collect();
    assert_eq!(judged, [Fate::Same, Fate::Denied]);
}
