//! Reading the Kubernetes kinds: what is read, what is refused, with place and remedy.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]

use porin_policy::{
    Action, CidrSource, Direction, Document, FqdnPeer, Options, Peer, Peers, Port, PortProtocol,
    PortSpec, Tier, parse_documents,
};

fn read(head: &str, spec: &str) -> Result<Document, String> {
    let mut parsed = parse_documents("k.yaml", &format!("{head}\nspec:\n{spec}\n"));
    match parsed.refused.first() {
        Some(refused) => Err(refused.error.to_string()),
        None => Ok(parsed.documents.remove(0)),
    }
}

const KNP: &str =
    "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p, namespace: ns}";
const ANP: &str =
    "apiVersion: policy.networking.k8s.io/v1alpha1\nkind: AdminNetworkPolicy\nmetadata: {name: p}";
const BANP: &str = "apiVersion: policy.networking.k8s.io/v1alpha1\nkind: BaselineAdminNetworkPolicy\nmetadata: {name: default}";
const KCNP: &str = "apiVersion: policy.networking.k8s.io/v1alpha2\nkind: ClusterNetworkPolicy\nmetadata: {name: p}";

fn network_policy(spec: &str) -> Result<Document, String> {
    read(KNP, &format!(" {{{spec}}}"))
}

fn admin(spec: &str) -> Result<Document, String> {
    read(
        ANP,
        &format!(" {{priority: 5, subject: {{namespaces: {{}}}}, {spec}}}"),
    )
}

fn cluster(spec: &str) -> Result<Document, String> {
    read(
        KCNP,
        &format!(" {{tier: Admin, priority: 5, subject: {{namespaces: {{}}}}, {spec}}}"),
    )
}

fn listed(document: &Document, rule: usize) -> &[Peer] {
    match &document.specs[0].rules[rule].peers {
        Peers::Listed(listed) => listed,
        other => panic!("{other:?}"),
    }
}

fn pods(peer: &Peer) -> (Option<String>, Option<String>) {
    let Peer::Pods(peer) = peer else {
        panic!("{peer:?}");
    };
    let text =
        |selector: &Option<porin_identity::Selector>| selector.as_ref().map(ToString::to_string);
    (text(&peer.pods), text(&peer.namespaces))
}

fn ports(document: &Document, rule: usize) -> Vec<PortSpec> {
    let rules = document.specs[0].rules[rule].ports.as_ref().unwrap();
    rules.iter().flat_map(|rule| rule.ports.clone()).collect()
}

fn spec(port: Port, end_port: Option<u16>, protocol: PortProtocol) -> PortSpec {
    PortSpec {
        port,
        end_port,
        protocol,
    }
}

#[test]
fn a_network_policy_is_read() {
    let document = network_policy(
        "podSelector: {matchLabels: {app: db, a/b: \"\"}, matchExpressions: [{key: x, operator: NotIn, values: [\"2\", \"1\"]}]},
  policyTypes: [Egress, Ingress],
  ingress: [
    {from: [{podSelector: {}}, {namespaceSelector: {}}, {podSelector: {matchLabels: {a: b}}, namespaceSelector: {matchLabels: {team: x}}},
            {ipBlock: {cidr: 10.1.2.3/8, except: [10.0.0.7/16]}}],
     ports: [{}, {protocol: UDP}, {port: web}, {port: 80, endPort: 90, protocol: SCTP}, {port: 7, endPort: 7}]},
    {from: [], ports: []}, {}],
  egress: [{to: null}]",
    )
    .unwrap();
    assert_eq!(document.name.to_string(), "netpol/ns/p");
    let [read] = &document.specs[..] else {
        panic!("one spec");
    };
    assert_eq!(
        read.subject.to_string(),
        "k8s:a/b=,k8s:app=db,k8s:x notin (1,2)"
    );
    assert_eq!((read.tier, read.priority), (Tier::Normal, 0));
    let types = read.policy_types.unwrap();
    assert!(types.ingress && types.egress);

    let text = |text: &str| Some(text.to_owned());
    let from = listed(&document, 0);
    assert_eq!(pods(&from[0]), (text("*"), None));
    assert_eq!(pods(&from[1]), (None, text("*")));
    let prefixed = text("k8s:io.cilium.k8s.namespace.labels.team=x");
    assert_eq!(pods(&from[2]), (text("k8s:a=b"), prefixed));
    let Peer::Cidr(block) = &from[3] else {
        panic!("{:?}", from[3]);
    };
    assert_eq!(
        block.source,
        CidrSource::Block("10.1.2.3/8".parse().unwrap())
    );
    assert_eq!(block.except, ["10.0.0.0/16".parse().unwrap()]);
    assert_eq!(
        ports(&document, 0),
        [
            spec(Port::Number(0), None, PortProtocol::Tcp),
            spec(Port::Number(0), None, PortProtocol::Udp),
            spec(Port::Name("web".into()), None, PortProtocol::Tcp),
            spec(Port::Number(80), Some(90), PortProtocol::Sctp),
            spec(Port::Number(7), Some(7), PortProtocol::Tcp),
        ]
    );
    for rule in &read.rules[1..] {
        assert_eq!((&rule.peers, &rule.ports), (&Peers::Unspecified, &None));
    }
    let places: Vec<_> = read.rules.iter().map(|r| (r.direction, r.index)).collect();
    let expected = [
        (Direction::Ingress, 0),
        (Direction::Ingress, 1),
        (Direction::Ingress, 2),
        (Direction::Egress, 0),
    ];
    assert_eq!(places, expected);
}

