//! Small worlds in which the engines once disagreed, each with the answer that is right.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use porin_identity::{Families, Identities, IdentityId};
use porin_policy::{
    AuthMode, CidrMatch, Conflict, EndpointPolicy, L7Rules, NamedPort, NamedPorts,
    NetworkPolicyReading, Options, PolicySet, PortNames, Protocol, Query, Reference,
    RefusedDocuments, ResolveError, Resolver, Semantics, Verdict,
};

const SUBJECT: IdentityId = IdentityId::new(300);
const PEER: IdentityId = IdentityId::new(301);
const ABROAD: IdentityId = IdentityId::new(302);
const BLOCK: IdentityId = IdentityId::new(16_777_217);
const POD: &str = "k8s:io.kubernetes.pod.namespace=shop,k8s:io.cilium.k8s.policy.cluster=default";

/// Everybody: the subject, a peer with the label `app=web`, a pod of another cluster, a block.
fn everybody(families: Families) -> Identities {
    let mut all = Identities::new(families);
    let abroad = "k8s:io.kubernetes.pod.namespace=shop,k8s:io.cilium.k8s.policy.cluster=west";
    for (id, labels) in [
        (SUBJECT, format!("k8s:app=db,{POD}")),
        (PEER, format!("k8s:app=web,{POD}")),
        (ABROAD, format!("k8s:app=web,{abroad}")),
        (BLOCK, "cidr:2001-db8--0/32,reserved:world".to_owned()),
    ] {
        all.insert_fixed(id, labels.parse().unwrap()).unwrap();
    }
    all
}

/// Asks both engines; they have to say the same.
fn ask(options: Options, documents: &str, query: &Query) -> (Verdict, AuthMode, EndpointPolicy) {
    let everybody = everybody(Families::V4).snapshot();
    let mut set = PolicySet::new(options.families(Families::V4));
    set.load([("policies.yaml", documents)]).unwrap();
    let policy = set.resolve(SUBJECT, &everybody).unwrap();
    let reference = Reference::new(&set, &everybody, SUBJECT).unwrap();
    let (fast, slow) = (policy.check(query), reference.check(query));
    assert_eq!(fast.verdict(), slow.verdict);
    assert_eq!(fast.redirect(), slow.redirect);
    assert_eq!(fast.auth(), slow.auth);
    assert_eq!(fast.l7(), slow.l7);
    (fast.verdict(), fast.auth(), policy)
}

fn cilium(spec: &str) -> String {
    format!(
        "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {{name: one, namespace: shop}}\nspec:\n  endpointSelector: {{}}\n{spec}"
    )
}

#[test]
fn a_listener_always_has_to_take_the_connection_over() {
    let listener = "  egress: [{toPorts: [{ports: [{port: \"443\"}], listener: {envoyConfig: {name: proxy}, name: one}}]}]";
    let query = Query::egress(PEER).tcp(443);
    let (_, _, policy) = ask(Options::new(), &cilium(listener), &query);
    let redirect = policy.check(&query).redirect().unwrap();
    assert!(!redirect.unrestricted);
}

#[test]
fn staging_every_rule_of_a_network_policy_isolates_nobody() {
    let staged = "apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: one, namespace: shop, annotations: {policy.porin.dev/staged: \"ingress[0]\"}}
spec: {podSelector: {}, ingress: [{from: [{podSelector: {matchLabels: {app: web}}}]}]}";
    let (verdict, _, policy) = ask(Options::new(), staged, &Query::ingress(BLOCK).tcp(80));
    assert_eq!(verdict, Verdict::Allow);
    let tried = policy.staged().unwrap();
    assert_eq!(
        tried.check(&Query::ingress(BLOCK).tcp(80)).verdict(),
        Verdict::Deny
    );
}

