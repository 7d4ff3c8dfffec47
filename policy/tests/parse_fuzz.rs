//! Whatever is thrown at the reader: no panic, places inside the file, one answer for JSON.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]

use porin_laws::any_text_is_read;
use porin_policy::{Parsed, parse_documents};
use proptest::prelude::*;

/// Policies to start from; the second has a bit of everything.
const SEEDS: [&str; 2] = [
    include_str!("../../examples/walkthrough/as-written/05-api-authorization-header.yaml"),
    "\u{feff}%YAML 1.1
---
apiVersion: cilium.io/v2
kind: CiliumClusterwideNetworkPolicy
metadata: {name: \"p\", labels: {a: 'b'}} # \u{fc}
specs:
- endpointSelector: &all {matchExpressions: [{key: k8s:a, operator: In, values: [b, c]}]}
  enableDefaultDeny: {egress: off}
  ingress:
  - fromCIDRSet: [{cidr: 10.0.0.0/8, except: [10.1.0.0/16]}]
    toPorts: &ports [{ports: [{port: \"80\", endPort: 90, protocol: TCP}], rules: {http: [{path: \"/.*\"}, {}]}}]
  - fromEntities: [world, cluster]
    toPorts: *ports
  egress: []
  egressDeny:
  - toEndpoints: [*all]
---
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: q}
spec:
  endpointSelector: {}
  egress: [{toFQDNs: [{matchName: a.b}], toPorts: [{ports: [{port: dns}]}]}]
",
];

/// The seeds, and the examples of the page about languages.
fn seeds() -> Vec<&'static str> {
    let page = include_str!("../../docs/languages.md");
    let blocks = page.split("```").skip(1).step_by(2);
    let examples = blocks.filter(|block| block.starts_with("yaml "));
    let texts = examples.filter_map(|block| Some(block.split_once('\n')?.1));
    SEEDS.into_iter().chain(texts).collect()
}

/// Pieces that mean something to YAML or to policies.
const PIECES: [&str; 40] = [
    "\n",
    "\n  ",
    "\n- ",
    "\n---\n",
    "\n...\n",
    "\t",
    "\r\n",
    " ",
    ": ",
    "- ",
    "? ",
    ", ",
    "[",
    "]",
    "{",
    "}",
    "&a ",
    "*a",
    "<<: *a",
    "!!str ",
    "!x ",
    "|\n ",
    ">-\n ",
    "'",
    "\"",
    "\\",
    "#",
    "%",
    "@",
    "`",
    "\u{0}",
    "\u{feff}",
    "\u{1F600}",
    "spec",
    "ingress",
    "toPorts",
    "null",
    "0x7f",
    "~",
    "10.0.0.0/8",
];

fn piece() -> impl Strategy<Value = String> {
    prop_oneof![4 => prop::sample::select(PIECES.to_vec()).prop_map(str::to_owned), 1 => any::<char>().prop_map(String::from)]
}

fn soup() -> impl Strategy<Value = String> {
    prop::collection::vec(piece(), 0..60).prop_map(|pieces| pieces.concat())
}

/// A seed with some stretches replaced.
fn mutated() -> impl Strategy<Value = String> {
    let cut = (
        any::<prop::sample::Index>(),
        0_usize..30,
        prop::collection::vec(piece(), 0..3),
    );
    let seed = prop::sample::select(seeds());
    (seed, prop::collection::vec(cut, 1..6)).prop_map(|(seed, cuts)| {
        let mut letters: Vec<char> = seed.chars().collect();
        for (at, length, pieces) in cuts {
            let at = at.index(letters.len() + 1);
            let end = (at + length).min(letters.len());
            letters.splice(at..end, pieces.concat().chars());
        }
        letters.into_iter().collect()
    })
}

fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i32>().prop_map(Into::into),
        any::<f32>().prop_map(|number| serde_json::json!(number)),
        piece().prop_map(Into::into),
        prop::sample::select(vec![
            "a",
            "80",
            "TCP",
            "10.0.0.0/8",
            "world",
            "\u{1F600}\"\\\n"
        ])
        .prop_map(Into::into),
    ];
    let keys = vec![
        "endpointSelector",
        "matchLabels",
        "ingress",
        "egressDeny",
        "fromCIDR",
        "fromEndpoints",
        "fromEntities",
        "toPorts",
        "ports",
        "port",
        "protocol",
        "rules",
        "http",
        "path",
        "\u{fc}\t",
    ];
    leaf.prop_recursive(5, 40, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::Array),
            prop::collection::vec((prop::sample::select(keys.clone()), inner), 0..4).prop_map(
                |pairs| serde_json::Value::Object(
                    pairs
                        .into_iter()
                        .map(|(key, value)| (key.to_owned(), value))
                        .collect()
                )
            ),
        ]
    })
}

fn exercise(text: &str) -> Result<(), TestCaseError> {
    any_text_is_read(text).map_err(|broken| TestCaseError::fail(broken.to_string()))
}

/// `PROPTEST_CASES` asks for more.
fn cases() -> ProptestConfig {
    let default = ProptestConfig::default();
    ProptestConfig {
        cases: default.cases.max(1000),
        failure_persistence: None,
        ..default
    }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn any_text_is_read_or_refused(text in any::<String>()) {
        exercise(&text)?;
    }

    #[test]
    fn any_soup_of_yaml_is_read_or_refused(text in soup()) {
        exercise(&text)?;
    }

    #[test]
    fn any_change_of_a_policy_is_read_or_refused(text in mutated()) {
        exercise(&text)?;
    }

    /// A comment behind the document sends it past the short way for JSON.
    #[test]
    fn json_reads_as_the_same_text_does_as_yaml(spec in json()) {
        let text = serde_json::json!({
            "apiVersion": "cilium.io/v2", "kind": "CiliumNetworkPolicy", "metadata": {"name": "p"}, "spec": spec,
        }).to_string();
        let fast = parse_documents("f.json", &text);
        let slow = parse_documents("f.json", &format!("{text} # yaml"));
        let specs = |parsed: &Parsed| format!("{:?}", parsed.documents.iter().map(|document| &document.specs).collect::<Vec<_>>());
        let errors = |parsed: &Parsed| parsed.refused.iter().map(|refused| refused.error.to_string()).collect::<Vec<_>>();
        prop_assert_eq!(specs(&fast), specs(&slow));
        prop_assert_eq!(errors(&fast), errors(&slow));
    }
}
