//! What a file may hold besides single policies: lists, CIDR groups, staged policies.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]

use porin_policy::{
    Direction, DocumentName, Options, Parsed, PolicySet, RefusedDocuments, RefusedOutcome,
    StagedRule, Staging, parse_documents,
};

fn policy(name: &str) -> String {
    format!(
        "{{apiVersion: cilium.io/v2, kind: CiliumNetworkPolicy, metadata: {{name: {name}}}, \
         spec: {{endpointSelector: {{}}, ingress: [{{}}]}}}}"
    )
}

fn names(parsed: &Parsed) -> Vec<String> {
    let names = parsed.documents.iter().map(|one| one.name.to_string());
    let groups = parsed
        .cidr_groups
        .iter()
        .map(|one| format!("ccg/{}", one.name));
    names.chain(groups).collect()
}

#[test]
fn every_item_of_a_list_is_a_document() {
    let text = format!(
        "apiVersion: v1\nkind: List\nmetadata: {{resourceVersion: ''}}\nitems:\n- {}\n- {{apiVersion: v1, kind: Pod}}\n- {}\n---\n{}\n",
        policy("a"),
        policy("b"),
        policy("c"),
    );
    let parsed = parse_documents("l.yaml", &text);
    assert_eq!(
        names(&parsed),
        ["cnp/default/a", "cnp/default/b", "cnp/default/c"]
    );
    assert_eq!(parsed.documents[1].location.to_string(), "l.yaml:7:3");
    assert_eq!(parsed.documents[1].specs[0].location.line(), 7);
    assert_eq!(parsed.refused[0].index, 1);
    let error = parsed.refused[0].error.to_string();
    assert!(
        error.starts_with("l.yaml:6:26: items[1].kind: `Pod` of `v1` is no policy"),
        "{error}"
    );
}

#[test]
fn lists_of_one_kind_say_it_once() {
    for (version, kind, item, name) in [
        (
            "cilium.io/v2",
            "CiliumNetworkPolicy",
            "spec: {endpointSelector: {}, egress: [{}]}",
            "cnp/default/x",
        ),
        (
            "cilium.io/v2",
            "CiliumClusterwideNetworkPolicy",
            "spec: {endpointSelector: {}, egress: [{}]}",
            "ccnp/x",
        ),
        (
            "cilium.io/v2alpha1",
            "CiliumCIDRGroup",
            "spec: {externalCIDRs: []}",
            "ccg/x",
        ),
    ] {
        let text = format!(
            "apiVersion: {version}\nkind: {kind}List\nitems: [{{metadata: {{name: x}}, {item}}}]\n"
        );
        let parsed = parse_documents("l.yaml", &text);
        assert!(parsed.refused.is_empty(), "{:?}", parsed.refused);
        assert_eq!(names(&parsed), [name]);
    }
    let json = r#"{"apiVersion": "v1", "kind": "List", "items": [{"apiVersion": "cilium.io/v2", "kind": "CiliumCIDRGroup", "metadata": {"name": "g"}, "spec": {"externalCIDRs": ["10.0.0.0/8"]}}]}"#;
    assert_eq!(names(&parse_documents("l.json", json)), ["ccg/g"]);
}

#[test]
fn lists_hold_no_lists_and_no_other_fields() {
    for (text, reason) in [
        (
            "apiVersion: v1\nkind: List\nitems: [{apiVersion: v1, kind: List, items: []}]\n",
            "l.yaml:3:9: items[0]: a list stands in a list; put its items into the outer one",
        ),
        (
            "apiVersion: v1\nkind: List\nitem: []\n",
            "l.yaml:3:1: unknown field `item`; did you mean `items`?",
        ),
        (
            "apiVersion: v1\nkind: List\nitems: {}\n",
            "l.yaml:3:8: items: a list is expected here, this is a map; put a `-` before each element",
        ),
        (
            "apiVersion: v1\nkind: List\nmetadata: {name: x}\n",
            "l.yaml:3:12: metadata: unknown field `name`; remove it",
        ),
    ] {
        let parsed = parse_documents("l.yaml", text);
        assert!(parsed.documents.is_empty());
        assert_eq!(parsed.refused[0].error.to_string(), reason);
    }
}

fn group(name: &str, rest: &str) -> String {
    format!(
        "apiVersion: cilium.io/v2\nkind: CiliumCIDRGroup\nmetadata: {{name: {name}}}\nspec: {{{rest}}}\n"
    )
}