#[test]
fn what_a_network_policy_leaves_out_has_a_meaning() {
    let document = network_policy("podSelector: null, ingress: [], policyTypes: []").unwrap();
    let spec = &document.specs[0];
    assert!(spec.subject.is_everything());
    assert!(spec.rules.is_empty() && spec.empty_lists.is_empty());
    assert_eq!(spec.policy_types, None);
}

#[test]
fn network_policies_are_refused_as_the_api_server_does() {
    for (written, expected) in [
        (
            "podSelecter: {}",
            "k.yaml:5:3: spec: unknown field `podSelecter`; did you mean `podSelector`?",
        ),
        (
            "podSelector: {matchLabels: {\"k8s:app\": a}}",
            "k.yaml:5:42: spec.podSelector.matchLabels[\"k8s:app\"]: `k8s:app` is no label key: this kind knows no sources; write `app`",
        ),
        (
            "podSelector: {matchExpressions: [{key: $world, operator: Exists}]}",
            "k.yaml:5:42: spec.podSelector.matchExpressions[0].key: `$world` is no label key: a label name is 1 to 63 letters, digits, `-`, `_` or `.`, with a letter or digit at both ends",
        ),
        (
            "policyTypes: [ingress]",
            "k.yaml:5:17: spec.policyTypes[0]: unknown policy type `ingress`; use Ingress and Egress",
        ),
        (
            "policyTypes: [Ingress, Egress, Egress]",
            "k.yaml:5:16: spec.policyTypes: there are two policy types; name each once",
        ),
        (
            "ingress: [{from: [{}]}]",
            "k.yaml:5:21: spec.ingress[0].from[0]: a peer names somebody; add `podSelector`, `namespaceSelector` or `ipBlock`",
        ),
        (
            "ingress: [{from: [{podSelector: null}]}]",
            "k.yaml:5:21: spec.ingress[0].from[0]: a peer names somebody; add `podSelector`, `namespaceSelector` or `ipBlock`",
        ),
        (
            "ingress: [{from: [{podSelector: {}, ipBlock: {cidr: 10.0.0.0/8}}]}]",
            "k.yaml:5:48: spec.ingress[0].from[0].ipBlock: `ipBlock` stands alone; put the selectors into an element of their own",
        ),
        (
            "ingress: [{to: []}]",
            "k.yaml:5:14: spec.ingress[0]: unknown field `to`; remove it",
        ),
        (
            "egress: [{to: [{ipBlock: {cidr: 10.0.0.1}}]}]",
            "k.yaml:5:35: spec.egress[0].to[0].ipBlock.cidr: `10.0.0.1` is an address; write the block 10.0.0.1/32",
        ),
        (
            "egress: [{to: [{ipBlock: {cidr: \"::ffff:10.0.0.0/104\"}}]}]",
            "k.yaml:5:35: spec.egress[0].to[0].ipBlock.cidr: `::ffff:10.0.0.0/104` means IPv4 addresses; write it as an IPv4 block",
        ),
        (
            "egress: [{to: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.0.0.0/8]}}]}]",
            "k.yaml:5:56: spec.egress[0].to[0].ipBlock.except[0]: exception 10.0.0.0/8 is no smaller part of 10.0.0.0/8; remove it or widen the block",
        ),
        (
            "egress: [{to: [{ipBlock: {except: [10.0.0.0/8]}}]}]",
            "k.yaml:5:28: spec.egress[0].to[0].ipBlock: `cidr` is missing; name the block, like 10.0.0.0/8",
        ),
        (
            "egress: [{ports: [{port: 0}]}]",
            "k.yaml:5:28: spec.egress[0].ports[0].port: 0 is no port; use a number from 1 to 65535",
        ),
        (
            "egress: [{ports: [{port: \"80\"}]}]",
            "k.yaml:5:28: spec.egress[0].ports[0].port: `80` in quotes is a name; write the number 80 without",
        ),
        (
            "egress: [{ports: [{port: HTTP}]}]",
            "k.yaml:5:28: spec.egress[0].ports[0].port: `HTTP` is no port name; use at most 15 lower-case letters, digits and single inner dashes, with a letter among them",
        ),
        (
            "egress: [{ports: [{port: 80, endPort: 70}]}]",
            "k.yaml:5:41: spec.egress[0].ports[0].endPort: a range from 80 to 70 has no port; swap the two",
        ),
        (
            "egress: [{ports: [{endPort: 70}]}]",
            "k.yaml:5:31: spec.egress[0].ports[0].endPort: a range needs its first port; add `port`, or remove `endPort`",
        ),
        (
            "egress: [{ports: [{port: web, endPort: 70}]}]",
            "k.yaml:5:42: spec.egress[0].ports[0].endPort: a range begins with a number; replace `web`, or remove `endPort`",
        ),
        (
            "egress: [{ports: [{protocol: tcp}]}]",
            "k.yaml:5:32: spec.egress[0].ports[0].protocol: unknown protocol `tcp`; use TCP, UDP or SCTP",
        ),
    ] {
        assert_eq!(network_policy(written).unwrap_err(), expected);
    }
    let no_spec = parse_documents("k.yaml", KNP);
    assert_eq!(
        no_spec.refused[0].error.to_string(),
        "k.yaml:1:1: `spec` is missing; add whom the policy guards and its rules"
    );
    let named = KNP.replace("name: p", "name: P_1");
    assert!(
        read(&named, " {}")
            .unwrap_err()
            .contains("`P_1` is no object name")
    );
}

