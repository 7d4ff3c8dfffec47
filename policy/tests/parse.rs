//! Reading documents: places, messages, types, the two semantics, neighbours.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]

use porin_policy::{
    Action, Direction, Document, Entity, HttpRule, L7Rules, Options, Parsed, Peer, Peers,
    PortProtocol, Semantics, World, parse_documents,
};

const HEAD: &str =
    "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: p, namespace: ns}\n";

fn parse(spec: &str) -> Parsed {
    parse_documents("p.yaml", &format!("{HEAD}{spec}"))
}

fn document(spec: &str) -> Document {
    let mut parsed = parse(spec);
    assert!(parsed.refused.is_empty(), "{:?}", parsed.refused);
    parsed.documents.remove(0)
}

/// The message of a refused document, which starts at line 4.
fn refusal(spec: &str) -> String {
    let parsed = parse(spec);
    assert!(parsed.documents.is_empty(), "{spec} was accepted");
    parsed.refused[0].error.to_string()
}

fn ingress(rule: &str) -> String {
    format!("spec:\n  endpointSelector: {{}}\n  ingress:\n  - {rule}\n")
}

#[test]
fn every_refusal_names_place_field_reason_and_remedy() {
    for (rule, expected) in [
        (
            "fromEndpoint: []",
            "p.yaml:7:5: spec.ingress[0]: unknown field `fromEndpoint`; did you mean `fromEndpoints`?",
        ),
        (
            "FromCIDR: []",
            "p.yaml:7:5: spec.ingress[0]: unknown field `FromCIDR`; did you mean `fromCIDR`?",
        ),
        (
            "banana: 1",
            "p.yaml:7:5: spec.ingress[0]: unknown field `banana`; remove it",
        ),
        (
            "toPorts: [{ports: [{port: 80}]}]",
            "p.yaml:7:31: spec.ingress[0].toPorts[0].ports[0].port: text is expected here, this is a number; write it in quotes: \"80\"",
        ),
        (
            "fromEndpoints: [{matchLabels: {debug: on}}]",
            "p.yaml:7:43: spec.ingress[0].fromEndpoints[0].matchLabels.debug: text is expected here, this is a boolean; write it in quotes: \"on\"",
        ),
        (
            "fromCIDR: 10.0.0.0/8",
            "p.yaml:7:15: spec.ingress[0].fromCIDR: a list is expected here, this is text; put a `-` before each element",
        ),
        (
            "fromEntities: [word]",
            "p.yaml:7:20: spec.ingress[0].fromEntities[0]: unknown entity `word`; use one of all, world, world-ipv4, world-ipv6, host, init, ingress, health, unmanaged, none, kube-apiserver, remote-node, cluster, cluster-mesh",
        ),
        (
            "{fromCIDR: [10.0.0.0/8], fromEntities: [all]}",
            "p.yaml:7:44: spec.ingress[0].fromEntities: `fromCIDR` and `fromEntities` exclude each other in one rule; write two rules",
        ),
        (
            "toPorts: [{ports: [{port: \"1\", endPort: \"2\"}]}]",
            "p.yaml:7:45: spec.ingress[0].toPorts[0].ports[0].endPort: a whole number is expected here, this is text; write the number without quotes",
        ),
        (
            "{fromCIDR: [], fromCIDR: []}",
            "p.yaml:7:20: key `fromCIDR` stands twice; keep one of them",
        ),
        (
            "fromEndpoints: [{matchLabels: {y: a}}]",
            "p.yaml:7:36: text is expected here, this is a boolean; write the key in quotes: \"y\"",
        ),
    ] {
        assert_eq!(refusal(&ingress(rule)), expected);
    }
}

#[test]
fn what_is_no_policy_is_told_so() {
    for (object, reason) in [
        (
            "apiVersion: v1\nkind: Pod\n",
            "`Pod` of `v1` is no policy; use CiliumNetworkPolicy, CiliumClusterwideNetworkPolicy, CiliumCIDRGroup, NetworkPolicy, AdminNetworkPolicy, BaselineAdminNetworkPolicy, ClusterNetworkPolicy, or a list of them",
        ),
        (
            "apiVersion: extensions/v1beta1\nkind: NetworkPolicy\n",
            "`NetworkPolicy` of `extensions/v1beta1` is no policy; use `NetworkPolicy` of `networking.k8s.io/v1`",
        ),
        (
            "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolic\n",
            "`CiliumNetworkPolic` of `cilium.io/v2` is no policy; use `CiliumNetworkPolicy` of `cilium.io/v2`",
        ),
    ] {
        let refused = &parse_documents("k.yaml", object).refused[0];
        let expected = format!("k.yaml:2:7: kind: {reason}");
        assert_eq!(refused.error.to_string(), expected);
    }
}