#[test]
fn groups_have_blocks_and_labels() {
    let text = "apiVersion: cilium.io/v2alpha1\nkind: CiliumCIDRGroup\nmetadata:\n  name: g\n  labels: {env: a, io.cilium.k8s.policy.name: x}\nspec: {externalCIDRs: [10.1.2.3/8, '2001:db8::/32']}\n";
    let parsed = parse_documents("g.yaml", text);
    let group = &parsed.cidr_groups[0];
    assert_eq!(&*group.name, "g");
    let labels: Vec<_> = group
        .labels
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    assert_eq!(labels, ["env=a"]);
    let blocks: Vec<_> = group.blocks.iter().map(ToString::to_string).collect();
    assert_eq!(blocks, ["10.0.0.0/8", "2001:db8::/32"]);
}

#[test]
fn broken_groups_are_refused_by_name() {
    for (text, reason) in [
        (group("g", "externalCIDRs: [10.0.0.1]"), "g.yaml:4:24: spec.externalCIDRs[0]: `10.0.0.1` is no block; write it with a prefix length, like 10.0.0.0/8"),
        (group("g", ""), "g.yaml:4:7: spec: `externalCIDRs` is missing; list the blocks, or write `externalCIDRs: []`"),
        (group("g", "externalCIDR: []"), "g.yaml:4:8: spec: unknown field `externalCIDR`; did you mean `externalCIDRs`?"),
        (
            "apiVersion: cilium.io/v2\nkind: CiliumCIDRGroup\nmetadata: {name: g, labels: {io.cilium.policy.cidrgroupname/other: ''}}\nspec: {externalCIDRs: []}\n".to_owned(),
            "g.yaml:3:68: metadata.labels[\"io.cilium.policy.cidrgroupname/other\"]: this label says that a block is in another group; remove it, and list the block there",
        ),
    ] {
        let parsed = parse_documents("g.yaml", &text);
        assert!(parsed.cidr_groups.is_empty());
        assert_eq!(parsed.refused[0].error.to_string(), reason);
        assert_eq!(parsed.refused[0].name, Some(DocumentName::CidrGroup("g".into())));
    }
}

const USER: &str = "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: user, namespace: ns}\nspec: {endpointSelector: {}, ingressDeny: [{fromCIDRSet: [{cidrGroupRef: g}]}]}\n";

#[test]
fn a_broken_group_never_replaces_its_predecessor() {
    let good = group("g", "externalCIDRs: [10.0.0.0/8]");
    let bad = group("g", "externalCIDRs: [word]");
    for mode in [RefusedDocuments::Skip, RefusedDocuments::Deny] {
        let mut set = PolicySet::new(Options::new().refused(mode));
        set.load([("g.yaml", &good)]).unwrap();
        let report = set.load([("g.yaml", &bad)]).unwrap();
        assert_eq!(report.refused[0].outcome, RefusedOutcome::PredecessorStays);
        assert_eq!(set.cidr_groups().next().unwrap().blocks.len(), 1);
        assert_eq!(
            report.refused[0].to_string(),
            "ccg/g refused (its predecessor stays in force): g.yaml:4:24: spec.externalCIDRs[0]: `word` is no block; write it with a prefix length, like 10.0.0.0/8"
        );
        // A file that cannot be taken apart leaves what came from it as it was.
        let report = set.load([("g.yaml", "{")]).unwrap();
        assert_eq!(report.refused[0].outcome, RefusedOutcome::PredecessorStays);
        assert_eq!(set.cidr_groups().count(), 1);
        // One that is gone on purpose is gone.
        set.load([("g.yaml", "")]).unwrap();
        assert_eq!(set.cidr_groups().count(), 0);
    }
    let mut set = PolicySet::new(Options::new());
    set.load([("g.yaml", &good)]).unwrap();
    assert!(set.load([("g.yaml", &bad)]).is_err());
    assert_eq!(set.cidr_groups().count(), 1);
}

