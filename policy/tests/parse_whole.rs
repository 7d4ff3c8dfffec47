//! Reading the Cilium kinds whole: every construct fills the model, in every form that the language
//! has for it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]

use porin_policy::{
    AuthMode, CidrSource, ConfigKind, Document, FqdnPeer, Guards, Options, Peer, Peers, Port,
    PortProtocol, PortRule, Protocol, Rule, Semantics, ServiceSource, parse_documents,
};

const HEAD: &str = "apiVersion: cilium.io/v2\nmetadata: {name: p, namespace: ns}\n";

fn document(kind: &str, spec: &str) -> Document {
    let text = format!("{HEAD}kind: {kind}\nspec: {spec}\n");
    let mut parsed = parse_documents("p.yaml", &text);
    assert!(parsed.refused.is_empty(), "{:?}", parsed.refused);
    parsed.documents.remove(0)
}

fn rule(list: &str, rule: &str) -> Rule {
    let mut document = document(
        "CiliumNetworkPolicy",
        &format!("{{endpointSelector: {{}}, {list}: [{{{rule}}}]}}"),
    );
    document.specs.remove(0).rules.remove(0)
}

fn peers(list: &str, text: &str) -> Vec<Peer> {
    match rule(list, text).peers {
        Peers::Listed(peers) => peers,
        other => panic!("{text}: {other:?}"),
    }
}

fn element(text: &str) -> PortRule {
    rule("egress", &format!("toPorts: [{{{text}}}]"))
        .ports
        .unwrap()
        .remove(0)
}

fn refusal(list: &str, rule: &str) -> String {
    let text = format!(
        "{HEAD}kind: CiliumNetworkPolicy\nspec: {{endpointSelector: {{}}, {list}: [{{{rule}}}]}}\n"
    );
    let parsed = parse_documents("p.yaml", &text);
    assert!(parsed.documents.is_empty(), "{rule} was accepted");
    parsed.refused[0].error.to_string()
}

#[test]
fn names_services_and_groups_are_peers() {
    let names = peers(
        "egress",
        "toFQDNs: [{matchName: A.b.}, {matchPattern: '*.c'}, {}]",
    );
    assert_eq!(
        names,
        [
            Peer::Fqdn(FqdnPeer::Name("A.b.".into())),
            Peer::Fqdn(FqdnPeer::Pattern("*.c".into())),
            Peer::Fqdn(FqdnPeer::Pattern("".into())),
        ]
    );
    let odd = document(
        "CiliumNetworkPolicy",
        "{endpointSelector: {}, egress: [{toFQDNs: [{matchName: a..b}]}]}",
    );
    let strict = odd.accept(&Options::new()).unwrap_err().to_string();
    assert!(strict.contains("`a..b` is the name of nothing"), "{strict}");
    let cilium = Options::new().semantics(Semantics::Cilium);
    assert!(odd.accept(&cilium).is_ok());

    let services = peers(
        "egressDeny",
        "toServices: [{k8sService: {serviceName: db, namespace: data}}, \
         {k8sServiceSelector: {selector: {matchLabels: {tier: x}}}, k8sService: {serviceName: other}}, {}]",
    );
    let [
        Peer::Service(named),
        Peer::Service(selected),
        Peer::Service(none),
    ] = &services[..]
    else {
        panic!("{services:?}");
    };
    assert_eq!(named.source, ServiceSource::Name("db".into()));
    assert_eq!(named.namespace.as_deref(), Some("data"));
    assert!(matches!(&selected.source, ServiceSource::Selector(by) if by.to_string() == "tier=x"));
    assert_eq!(none.source, ServiceSource::Name("".into()));

    let groups = peers(
        "ingress",
        "fromGroups: [{aws: {securityGroupsIds: [sg-1]}}]",
    );
    let [Peer::Group(group)] = &groups[..] else {
        panic!("{groups:?}");
    };
    assert_eq!(
        &*group.label,
        "extgrp.cilium.io/zbNb9W6aenSjAJK8RoTgcPT5ygDqKmqJKoQb4w"
    );
}