#[test]
fn semantics_part_on_empty_lists_and_on_end_ports() {
    let empty = document("spec: {endpointSelector: {}, egress: []}");
    assert!(
        empty
            .accept(&Options::new().semantics(Semantics::Strict))
            .is_ok()
    );
    let error = empty
        .accept(&Options::new().semantics(Semantics::Cilium))
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        "p.yaml:4:7: spec: an empty `egress` is no rule; write `egress: [{}]` to allow nothing"
    );
    let list = &empty.specs[0].empty_lists[0];
    assert_eq!(
        (list.direction, list.action),
        (Direction::Egress, Action::Allow)
    );

    let beside = document("spec: {endpointSelector: {}, egress: [], ingress: [{}]}");
    assert!(
        beside
            .accept(&Options::new().semantics(Semantics::Cilium))
            .is_ok()
            && beside
                .accept(&Options::new().semantics(Semantics::Strict))
                .is_ok()
    );

    for (end, kept) in [("70000", Some(4464)), ("-1", Some(65535)), ("65536", None)] {
        let wide = document(&ingress(&format!(
            "toPorts: [{{ports: [{{port: \"80\", endPort: {end}}}]}}]"
        )));
        assert!(
            wide.accept(&Options::new().semantics(Semantics::Cilium))
                .is_ok()
        );
        assert!(
            wide.accept(&Options::new().semantics(Semantics::Strict))
                .is_err()
        );
        assert_eq!(
            wide.specs[0].rules[0].ports.as_ref().unwrap()[0].ports[0].end_port,
            kept,
            "{end}"
        );
    }
    assert!(refusal("spec: {endpointSelector: {}, ingressDeny: []}").contains("no rule at all"));
}

#[test]
fn a_broken_document_leaves_its_neighbours_alone() {
    let good = |name: &str| {
        format!(
            "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {{name: {name}}}\nspec: {{endpointSelector: {{}}, ingress: [{{}}]}}\n"
        )
    };
    let broken = "kind: [\n";
    let text = format!(
        "{}---\n{broken}---\n# nothing\n---\n{}---\nfoo: bar\n",
        good("a"),
        good("b")
    );
    let parsed = parse_documents("all.yaml", &text);
    let names: Vec<_> = parsed
        .documents
        .iter()
        .map(|document| document.name.to_string())
        .collect();
    assert_eq!(names, ["cnp/default/a", "cnp/default/b"]);
    assert_eq!(parsed.documents[1].location.line(), 10);
    let refused: Vec<_> = parsed
        .refused
        .iter()
        .map(|refused| (refused.index, refused.error.location().line()))
        .collect();
    assert_eq!(refused, [(1, 7), (3, 15)]);
}

#[test]
fn a_refused_document_still_says_who_it_is_and_whom_it_meant() {
    let parsed = parse(
        "spec:\n  endpointSelector: {matchLabels: {app: a}}\n  ingress:\n  - fromCIDR: [x]\n",
    );
    let refused = &parsed.refused[0];
    assert_eq!(refused.name.as_ref().unwrap().to_string(), "cnp/ns/p");
    assert_eq!(refused.subjects.len(), 1);
    assert!(!refused.subjects[0].is_everything());
    assert!(
        parse("spec: {endpointSelector: 3}").refused[0]
            .subjects
            .is_empty()
    );
}