#[test]
fn a_broken_group_without_predecessor_is_left_out_or_closes_its_users() {
    let bad = group("g", "externalCIDRs: [word]");
    let files = [("g.yaml", bad.as_str()), ("u.yaml", USER)];
    let mut set = PolicySet::new(Options::new().refused(RefusedDocuments::Deny));
    let report = set.load(files).unwrap();
    assert_eq!(report.refused[0].outcome, RefusedOutcome::Closed);
    assert_eq!(set.documents().count(), 0);
    let closed = set.hash();
    let mut empty = PolicySet::new(Options::new().refused(RefusedDocuments::Deny));
    empty.load([("u.yaml", "")]).unwrap();
    assert_ne!(closed, empty.hash(), "somebody is closed off");
}

fn staged(annotation: &str) -> Result<Staging, String> {
    let text = format!(
        "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {{name: p, annotations: {{{annotation}}}}}\n\
         spec: {{endpointSelector: {{}}, ingress: [{{}}, {{}}], egressDeny: [{{}}]}}\n"
    );
    let mut parsed = parse_documents("s.yaml", &text);
    match parsed.documents.pop() {
        Some(document) => Ok(document.staging),
        None => Err(parsed.refused[0].error.to_string()),
    }
}

#[test]
fn an_annotation_stages_all_or_some_rules() {
    let place = |direction, denies, index| StagedRule {
        direction,
        denies,
        index,
    };
    for (annotation, expected) in [
        ("other: x", Staging::Enforced),
        ("policy.porin.dev/staged: 'false'", Staging::Enforced),
        ("policy.porin.dev/staged: 'true'", Staging::Whole),
        (
            "policy.porin.dev/staged: 'egressDeny[0], ingress[1],ingress[1]'",
            Staging::Rules(vec![
                place(Direction::Ingress, false, 1),
                place(Direction::Egress, true, 0),
            ]),
        ),
    ] {
        assert_eq!(staged(annotation), Ok(expected), "{annotation}");
    }
    let at = "s.yaml:3:60: metadata.annotations[\"policy.porin.dev/staged\"]: ";
    for (annotation, reason) in [
        (
            "policy.porin.dev/staged: 'yes'",
            "`yes` names no rule; write \"true\", \"false\", or rules by list and place, as in \"ingress[0], egress[2]\"",
        ),
        (
            "policy.porin.dev/staged: ''",
            "`` names no rule; write \"true\", \"false\", or rules by list and place, as in \"ingress[0], egress[2]\"",
        ),
        (
            "policy.porin.dev/staged: 'ingress[2]'",
            "there is no rule `ingress[2]`; name one that exists, counted from 0",
        ),
        (
            "policy.porin.dev/staged: 'egress[0]'",
            "there is no rule `egress[0]`; name one that exists, counted from 0",
        ),
        (
            "policy.porin.dev/staged: true",
            "text is expected here, this is a boolean; write it in quotes: \"true\"",
        ),
    ] {
        assert_eq!(staged(annotation), Err(format!("{at}{reason}")));
    }
    let error = staged("policy.porin.dev/stage: 'true'").unwrap_err();
    assert!(
        error.contains("did you mean `policy.porin.dev/staged`?"),
        "{error}"
    );
}

#[test]
fn groups_come_and_go_one_by_one() {
    let group = |blocks: &str| {
        let text = format!(
            "apiVersion: cilium.io/v2\nkind: CiliumCIDRGroup\nmetadata: {{name: offices}}\nspec: {{externalCIDRs: [{blocks}]}}"
        );
        parse_documents("g.yaml", &text).cidr_groups.remove(0)
    };
    let mut set = PolicySet::new(Options::new());
    let (revision, empty) = (set.revision(), set.hash());
    assert!(set.upsert_cidr_group(group("192.0.2.0/24, 0.0.0.0/0")) > revision);
    let block = "192.0.2.0/24".parse().unwrap();
    // Every address is the world, which needs no identity of its own.
    assert_eq!(set.prefixes().into_iter().collect::<Vec<_>>(), [block]);
    assert_eq!(set.block_labels(&block).len(), 1);
    let one = set.hash();
    assert_ne!(one, empty);
    set.upsert_cidr_group(group("192.0.2.0/25"));
    assert!(set.block_labels(&block).is_empty());
    assert_ne!(set.hash(), one);
    set.upsert_cidr_group(group("0.0.0.0/0, 192.0.2.0/24"));
    assert_eq!(set.hash(), one);
    assert!(set.remove_cidr_group("offices").is_some());
    assert!(set.remove_cidr_group("offices").is_none());
    assert_eq!(set.hash(), empty);
}
