//! Identities split by address: enough that nobody is judged as somebody else, and no more.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failed step is a failed test"
)]

use std::net::IpAddr;

use porin_identity::{Families, Identities, IdentityId, Labels};
use porin_policy::{
    CidrMatch, IpBlocks, Member, NamedPort, NamedPorts, NetworkPolicyReading, Options, PolicySet,
    PortNames, Protocol, Query, Resolver, Semantics, Verdict,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

fn set(options: Options, policies: &[Value]) -> PolicySet {
    let mut set = PolicySet::new(options);
    let named = |(at, policy): (usize, &Value)| (at.to_string(), policy.to_string());
    set.load(policies.iter().enumerate().map(named)).unwrap();
    set
}

fn network_policy(spec: &Value) -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "p", "namespace": "ns"},
        "spec": spec,
    })
}

fn member(identity: u32, address: &str) -> Member {
    Member::pod(IdentityId::new(identity), vec![address.parse().unwrap()])
}

#[test]
fn blocks_tell_apart_whom_they_cover() {
    let policy = network_policy(&json!({
        "podSelector": {},
        "ingress": [{"from": [{"ipBlock": {"cidr": "10.0.0.0/24", "except": ["10.0.0.128/25"]}}]}],
        "egress": [{"to": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.0.0.0/24"]}}]}],
    }));
    let members = [
        member(300, "10.0.0.1"),        // in the first block
        member(300, "10.0.0.129"),      // in exceptions only
        member(300, "10.0.1.1"),        // in the second block
        member(301, "192.0.2.1"),       // in none
        member(301, "::ffff:10.0.0.1"), // the same as the first
        Member::node(IdentityId::new(302), vec!["10.0.0.2".parse().unwrap()]),
    ];
    let criteria = |options| set(options, std::slice::from_ref(&policy)).criteria();
    let match_pods = criteria(Options::new());
    assert_eq!(
        match_pods.tells_apart(&members),
        [true, false, true, false, true, true]
    );
    let skip_pods = criteria(Options::new().ip_blocks(IpBlocks::SkipPods));
    assert_eq!(
        skip_pods.tells_apart(&members),
        [false, false, false, false, false, true]
    );
    let upstream = criteria(Options::new().network_policies(NetworkPolicyReading::Cilium));
    assert!(upstream.is_empty());
    assert_eq!(upstream.tells_apart(&members), [false; 6]);
}

#[test]
fn names_tell_apart_who_disagrees() {
    let policy = network_policy(&json!({
        "podSelector": {},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [{"ports": [{"port": "admin"}]}],
        "egress": [{"ports": [{"port": "web"}]}],
    }));
    let named = |identity, ports: &[(&str, u16)]| {
        let port = |(name, port): &(&str, u16)| NamedPort::new(name, Protocol::TCP, *port);
        Member {
            ports: ports.iter().map(port).collect(),
            ..member(identity, "10.0.0.1")
        }
    };
    let members = [
        named(300, &[("web", 80)]),
        named(300, &[("web", 80), ("admin", 9)]), // ingress names are the subject's own affair
        named(301, &[("web", 80)]),
        named(301, &[]),
        named(302, &[("web", 80)]),
        named(302, &[("web", 81)]),
    ];
    let criteria = set(Options::new(), &[policy]).criteria();
    assert_eq!(
        criteria.tells_apart(&members),
        [false, false, true, true, true, true]
    );
}

#[test]
fn blocks_of_the_cilium_kinds_reach_whom_the_options_say() {
    let policies = [
        json!({
            "apiVersion": "cilium.io/v2",
            "kind": "CiliumNetworkPolicy",
            "metadata": {"name": "p", "namespace": "ns"},
            "spec": {"endpointSelector": {}, "egress": [{"toCIDRSet": [{"cidrGroupRef": "g"}]}]},
        }),
        json!({
            "apiVersion": "cilium.io/v2",
            "kind": "CiliumCIDRGroup",
            "metadata": {"name": "g"},
            "spec": {"externalCIDRs": ["10.0.0.0/24"]},
        }),
    ];
    let addresses = ["10.0.0.1".parse().unwrap()];
    let members = [
        member(300, "10.0.0.1"),
        Member::node(IdentityId::new(301), addresses.to_vec()),
    ];
    let criteria = |nodes, pods| {
        let options = Options::new().cidr_match(CidrMatch { nodes, pods });
        set(options, &policies).criteria()
    };
    assert!(criteria(false, false).is_empty());
    assert_eq!(criteria(true, false).tells_apart(&members), [false, true]);
    let pods = criteria(false, true);
    assert_eq!(pods.tells_apart(&members), [true, false]);
    let labels: Vec<_> = pods
        .group_labels(&addresses)
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(labels, ["cidrgroup:io.cilium.policy.cidrgroupname/g"]);
    assert!(pods.group_labels(&["10.0.1.1".parse().unwrap()]).is_empty());
}

/// Blocks among a few addresses, so that they nest.
fn block() -> impl Strategy<Value = String> {
    let v4 = (0..16_u8, 24..=32_u8).prop_map(|(low, length)| format!("10.0.0.{low}/{length}"));
    prop_oneof![
        8 => v4,
        1 => Just("0.0.0.0/0".to_owned()),
        1 => Just("::/0".to_owned()),
        1 => Just("fd00::8/125".to_owned()),
    ]
}

fn ip_block() -> impl Strategy<Value = Value> {
    (0..2_u8, vec((0..16_u8, 26..=32_u8), 0..3)).prop_map(|(wide, except)| {
        let cidr = if wide == 0 {
            "10.0.0.0/25"
        } else {
            "0.0.0.0/0"
        };
        let except = except
            .iter()
            .map(|(low, length)| format!("10.0.0.{low}/{length}"));
        json!({"ipBlock": {"cidr": cidr, "except": except.collect::<Vec<_>>()}})
    })
}

fn ports() -> impl Strategy<Value = Vec<Value>> {
    let port = prop_oneof![
        select(vec!["a", "b"]).prop_map(|name| json!({"port": name})),
        (1..4_u16).prop_map(|port| json!({"port": port})),
    ];
    vec(port, 0..2)
}

fn knp(at: usize) -> impl Strategy<Value = Value> {
    let peer = prop_oneof![
        ip_block(),
        block().prop_map(|cidr| json!({"ipBlock": {"cidr": cidr}})),
        Just(json!({"podSelector": {"matchLabels": {"app": "x"}}})),
    ];
    let rules = |field: &'static str, peer| {
        let rule = (vec(peer, 0..3), ports());
        vec(
            rule.prop_map(move |(peers, ports)| json!({field: peers, "ports": ports})),
            0..3,
        )
    };
    (
        rules("from", peer.clone().boxed()),
        rules("to", peer.boxed()),
    )
        .prop_map(move |(ingress, egress)| {
            json!({
                "apiVersion": "networking.k8s.io/v1",
                "kind": "NetworkPolicy",
                "metadata": {"name": format!("p{at}"), "namespace": "ns"},
                "spec": {
                    "podSelector": {},
                    "policyTypes": ["Ingress", "Egress"],
                    "ingress": ingress,
                    "egress": egress,
                },
            })
        })
}

fn kcnp(at: usize) -> impl Strategy<Value = Value> {
    let to = prop_oneof![
        block().prop_map(|block| json!({"networks": [block]})),
        Just(json!({"nodes": {}})),
        Just(json!({"pods": {"podSelector": {"matchLabels": {"app": "x"}}}})),
    ];
    let rule = (select(vec!["Accept", "Deny", "Pass"]), to)
        .prop_map(|(action, to)| json!({"action": action, "to": [to]}));
    let named = select(vec!["Accept", "Deny", "Pass"]).prop_map(|action| {
        json!({
            "action": action,
            "to": [{"namespaces": {}}],
            "protocols": [{"destinationNamedPort": "a"}],
        })
    });
    let rules = vec(prop_oneof![3 => rule, 1 => named], 0..4);
    (select(vec!["Admin", "Baseline"]), rules).prop_map(move |(tier, egress)| {
        json!({
            "apiVersion": "policy.networking.k8s.io/v1alpha2",
            "kind": "ClusterNetworkPolicy",
            "metadata": {"name": format!("c{at}")},
            "spec": {
                "tier": tier,
                "priority": at,
                "subject": {"namespaces": {}},
                "egress": egress,
            },
        })
    })
}

/// A pod or a node: which labels, which address, which port of each name.
#[derive(Debug, Clone)]
struct One {
    app: &'static str,
    address: IpAddr,
    is_node: bool,
    ports: Vec<NamedPort>,
}

fn one() -> impl Strategy<Value = One> {
    let address = prop_oneof![
        4 => (0..16_u8).prop_map(|low| format!("10.0.0.{low}")),
        1 => (0..16_u8).prop_map(|low| format!("fd00::{low:x}")),
    ];
    let ports = vec((select(vec!["a", "b"]), 1..4_u16), 0..3);
    (select(vec!["x", "y"]), address, 0..4_u8, ports).prop_map(|(app, address, kind, ports)| One {
        app,
        address: address.parse().unwrap(),
        is_node: kind == 0,
        ports: match kind {
            0 => Vec::new(),
            _ => ports
                .iter()
                .map(|(name, port)| NamedPort::new(name, Protocol::TCP, *port))
                .collect(),
        },
    })
}

impl One {
    fn labels(&self) -> Labels {
        let text = match self.is_node {
            true => "reserved:remote-node,k8s:io.cilium.k8s.policy.cluster=default".to_owned(),
            false => format!(
                "k8s:app={},k8s:io.kubernetes.pod.namespace=ns,k8s:io.cilium.k8s.policy.cluster=default",
                self.app
            ),
        };
        text.parse().unwrap()
    }
}

/// Everybody's answers about everybody, with an identity of its own for those of whom `apart` says
/// so.
fn answers(set: &PolicySet, everybody: &[One], all: bool) -> (Vec<Verdict>, usize) {
    let mut identities = Identities::new(Families::Dual);
    let mut members = Vec::new();
    for one in everybody {
        let identity = identities.intern(one.labels()).unwrap().id;
        members.push(Member {
            identity,
            addresses: vec![one.address],
            ports: one.ports.clone(),
            is_node: one.is_node,
        });
    }
    let apart = set.criteria().tells_apart(&members);
    let mut split = 0;
    let mut named = NamedPorts::new();
    for (member, apart) in members.iter_mut().zip(apart) {
        if apart || all {
            let own = identities.intern_member(member.identity, &member.addresses, []);
            member.identity = own.unwrap().id;
            split += 1;
        }
        named.entry(member.identity).or_default().add(&member.ports);
    }
    let mut resolver = Resolver::new(set, &identities.snapshot());
    for (identity, names) in named {
        resolver.set_named_ports(identity, names);
    }
    let mut answers = Vec::new();
    for subject in members.iter().filter(|member| !member.is_node) {
        let mut own = PortNames::default();
        own.add(&subject.ports);
        let policy = resolver.resolve_endpoint(subject.identity, &own).unwrap();
        for peer in &members {
            for port in 1..4 {
                for query in [Query::ingress(peer.identity), Query::egress(peer.identity)] {
                    answers.push(policy.check(&query.tcp(port)).verdict());
                }
            }
        }
    }
    (answers, split)
}

proptest! {
    /// Whoever shares an identity is judged as if it had one of its own.
    #[test]
    fn who_is_told_apart_is_enough(
        policies in (knp(0), knp(1), kcnp(2), kcnp(3)),
        everybody in vec(one(), 2..8),
        skip in any::<bool>(),
        cilium in any::<bool>(),
    ) {
        // Two that have one address would be one.
        let mut everybody = everybody;
        everybody.sort_by_key(|one| one.address);
        everybody.dedup_by_key(|one| one.address);
        let options = Options::new()
            .ip_blocks(if skip { IpBlocks::SkipPods } else { IpBlocks::MatchPods })
            .semantics(if cilium { Semantics::Cilium } else { Semantics::Strict });
        let (a, b, c, d) = policies;
        let set = set(options, &[a, b, c, d]);
        let (shared, some) = answers(&set, &everybody, false);
        let (own, all) = answers(&set, &everybody, true);
        prop_assert_eq!(shared, own);
        prop_assert!(some <= all);
    }
}