#[test]
fn staged_rules_that_conflict_leave_what_is_enforced_alone() {
    let enforced = cilium(
        "  ingress: [{toPorts: [{ports: [{port: \"80\", protocol: TCP}], rules: {http: [{method: GET}]}}]}]",
    );
    let staged = "apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: two, namespace: shop, annotations: {policy.porin.dev/staged: \"true\"}}
spec:
  endpointSelector: {}
  ingress: [{toPorts: [{ports: [{port: \"80\", protocol: TCP}], rules: {kafka: [{topic: a}]}}]}]";
    let both = format!("{enforced}\n---\n{staged}");
    let (verdict, _, policy) = ask(Options::new(), &both, &Query::ingress(PEER).tcp(80));
    assert_eq!(verdict, Verdict::Redirect);
    assert!(policy.staged().is_none());
    assert!(policy.staged_conflict().is_some());
}

#[test]
fn the_world_of_a_family_that_is_not_in_use_is_nobody() {
    let pods = CidrMatch {
        nodes: false,
        pods: true,
    };
    let options = Options::new().cidr_match(pods);
    let world = cilium("  ingress: [{fromCIDR: [\"::/0\"]}]");
    let (verdict, ..) = ask(options, &world, &Query::ingress(BLOCK).tcp(80));
    assert_eq!(verdict, Verdict::Deny);
}

#[test]
fn pods_of_other_clusters_are_not_meant_by_a_network_policy() {
    let here = "apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: one, namespace: shop}
spec: {podSelector: {}, ingress: [{from: [{podSelector: {}}]}]}";
    let upstream = Options::new().network_policies(NetworkPolicyReading::Cilium);
    for (options, peer, expected) in [
        (Options::new(), PEER, Verdict::Allow),
        (Options::new(), ABROAD, Verdict::Deny),
        (upstream.clone(), PEER, Verdict::Allow),
        (upstream, ABROAD, Verdict::Deny),
    ] {
        let (verdict, ..) = ask(options, here, &Query::ingress(peer).tcp(80));
        assert_eq!(verdict, expected);
    }
}

#[test]
fn what_another_parser_reads_lifts_http_rules_upstream_only() {
    let two = cilium(
        "  egress:
  - toPorts: [{ports: [{port: \"8080\", protocol: TCP}], rules: {kafka: [{}]}}]
  - toEndpoints: [{matchLabels: {app: web}}]
    toPorts: [{ports: [{port: \"8080\", protocol: TCP}], rules: {http: [{method: GET}]}}]",
    );
    let query = Query::egress(PEER).tcp(8080);
    for (semantics, lifted) in [(Semantics::Cilium, true), (Semantics::Strict, false)] {
        let (_, _, policy) = ask(Options::new().semantics(semantics), &two, &query);
        assert_eq!(policy.check(&query).l7().unwrap().unrestricted, lifted);
    }
}

#[test]
fn http_rules_that_only_change_headers_reach_the_proxy() {
    let change = cilium(
        "  ingress: [{toPorts: [{ports: [{port: \"80\", protocol: TCP}], rules: {http: [{headerMatches: [{name: X-A, mismatch: REPLACE, value: b}]}]}}]}]",
    );
    let query = Query::ingress(PEER).tcp(80);
    let (_, _, policy) = ask(Options::new(), &change, &query);
    let told = policy.check(&query).l7().unwrap();
    assert!(matches!(told.rules, L7Rules::Http(rules) if rules.len() == 1));
}

#[test]
fn server_names_stand_once_and_a_rule_without_any_lifts_them() {
    let twice = "  ingress: [{toPorts: [{ports: [{port: \"443\", protocol: TCP}], serverNames: [b.test, a.test, b.test]}]}]";
    let query = Query::ingress(PEER).tcp(443);
    let (_, _, policy) = ask(Options::new(), &cilium(twice), &query);
    let names = policy.check(&query).l7().unwrap().server_names;
    assert_eq!(names, ["a.test".into(), "b.test".into()]);

    let lifted = cilium(
        "  ingress:
  - toPorts:
    - ports: [{port: \"443\", protocol: TCP}]
      serverNames: [a.test]
      terminatingTLS: {secret: {name: server, namespace: proxy}}
      rules: {http: [{method: POST}]}
  - fromEndpoints: [{matchLabels: {app: web}}]
    toPorts: [{ports: [{port: \"443\", protocol: TCP}], rules: {http: [{method: GET}]}}]",
    );
    let (_, _, policy) = ask(Options::new(), &lifted, &query);
    assert!(policy.check(&query).l7().unwrap().server_names.is_empty());
}

#[test]
fn an_allowance_that_a_denial_overrules_asks_for_nothing() {
    let admin = "apiVersion: policy.networking.k8s.io/v1alpha2
kind: ClusterNetworkPolicy
metadata: {name: first}
spec:
  tier: Admin
  priority: 0
  subject: {namespaces: {}}
  ingress: [{action: Accept, from: [{namespaces: {}}]}]";
    let overruled = cilium(
        "  ingress: [{fromEndpoints: [{matchLabels: {app: web}}], authentication: {mode: required}}]
  ingressDeny: [{fromEndpoints: [{}]}]",
    );
    let both = format!("{admin}\n---\n{overruled}");
    let (verdict, auth, _) = ask(Options::new(), &both, &Query::ingress(PEER).tcp(443));
    assert_eq!((verdict, auth), (Verdict::Allow, AuthMode::Disabled));
}

#[test]
fn a_refused_policy_of_a_kubernetes_kind_closes_pods_only() {
    let refused = "apiVersion: policy.networking.k8s.io/v1alpha1
kind: BaselineAdminNetworkPolicy
metadata: {name: default}";
    let options = Options::new().refused(RefusedDocuments::Deny);
    let mut set = PolicySet::new(options.families(Families::V4));
    set.load([("refused.yaml", refused)]).unwrap();
    let everybody = everybody(Families::V4).snapshot();
    for (subject, verdict) in [
        (SUBJECT, Verdict::Deny),
        (IdentityId::INGRESS, Verdict::Allow),
    ] {
        let query = Query::egress(PEER).tcp(80);
        let fast = set.resolve(subject, &everybody).unwrap().check(&query);
        let slow = Reference::new(&set, &everybody, subject).unwrap();
        assert_eq!(
            (fast.verdict(), slow.check(&query).verdict),
            (verdict, verdict)
        );
    }
}

/// What both engines say about the way to the peer, whose TCP port 8080 is called `http`.
fn to_port_named_http(options: Options, documents: &str) -> Verdict {
    let everybody = everybody(Families::V4).snapshot();
    let mut set = PolicySet::new(options.families(Families::V4));
    set.load([("policies.yaml", documents)]).unwrap();
    let mut names = PortNames::default();
    names.add(&[NamedPort::new("http", Protocol::TCP, 8080)]);
    let mut named = NamedPorts::new();
    named.insert(PEER, names.clone());
    let mut resolver = Resolver::new(&set, &everybody);
    resolver.set_named_ports(PEER, names);
    let query = Query::egress(PEER).tcp(8080);
    let fast = resolver.resolve(SUBJECT).unwrap().check(&query);
    let reference = Reference::new(&set, &everybody, SUBJECT).unwrap();
    let slow = reference.named_ports(&named).check(&query);
    assert_eq!(fast.verdict(), slow.verdict);
    fast.verdict()
}

#[test]
fn all_groups_are_everybody_upstream_unless_peers_are_listed_one_by_one() {
    let groups = "toCIDRSet: [{cidrGroupSelector: {}}]";
    let peer = "toEndpoints: [{matchLabels: {app: web}}]";
    let http = "toPorts: [{ports: [{port: http, protocol: TCP}]}]";
    let by_number = "toPorts: [{ports: [{port: \"8080\", protocol: TCP}]}]";
    let inward = "  ingress: [{toPorts: [{ports: [{port: \"80\", protocol: TCP}]}]}]\n";
    let pods = CidrMatch {
        nodes: false,
        pods: true,
    };
    let upstream = || Options::new().semantics(Semantics::Cilium);
    for (options, spec, expected) in [
        (
            upstream(),
            format!("  egress: [{{{groups}, {by_number}}}]"),
            Verdict::Allow,
        ),
        (
            Options::new(),
            format!("  egress: [{{{groups}, {by_number}}}]"),
            Verdict::Deny,
        ),
        // The wildcard picks what the groups pick, if they are met first…
        (
            upstream(),
            format!("  egress: [{{{groups}, {http}}}]"),
            Verdict::Deny,
        ),
        (
            upstream(),
            format!("  egress: [{{{groups}, {http}}}, {{{http}}}]"),
            Verdict::Deny,
        ),
        (
            upstream().cidr_match(pods),
            format!("  egress: [{{{groups}, {http}}}]"),
            Verdict::Allow,
        ),
        // …and the groups what the wildcard picks, if that is.
        (
            upstream(),
            format!("  egress: [{{{http}}}, {{{groups}, {http}}}]"),
            Verdict::Allow,
        ),
        (
            upstream(),
            format!("{inward}  egress: [{{{groups}, {http}}}]"),
            Verdict::Allow,
        ),
        // Whoever is told no more than the wildcard is left out.
        (
            upstream(),
            format!("  egress: [{{{groups}, {http}}}, {{{peer}, {http}}}]"),
            Verdict::Deny,
        ),
        (
            upstream(),
            format!("  egress: [{{{groups}}}, {{{peer}, {http}}}]"),
            Verdict::Allow,
        ),
        (
            Options::new(),
            format!("  egress: [{{{groups}, {http}}}, {{{peer}, {http}}}]"),
            Verdict::Allow,
        ),
    ] {
        let verdict = to_port_named_http(options, &cilium(&spec));
        assert_eq!(verdict, expected, "{spec}");
    }
}

/// Whether two authentication modes are asked of the same peers on the same port, for both engines.
fn clashes(documents: &str) -> bool {
    let everybody = everybody(Families::V4).snapshot();
    let options = Options::new().semantics(Semantics::Cilium);
    let mut set = PolicySet::new(options.families(Families::V4));
    set.load([("policies.yaml", documents)]).unwrap();
    let fast = set.resolve(SUBJECT, &everybody).err();
    let slow = Reference::new(&set, &everybody, SUBJECT).unwrap();
    let clashes = |error: ResolveError| {
        let what = Conflict::Authentication;
        matches!(error, ResolveError::Conflict { what: found, .. } if found == what)
    };
    let slow = slow.conflict().is_some_and(clashes);
    assert_eq!(fast.is_some_and(clashes), slow);
    slow
}

#[test]
fn what_stands_beside_all_groups_keeps_its_own_say() {
    assert!(clashes(&cilium(
        "  egress:
  - toCIDRSet: [{cidrGroupSelector: {}}, {cidr: 2001:db8::/32}]
    authentication: {mode: required}
  - toCIDRSet: [{cidr: 2001:db8::/32}]
    authentication: {mode: disabled}",
    )));
}

#[test]
fn selectors_that_are_written_unlike_are_not_read_together() {
    for (one, other, alike) in [
        ("toCIDR: [10.0.0.1]", "toCIDR: [10.0.0.1]", true),
        (
            "toCIDR: [10.0.0.1/32]",
            "toCIDRSet: [{cidr: 10.0.0.1/32}]",
            true,
        ),
        ("toCIDR: [10.0.0.1]", "toCIDR: [10.0.0.1/32]", false),
        ("toCIDR: [10.0.0.1/8]", "toCIDR: [10.0.0.0/8]", false),
        (
            "toFQDNs: [{matchName: a.test}]",
            "toFQDNs: [{matchName: a.test}]",
            true,
        ),
        (
            "toFQDNs: [{matchName: a.test}]",
            "toFQDNs: [{matchPattern: a.test}]",
            false,
        ),
    ] {
        let two = cilium(&format!(
            "  egress:
  - {one}
    authentication: {{mode: required}}
  - {other}
    authentication: {{mode: disabled}}"
        ));
        assert_eq!(clashes(&two), alike, "{two}");
    }
}

#[test]
fn what_one_of_two_equal_rules_wants_decrypted_has_to_reach_the_proxy() {
    let open = "rules: {http: [{}]}";
    let ends = "terminatingTLS: {secret: {name: server, namespace: proxy}}";
    for (range, exact) in [(ends, ""), ("", ends)] {
        let element = |ports: &str, tls: &str| {
            let and = if tls.is_empty() { "" } else { ", " };
            format!("{{toPorts: [{{ports: [{{{ports}, protocol: TCP}}], {open}{and}{tls}}}]}}")
        };
        let both = cilium(&format!(
            "  ingress: [{}, {}]",
            element("port: \"8080\", endPort: 8087", range),
            element("port: \"8080\"", exact),
        ));
        let query = Query::ingress(PEER).tcp(8080);
        for semantics in [Semantics::Cilium, Semantics::Strict] {
            let (_, _, policy) = ask(Options::new().semantics(semantics), &both, &query);
            let redirect = policy.check(&query).redirect().unwrap();
            assert!(!redirect.unrestricted);
        }
    }
}

#[test]
fn an_empty_list_stays_in_force_beside_a_denial_that_is_tried() {
    let tried = "apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: one, namespace: shop, annotations: {policy.porin.dev/staged: \"egressDeny[0]\"}}
spec:
  endpointSelector: {}
  egress: []
  egressDeny: [{toEndpoints: [{}]}]";
    for (semantics, expected) in [
        (Semantics::Strict, Verdict::Deny),
        (Semantics::Cilium, Verdict::Allow),
    ] {
        let query = Query::egress(BLOCK).tcp(443);
        let (verdict, ..) = ask(Options::new().semantics(semantics), tried, &query);
        assert_eq!(verdict, expected, "{semantics:?}");
    }
}

#[test]
fn of_two_proxies_that_are_equally_strong_the_first_by_name_is_asked() {
    let named = |name: &str| format!("rules: {{l7proto: {name}}}");
    let listener = |name: &str| {
        format!(
            "listener: {{envoyConfig: {{kind: CiliumClusterwideEnvoyConfig, name: proxy}}, name: {name}}}"
        )
    };
    let rule = |peer: &str, proxy: &str| {
        format!("{{{peer}, toPorts: [{{ports: [{{port: \"443\", protocol: TCP}}], {proxy}}}]}}")
    };
    let peers = [
        "toEndpoints: [{}]",
        "toEndpoints: [{matchLabels: {app: web}}]",
    ];
    let proxies: [&dyn Fn(&str) -> String; 2] = [&named, &listener];
    for proxy in proxies {
        for [first, second] in [["a", "b"], ["b", "a"]] {
            let both = cilium(&format!(
                "  egress: [{}, {}]",
                rule(peers[0], &proxy(first)),
                rule(peers[1], &proxy(second))
            ));
            let query = Query::egress(PEER).tcp(443);
            for semantics in [Semantics::Cilium, Semantics::Strict] {
                let (_, _, policy) = ask(Options::new().semantics(semantics), &both, &query);
                let told = policy.check(&query).l7().unwrap();
                let asked = told.parser_name.or(told.listener).unwrap();
                assert!(asked.ends_with('a'), "{semantics:?} {both}: {asked}");
            }
        }
    }
}