#[test]
fn groups_of_blocks_are_named_or_selected_and_have_exceptions() {
    let sets = peers(
        "ingress",
        "fromCIDRSet: [{cidrGroupRef: g, except: [10.1.0.1/16]}, \
         {cidrGroupSelector: {matchLabels: {env: a}, matchExpressions: [{key: k8s:b, operator: Exists}]}}, \
         {cidrGroupSelector: }]",
    );
    let sources: Vec<_> = sets
        .iter()
        .map(|peer| match peer {
            Peer::Cidr(cidr) => match &cidr.source {
                CidrSource::Group(name) => format!("{name} {:?}", cidr.except),
                CidrSource::Groups(selector) => selector.to_string(),
                CidrSource::Address(address) => address.to_string(),
                CidrSource::Block(block) => block.to_string(),
            },
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(sources, ["g [10.1.0.0/16]", "cidrgroup:env=a,k8s:b", "*"]);
    assert!(
        refusal("ingress", "fromCIDRSet: [{cidrGroupRef: g, except: [x]}]")
            .contains("`x` is no block")
    );
}

#[test]
fn empty_lists_of_peers_are_nobody_unless_somebody_else_resolves_them() {
    for (list, text, expected) in [
        ("egress", "toFQDNs: []", Peers::Unnamed),
        ("egress", "toServices: [], toGroups: []", Peers::Unnamed),
        ("ingress", "fromGroups: []", Peers::Unnamed),
        ("egress", "toFQDNs: [], toCIDR: []", Peers::Listed(vec![])),
        (
            "egress",
            "toEntities: [all], toCIDR: []",
            Peers::Listed(vec![]),
        ),
        ("ingress", "fromNodes: []", Peers::Listed(vec![])),
        ("ingress", "fromEndpoints: ", Peers::Unspecified),
        ("ingress", "", Peers::Unspecified),
    ] {
        assert_eq!(rule(list, text).peers, expected, "{text}");
    }
}

#[test]
fn nodes_are_guarded_and_named() {
    let nodes = document(
        "CiliumClusterwideNetworkPolicy",
        "{nodeSelector: {matchLabels: {role: edge}}, ingress: [{fromNodes: [{matchLabels: {role: core}}]}]}",
    );
    assert_eq!(nodes.specs[0].guards, Guards::Nodes);
    assert_eq!(nodes.specs[0].subject.to_string(), "role=edge");
    let Peers::Listed(peers) = &nodes.specs[0].rules[0].peers else {
        panic!("{nodes:?}");
    };
    assert!(matches!(&peers[..], [Peer::Nodes(by)] if by.to_string() == "role=core"));
    for semantics in [Semantics::Strict, Semantics::Cilium] {
        let options = Options::new().semantics(semantics).node_labels(false);
        let error = nodes.accept(&options).unwrap_err().to_string();
        assert!(error.contains("labels of nodes are not known"), "{error}");
    }
}

#[test]
fn icmp_types_are_numbers_or_names_of_their_family() {
    let icmp = rule(
        "ingress",
        "icmps: [{fields: [{type: 8}, {type: EchoRequest}, {family: IPv6, type: EchoRequest}, {type: '13'}]}, {}]",
    );
    let elements = icmp.ports.unwrap();
    let specs: Vec<_> = elements[0]
        .ports
        .iter()
        .map(|spec| format!("{} {}", spec.protocol, spec.port))
        .collect();
    assert_eq!(specs, ["ICMP 8", "ICMP 8", "ICMPv6 128", "ICMP 13"]);
    assert!(elements[1].ports.is_empty());
    let denied = rule("egressDeny", "icmps: [{fields: [{type: 0}]}]");
    assert_eq!(denied.ports.unwrap()[0].ports[0].port, Port::Number(0));
    for (text, reason) in [
        (
            "{type: MulticastListenerDone}",
            "unknown ICMP type `MulticastListenerDone`",
        ),
        ("{type: -1}", "unknown ICMP type `-1`"),
        ("{type: true}", "a number from 0 to 255 is expected here"),
        ("{family: ipv4, type: 1}", "unknown family `ipv4`"),
        ("{}", "`type` is missing"),
    ] {
        let error = refusal("ingress", &format!("icmps: [{{fields: [{text}]}}]"));
        assert!(error.contains(reason), "{error}");
    }
}

#[test]
fn ports_have_names_and_protocols_without_ports_have_none() {
    let named = element("ports: [{port: HTTP-alt, protocol: TCP, endPort: 90}]");
    assert_eq!(named.ports[0].port, Port::Name("http-alt".into()));
    assert_eq!(named.ports[0].end_port, Some(90));

    let off = Options::new();
    let on = Options::new().portless_protocols(true);
    let cilium = |options: &Options| options.clone().semantics(Semantics::Cilium);
    for (port, strict_off, cilium_off, strict_on, cilium_on) in [
        ("protocol: GRE", false, false, true, true),
        ("port: '', protocol: GRE", false, false, true, true),
        ("port: '0', protocol: GRE", false, true, true, true),
        ("port: '80', protocol: gre", false, true, false, true),
        ("port: web, protocol: GRE", false, true, false, true),
    ] {
        let spec = format!(
            "{{endpointSelector: {{}}, ingress: [{{toPorts: [{{ports: [{{{port}}}]}}]}}]}}"
        );
        let document = document("CiliumNetworkPolicy", &spec);
        let spec = &document.specs[0].rules[0].ports.as_ref().unwrap()[0].ports[0];
        assert_eq!(spec.protocol, PortProtocol::Portless(Protocol::GRE));
        let refused = |options: &Options| document.accept(options).is_err();
        for (options, taken) in [
            (&off, strict_off),
            (&cilium(&off), cilium_off),
            (&on, strict_on),
            (&cilium(&on), cilium_on),
        ] {
            assert_eq!(refused(options), !taken, "{port}");
        }
    }
    for port in ["port: '80', protocol: GRE", "port: '00', protocol: GRE"] {
        let error = refusal("ingress", &format!("toPorts: [{{ports: [{{{port}}}]}}]"));
        assert!(error.contains("this protocol has no ports"), "{error}");
    }
}

#[test]
fn redirects_and_authentication_are_kept() {
    let sni = element(
        "ports: [{port: '443', protocol: TCP}], serverNames: [a.b, '*.c'], \
         terminatingTLS: {secret: {name: s}, certificate: crt}, originatingTLS: {trustedCA: ca}",
    );
    assert_eq!(sni.server_names, ["a.b".into(), "*.c".into()]);
    let terminating = sni.tls.terminating.unwrap();
    assert_eq!(&*terminating.secret.unwrap().name, "s");
    assert_eq!(terminating.certificate.as_deref(), Some("crt"));
    assert_eq!(
        sni.tls.originating.unwrap().trusted_ca.as_deref(),
        Some("ca")
    );

    let listener = element(
        "ports: [{port: '80', protocol: TCP}], \
         listener: {envoyConfig: {kind: CiliumClusterwideEnvoyConfig, name: c}, name: l, priority: 7}",
    );
    let listener = listener.listener.unwrap();
    assert_eq!(listener.config, ConfigKind::Clusterwide);
    assert_eq!((&*listener.config_name, &*listener.name), ("c", "l"));
    assert_eq!(listener.priority, 7);
    for (text, reason) in [
        ("{name: l}", "`envoyConfig` is missing"),
        (
            "{envoyConfig: {name: c}}",
            "`name` is missing; name the listener",
        ),
        (
            "{envoyConfig: {name: c, kind: X}, name: l}",
            "unknown kind `X`",
        ),
        (
            "{envoyConfig: {name: c}, name: l, priority: 300}",
            "300 is no priority",
        ),
    ] {
        let error = refusal("egress", &format!("toPorts: [{{listener: {text}}}]"));
        assert!(error.contains(reason), "{error}");
    }

    for (mode, expected) in [
        ("disabled", AuthMode::Disabled),
        ("required", AuthMode::Required),
        ("test-always-fail", AuthMode::AlwaysFail),
    ] {
        let rule = rule("ingress", &format!("authentication: {{mode: {mode}}}"));
        assert_eq!(rule.auth, Some(expected));
    }
    assert!(
        refusal("ingress", "authentication: {mode: on-request}")
            .contains("unknown authentication mode")
    );
    assert!(refusal("ingressDeny", "authentication: {mode: required}").contains("unknown field"));
}