#[test]
fn rules_come_out_as_they_were_written() {
    let text = "spec:
  endpointSelector: null
  labels: [{key: a, value: b, source: k8s}, \"k8s:c=d\"]
  description: words
  log: {value: tag}
  enableDefaultDeny: {ingress: no}
  ingress:
  - fromEndpoints:
    - matchLabels: {app: b}
      matchExpressions: [{key: tier, operator: In, values: [w, x]}]
    toPorts:
    - ports:
      - {port: \"8080\", endPort: 8090, protocol: tcp}
      - {port: \"010\", protocol: TCP}
      rules:
        http: [{method: GET, headers: [\"X-A: b\", X-C]}]
  - fromCIDR: [10.1.2.3, 10.0.0.1/8]
  - {}
  - fromEndpoints: []
  egressDeny:
  - toEntities: [world]
    toPorts: []
";
    let document = document(text);
    let spec = &document.specs[0];
    assert!(spec.subject.is_everything());
    assert_eq!(
        (spec.default_deny.ingress, spec.default_deny.egress),
        (Some(false), None)
    );
    assert_eq!(
        (spec.description.as_deref(), spec.log.as_deref()),
        (Some("words"), Some("tag"))
    );
    assert_eq!(
        spec.labels
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>(),
        ["k8s:a=b", "k8s:c=d"]
    );
    let places: Vec<_> = spec
        .rules
        .iter()
        .map(|rule| {
            (
                rule.direction,
                rule.action,
                rule.index,
                rule.location.line(),
            )
        })
        .collect();
    assert_eq!(
        places,
        [
            (Direction::Ingress, Action::Allow, 0, 11),
            (Direction::Ingress, Action::Allow, 1, 20),
            (Direction::Ingress, Action::Allow, 2, 21),
            (Direction::Ingress, Action::Allow, 3, 22),
            (Direction::Egress, Action::Deny, 0, 24),
        ]
    );
    let element = &spec.rules[0].ports.as_ref().unwrap()[0];
    assert_eq!(
        (element.ports[0].port.clone(), element.ports[0].end_port),
        (porin_policy::Port::Number(8080), Some(8090))
    );
    assert_eq!(
        (element.ports[0].protocol, element.ports[1].protocol),
        (PortProtocol::Tcp, PortProtocol::Tcp)
    );
    assert_eq!(element.ports[1].port, porin_policy::Port::Number(8));
    let L7Rules::Http(rules) = &element.l7 else {
        panic!("{:?}", element.l7)
    };
    let HttpRule {
        method, headers, ..
    } = &rules[0];
    assert_eq!(method.as_deref(), Some("GET"));
    let parts: Vec<_> = headers
        .iter()
        .map(|header| (&*header.name, header.value.as_deref()))
        .collect();
    assert_eq!(parts, [("X-A", Some("b")), ("X-C", None)]);
    let Peers::Listed(blocks) = &spec.rules[1].peers else {
        panic!()
    };
    let blocks = blocks.iter().map(|peer| match peer {
        Peer::Cidr(cidr) => cidr.block().unwrap().to_string(),
        other => panic!("{other:?}"),
    });
    assert_eq!(blocks.collect::<Vec<_>>(), ["10.1.2.3/32", "10.0.0.0/8"]);
    assert_eq!(spec.rules[2].peers, Peers::Unspecified);
    assert_eq!(spec.rules[3].peers, Peers::Listed(Vec::new()));
    assert_eq!(
        spec.rules[4].peers,
        Peers::Listed(vec![Peer::Entity(Entity::World)])
    );
    assert!(spec.rules[4].ports.is_none());
}

#[test]
fn yaml_in_every_dress_reads_the_same() {
    let plain = format!(
        "{HEAD}spec:\n  endpointSelector: {{}}\n  ingress:\n  - fromCIDR:\n    - 10.0.0.0/8\n"
    );
    let rules = |text: &str| {
        let parsed = parse_documents("p.yaml", text);
        assert!(parsed.refused.is_empty(), "{text:?}: {:?}", parsed.refused);
        format!("{:?}", parsed.documents[0].specs[0].rules[0].peers)
    };
    let expected = rules(&plain);
    let json = r#"{"apiVersion":"cilium.io/v2","kind":"CiliumNetworkPolicy","metadata":{"name":"p"},"spec":{"endpointSelector":{},"ingress":[{"fromCIDR":["10.0.0.0\/8"]}]}}"#;
    let anchors = format!(
        "{HEAD}spec:\n  endpointSelector: &all {{}}\n  ingress:\n  - &rule\n    fromCIDR: &list\n    - 10.0.0.0/8\n  - *rule\n  - fromCIDR: *list\n  - <<: *rule\n"
    );
    for text in [
        plain.replace('\n', "\r\n"),
        format!("\u{feff}{plain}"),
        format!("---\n{plain}...\n"),
        format!("%YAML 1.1\n---\n{plain}"),
        plain.replace("10.0.0.0/8", "'10.0.0.0/8'"),
        plain.replace("10.0.0.0/8", "!!str 10.0.0.0/8"),
        plain.replace("10.0.0.0/8", ">-\n      10.0.0.0/8"),
        format!("# gr\u{fc}n \u{20ac}\n{plain}"),
        json.to_owned(),
        format!("  {json}\n\n"),
        format!("{json}\n---\n{json}"),
        anchors.clone(),
    ] {
        assert_eq!(rules(&text), expected, "{text}");
    }
    let repeated = &parse_documents("p.yaml", &anchors).documents[0];
    assert!(
        repeated.specs[0]
            .rules
            .iter()
            .all(|rule| format!("{:?}", rule.peers) == expected)
    );
}

#[test]
fn bounds_are_errors() {
    let refused = |text: &str| parse_documents("b.yaml", text).refused[0].error.to_string();
    let deep = format!("a: {}{}", "[".repeat(70), "]".repeat(70));
    assert!(
        refused(&deep).contains("the depth of nesting is over the limit of 64"),
        "{}",
        refused(&deep)
    );
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..9 {
        let list = vec![format!("*a{}", level - 1); 10].join(", ");
        bomb.push_str(&format!("a{level}: &a{level} [{list}]\n"));
    }
    assert!(
        refused(&bomb).contains("the number of nodes in a document"),
        "{}",
        refused(&bomb)
    );
    // Ten documents, each within its bounds, that come to too much together.
    let mut half = String::new();
    for _ in 0..10 {
        half.push_str("---\na0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for level in 1..5 {
            let list = vec![format!("*a{}", level - 1); 10].join(", ");
            half.push_str(&format!("a{level}: &a{level} [{list}]\n"));
        }
        half.push_str("b: [*a4, *a4, *a4]\n");
    }
    let parsed = parse_documents("b.yaml", &half);
    assert_eq!(parsed.refused.len(), 10);
    let last = parsed.refused[9].error.to_string();
    assert!(last.contains("the number of nodes in a file"), "{last}");
    let large = "#".repeat(17 << 20);
    assert!(
        refused(&large).contains("the size of a file in bytes"),
        "{}",
        refused(&large)
    );
}

#[test]
fn a_long_text_that_aliases_repeat_counts_for_its_length() {
    let repeated = |times: usize| {
        let text = "x".repeat(64 << 10);
        format!("a: &a {text}\nb: [{}]\n", "*a,".repeat(times))
    };
    let refusal = |times| {
        let parsed = parse_documents("b.yaml", &repeated(times));
        parsed.refused[0].error.to_string()
    };
    assert!(refusal(500).contains("is no policy"), "{}", refusal(500));
    let bound = "the number of nodes in a document is over the limit";
    assert!(refusal(520).contains(bound), "{}", refusal(520));
}

#[test]
fn rules_are_counted() {
    let rules = |count: usize| {
        let list = vec!["{}"; count].join(",");
        format!(
            "{{\"apiVersion\": \"cilium.io/v2\", \"kind\": \"CiliumNetworkPolicy\", \"metadata\": {{\"name\": \"p\"}}, \
             \"spec\": {{\"endpointSelector\": {{}}, \"ingress\": [{list}]}}}}\n"
        )
    };
    // A million of them are more nodes than a document may have; fewer, more rules.
    let refused = |text: &str| parse_documents("b.json", text).refused[0].error.to_string();
    assert!(refused(&rules(1_000_000)).contains("the number of nodes in a document"));
    assert!(refused(&rules(200_000)).contains(
        "spec.ingress[131072]: the number of rules in a file is over the limit of 131072; split the file"
    ));
    let several = format!(
        "{}---\n{}---\n{}",
        rules(100_000),
        rules(100_000),
        rules(10_000)
    );
    let parsed = parse_documents("b.json", &several);
    assert_eq!((parsed.documents.len(), parsed.refused.len()), (1, 2));

    let http = vec!["{path: /}"; 140_000].join(", ");
    let spec = format!(
        "spec: {{endpointSelector: {{}}, ingress: [{{toPorts: [{{ports: [{{port: '80', protocol: TCP}}], rules: {{http: [{http}]}}}}]}}]}}"
    );
    assert!(refusal(&spec).contains("the number of rules in a file"));
}

#[test]
fn peers_times_ports_are_counted() {
    let block = |at: usize| format!("10.{}.{}.0/24", at / 256, at % 256);
    let blocks: Vec<_> = (0..1000).map(block).collect();
    let ports = vec!["{port: '1', endPort: 65534}"; 40].join(", ");
    let rule = format!(
        "{{toCIDR: [{}], toPorts: [{{ports: [{ports}]}}]}}",
        blocks.join(", ")
    );
    assert!(refusal(&format!("spec: {{endpointSelector: {{}}, egress: [{{}}, {rule}]}}")).contains(
        "spec.egress[1]: peers times blocks of ports, over all rules of a document, is over the limit of 1048576"
    ));
}

/// Expressions that would cost time or memory to judge by are refused with their document; its
/// neighbours live.
#[test]
fn expressions_are_bounded() {
    let policy = |name: &str, path: &str| {
        let document = serde_json::json!({
            "apiVersion": "cilium.io/v2",
            "kind": "CiliumNetworkPolicy",
            "metadata": {"name": name},
            "spec": {"endpointSelector": {}, "ingress": [{"toPorts": [{
                "ports": [{"port": "80", "protocol": "TCP"}],
                "rules": {"http": [{"path": path}]},
            }]}]},
        });
        format!("---\n{document}\n")
    };
    let many = (0..100_000)
        .map(|number| number.to_string())
        .collect::<Vec<_>>()
        .join("|");
    for path in [
        &*many,
        "\\pL{1000}",
        &"(".repeat(200),
        &format!("{}a", "(?:".repeat(150)),
    ] {
        let text = format!(
            "{}{}{}",
            policy("a", "/.*"),
            policy("bad", path),
            policy("b", "(a|a)*b")
        );
        let parsed = parse_documents("r.yaml", &text);
        assert_eq!(parsed.documents.len(), 2, "{:?}", parsed.refused);
        let error = &parsed.refused[0].error;
        assert_eq!(
            error.path(),
            "spec.ingress[0].toPorts[0].rules.http[0].path"
        );
        assert!(
            error.to_string().contains("is no regular expression"),
            "{error}"
        );
        assert!(error.to_string().len() < 400, "{error}");
    }
}

#[test]
fn world_files_are_read_with_the_same_care() {
    let error = |text: &str| World::parse("w.yaml", text).unwrap_err().to_string();
    assert_eq!(
        error("workloads:\n- name: a\n  label: {}\n"),
        "w.yaml:3:3: workloads[0]: unknown field `label`; did you mean `labels`?"
    );
    assert_eq!(
        error("outside:\n- {name: a, cidr: 10.0.0.0/24, addresses: [10.0.1.1]}\n"),
        "w.yaml:2:44: outside[0].addresses[0]: 10.0.1.1 does not lie in 10.0.0.0/24; move it or widen the block"
    );
    assert_eq!(
        error("workloads: [{name: a}]\noutside: [{name: a, cidr: 10.0.0.0/24}]\n"),
        "w.yaml:2:18: outside[0].name: this name stands twice; rename one"
    );
    assert!(
        error("workloads: [{name: a, labels: {io.kubernetes.pod.namespace: x}}]")
            .contains("io.kubernetes.pod.namespace")
    );
    assert!(error("workloads: [{name: a, ports: [{port: 0}]}]").contains("no port"));
    let world = World::parse(
        "w.yaml",
        "workloads:\n- {name: a, serviceAccount: s, addresses: [10.0.0.1, 'fd00::1']}\n",
    )
    .unwrap();
    assert_eq!(world.workloads[0].addresses.len(), 2);
    let labels = world.workloads[0].identity("blue").unwrap().to_string();
    assert!(
        labels.contains("policy.cluster=blue") && labels.contains("serviceaccount=s"),
        "{labels}"
    );
    assert!(World::parse("w.yaml", "").unwrap().workloads.is_empty());
}