#[test]
fn the_first_cluster_scoped_api_is_read() {
    let document = admin(
        "egress: [
    {name: one, action: Pass, to: [{namespaces: {}}, {pods: {namespaceSelector: {matchLabels: {a: b}}, podSelector: {}}},
      {nodes: {matchLabels: {pool: x}}}, {networks: [10.0.0.0/8, \"2001:db8::/32\"]}]},
    {action: Allow, to: [{domainNames: [WWW.Example.com., \"*.example.com\"]}], ports: [{portNumber: {port: 1}}, {portRange: {start: 2, end: 3, protocol: UDP}}]}],
  ingress: [{action: Deny, from: [{namespaces: {}}], ports: [{namedPort: web}]}]",
    )
    .unwrap();
    let spec_read = &document.specs[0];
    assert_eq!(document.name.to_string(), "anp/p");
    assert_eq!((spec_read.tier, spec_read.priority), (Tier::Admin, 5));
    assert!(spec_read.subject.is_everything());
    let actions: Vec<_> = spec_read.rules.iter().map(|rule| rule.action).collect();
    assert_eq!(actions, [Action::Deny, Action::Pass, Action::Allow]);
    assert_eq!(spec_read.rules[1].name.as_deref(), Some("one"));
    let to = listed(&document, 1);
    assert_eq!(to.len(), 5);
    assert_eq!(pods(&to[0]), (None, Some("*".to_owned())));
    assert!(matches!(&to[2], Peer::Nodes(nodes) if nodes.to_string() == "node:pool=x"));
    let names = [
        Peer::Fqdn(FqdnPeer::Name("www.example.com".into())),
        Peer::Fqdn(FqdnPeer::Pattern("**.example.com".into())),
    ];
    assert_eq!(listed(&document, 2), names);
    assert_eq!(
        ports(&document, 2),
        [
            spec(Port::Number(1), None, PortProtocol::Tcp),
            spec(Port::Number(2), Some(3), PortProtocol::Udp),
        ]
    );
    let named = spec(Port::Name("web".into()), None, PortProtocol::Any);
    assert_eq!(ports(&document, 0), [named]);
    let refused = document.accept(&Options::new().node_labels(false));
    assert!(
        refused
            .unwrap_err()
            .to_string()
            .contains("`nodes` cannot be told apart")
    );

    let baseline = read(
        BANP,
        " {subject: {pods: {namespaceSelector: {}, podSelector: {matchLabels: {a: b}}}}, ingress: []}",
    );
    let baseline = baseline.unwrap();
    assert_eq!(baseline.specs[0].tier, Tier::Baseline);
    assert_eq!(baseline.specs[0].subject.to_string(), "k8s:a=b");
}

#[test]
fn the_second_cluster_scoped_api_is_read() {
    let document = cluster(
        "ingress: [{action: Accept, from: [{pods: {podSelector: {}}}],
    protocols: [{tcp: {destinationPort: {number: 1}}}, {udp: {destinationPort: {range: {start: 2, end: 4}}}}, {destinationNamedPort: web}]},
    {action: Deny, from: [{futurePeer: {}}]}]",
    )
    .unwrap();
    assert_eq!(document.name.to_string(), "kcnp/p");
    assert_eq!(document.specs[0].tier, Tier::Admin);
    let all = Some("*".to_owned());
    assert_eq!(pods(&listed(&document, 0)[0]), (all.clone(), all));
    assert_eq!(
        ports(&document, 0),
        [
            spec(Port::Number(1), None, PortProtocol::Tcp),
            spec(Port::Number(2), Some(4), PortProtocol::Udp),
            spec(Port::Name("web".into()), None, PortProtocol::Any),
        ]
    );
    assert_eq!(listed(&document, 1), [Peer::Unknown]);
    let baseline = read(
        KCNP,
        " {tier: Baseline, priority: 0, subject: {namespaces: {}}}",
    );
    assert_eq!(baseline.unwrap().specs[0].tier, Tier::Baseline);
}

#[test]
fn cluster_scoped_policies_are_refused_as_their_schemas_do() {
    let from = |peer: &str| format!("ingress: [{{action: Deny, from: [{peer}]}}]");
    let to = |peer: &str| format!("egress: [{{action: Deny, to: [{peer}]}}]");
    let port = |port: &str| {
        format!("egress: [{{action: Deny, to: [{{namespaces: {{}}}}], ports: [{port}]}}]")
    };
    let many = |count: usize| vec!["{action: Deny, from: [{namespaces: {}}]}"; count].join(", ");
    for (written, expected) in [
        (
            from("{namespaces: {namespaceSelector: {}}}"),
            "put the selector directly under `namespaces`",
        ),
        (
            from("{namespaces: {sameLabels: [a]}}"),
            "`sameLabels` left the API with v0.1.3",
        ),
        (
            from("{pods: {namespaces: {}, podSelector: {}}}"),
            "write `namespaceSelector` with the selector",
        ),
        (
            from("{pods: {podSelector: {}}}"),
            "`namespaceSelector` is missing; write `namespaceSelector: {}` for all",
        ),
        (
            from("{pods: {namespaceSelector: {}}}"),
            "`podSelector` is missing",
        ),
        (
            from("{}"),
            "a peer names somebody; add one of namespaces, pods",
        ),
        (
            from("{namespaces: {}, pods: {podSelector: {}}}"),
            "a peer is of one kind",
        ),
        (
            from("{namespace: {}}"),
            "unknown field `namespace`; did you mean `namespaces`?",
        ),
        (
            from("{namespaces: {}, futurePeer: {}}"),
            "unknown field `futurePeer`",
        ),
        (
            from("{networks: [10.0.0.0/8]}"),
            "no `networks` here; use one of namespaces, pods",
        ),
        (to("{networks: []}"), "`networks` is empty; add an element"),
        (
            to("{networks: [10.0.0.0]}"),
            "`10.0.0.0` is an address; write the block 10.0.0.0/32",
        ),
        (
            to("{networks: [10.0.0.0/8, 10.0.0.0/8]}"),
            "an element stands twice",
        ),
        (
            to("{domainNames: [example.com]}"),
            "names can only be allowed",
        ),
        (
            to(&format!(
                "{{networks: [{}]}}",
                (0..26)
                    .map(|n| format!("10.{n}.0.0/16"))
                    .collect::<Vec<_>>()
                    .join(", ")
            )),
            "26 elements, at most 25 fit",
        ),
        (
            "egress: [{action: Allow, to: [{domainNames: [localhost]}]}]".to_owned(),
            "`localhost` is no domain name",
        ),
        (
            "egress: [{action: Allow, to: [{domainNames: [\"a.*.b\"]}]}]".to_owned(),
            "`a.*.b` is no domain name",
        ),
        (
            "egress: [{action: Accept, to: [{namespaces: {}}]}]".to_owned(),
            "unknown action `Accept`; use one of Allow, Deny, Pass",
        ),
        (
            "egress: [{to: [{namespaces: {}}]}]".to_owned(),
            "`action` is missing",
        ),
        ("egress: [{action: Deny}]".to_owned(), "`to` is missing"),
        (
            "egress: [{action: Deny, to: []}]".to_owned(),
            "`to` is empty",
        ),
        (
            format!(
                "egress: [{{name: {}, action: Deny, to: [{{namespaces: {{}}}}]}}]",
                "n".repeat(101)
            ),
            "at most 100 characters",
        ),
        (
            format!("ingress: [{}]", many(101)),
            "101 elements, at most 100 fit",
        ),
        (
            port("{}"),
            "exactly one of `portNumber`, `portRange`, `namedPort` is needed",
        ),
        (
            port("{portNumber: {port: 1}, namedPort: a}"),
            "exactly one of",
        ),
        (port("{portNumber: {protocol: UDP}}"), "`port` is missing"),
        (
            port("{portRange: {start: 5, end: 4}}"),
            "a range from 5 to 4 has no port",
        ),
        (port("{portNumber: {port: 65536}}"), "65536 is no port"),
        (
            "egress: [{action: Deny, to: [{networks: [10.0.0.0/8]}], ports: [{namedPort: web}]}]"
                .to_owned(),
            "`networks` have no port names; write the number that `web` stands for",
        ),
    ] {
        let refusal = admin(&written).unwrap_err();
        assert!(refusal.contains(expected), "{written}: {refusal}");
    }
    assert!(admin(&format!("ingress: [{}]", many(100))).is_ok());
    assert!(cluster(&format!("ingress: [{}]", many(25))).is_ok());
    assert!(cluster(&format!("ingress: [{}]", many(26))).is_err());

    let protocol = |protocol: &str| {
        cluster(&format!(
            "egress: [{{action: Deny, to: [{{namespaces: {{}}}}], protocols: [{protocol}]}}]"
        ))
        .unwrap_err()
    };
    for (written, expected) in [
        (
            "{tcp: {}}",
            "for every port write `range: {start: 1, end: 65535}`",
        ),
        (
            "{tcp: {destinationPort: {}}}",
            "exactly one of `number` and `range` is needed",
        ),
        (
            "{tcp: {destinationPort: {range: {start: 3, end: 3}}}}",
            "write `number: 3`",
        ),
        (
            "{tcp: {destinationPort: {number: 1}}, udp: {destinationPort: {number: 1}}}",
            "exactly one of `tcp`",
        ),
    ] {
        let refusal = protocol(written);
        assert!(refusal.contains(expected), "{written}: {refusal}");
    }
}

#[test]
fn what_stands_around_the_rules_is_checked() {
    for (head, spec, expected) in [
        (ANP, " {subject: {namespaces: {}}}", "`priority` is missing"),
        (
            ANP,
            " {priority: 1001, subject: {namespaces: {}}}",
            "1001 is no priority",
        ),
        (
            ANP,
            " {priority: -1, subject: {namespaces: {}}}",
            "-1 is no priority",
        ),
        (ANP, " {priority: 1}", "`subject` is missing"),
        (
            ANP,
            " {priority: 1, subject: {}}",
            "exactly one of `namespaces` and `pods`",
        ),
        (
            ANP,
            " {priority: 1, tier: Admin, subject: {namespaces: {}}}",
            "unknown field `tier`",
        ),
        (
            BANP,
            " {priority: 1, subject: {namespaces: {}}}",
            "unknown field `priority`",
        ),
        (
            BANP,
            " {subject: {namespaces: {}}, ingress: [{action: Pass, from: [{namespaces: {}}]}]}",
            "unknown action `Pass`; use one of Allow, Deny",
        ),
        (
            BANP,
            " {subject: {namespaces: {}}, egress: [{action: Allow, to: [{domainNames: [a.b]}]}]}",
            "no `domainNames` here",
        ),
        (
            KCNP,
            " {priority: 1, subject: {namespaces: {}}}",
            "`tier` is missing",
        ),
        (
            KCNP,
            " {tier: Normal, priority: 1, subject: {namespaces: {}}}",
            "unknown tier `Normal`",
        ),
    ] {
        let refusal = read(head, spec).unwrap_err();
        assert!(refusal.contains(expected), "{spec}: {refusal}");
    }
    let other = BANP.replace("name: default", "name: other");
    let refusal = read(&other, " {subject: {namespaces: {}}}").unwrap_err();
    assert!(refusal.contains("name it `default`"), "{refusal}");
    let future = format!("{ANP}\nextra: 1");
    let refusal = read(&future, " {priority: 1, subject: {namespaces: {}}}").unwrap_err();
    assert!(refusal.contains("unknown field `extra`"), "{refusal}");
}

/// Whoever turns refused documents into denials still learns whom they guard.
#[test]
fn a_refused_document_still_says_whom_it_guards() {
    let text = format!("{KNP}\nspec: {{podSelector: {{matchLabels: {{a: b}}}}, ingress: 1}}\n");
    let refused = &parse_documents("k.yaml", &text).refused[0];
    assert_eq!(refused.name.as_ref().unwrap().to_string(), "netpol/ns/p");
    assert_eq!(refused.subjects[0].to_string(), "k8s:a=b");
    let text = format!(
        "{ANP}\nspec: {{subject: {{namespaces: {{matchLabels: {{a: b}}}}}}, ingress: []}}\n"
    );
    let refused = &parse_documents("k.yaml", &text).refused[0];
    assert_eq!(
        refused.subjects[0].to_string(),
        "k8s:io.cilium.k8s.namespace.labels.a=b"
    );
}

/// Every policy of the recorded truth tables is one that an API server took.
#[test]
fn the_policies_of_the_recorded_tables_are_read() {
    let root = std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let named = std::env::var_os("PORIN_VECTORS").map(std::path::PathBuf::from);
    let fullest = named.unwrap_or_else(|| root.join("../../shared/vectors"));
    let read = |file: &str| {
        let places = [fullest.join(file), root.join("../vectors").join(file)];
        places
            .iter()
            .find_map(|place| std::fs::read_to_string(place).ok())
    };
    let mut count = 0;
    for file in [
        "knp-generated",
        "knp-cyclonus",
        "knp-recipes",
        "anp-generated",
        "anp-conformance",
    ] {
        let Some(text) = read(&format!("{file}.jsonl")) else {
            eprintln!("{file}: not there; name the directory of all vectors in PORIN_VECTORS");
            continue;
        };
        for line in text.lines() {
            let case: serde_json::Value = serde_json::from_str(line).unwrap();
            for step in case["steps"].as_array().unwrap() {
                for policy in step["policies"].as_array().unwrap() {
                    let parsed = parse_documents("policy.json", &policy.to_string());
                    assert!(
                        parsed.refused.is_empty(),
                        "{}: {:?}",
                        case["name"],
                        parsed.refused
                    );
                    count += 1;
                }
            }
        }
    }
    assert!(count > 100, "only {count} policies");
}
