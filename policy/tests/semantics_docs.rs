//! The examples of the page on semantics answer as the page says, in every engine.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

use std::collections::BTreeMap;

use porin_identity::{Families, Identities, IdentityId, Snapshot};
use porin_policy::{
    AuthMode, HttpRequest, L7Matcher, NoSecrets, Options, PolicySet, Protocol, Query, Reference,
    RefusedDocuments, Request, ResolveError, Semantics, Verdict,
};

const PAGE: &str = include_str!("../../docs/semantics.md");

/// The world of the page's first paragraphs.
const WORLD: &[(&str, u32, &str)] = &[
    ("host", 1, "reserved:host"),
    ("world", 2, "reserved:world"),
    ("a", 1001, "k8s:app=a"),
    ("b", 1002, "k8s:app=b"),
    ("c", 1003, "k8s:app=c"),
    ("d", 1004, "k8s:app=d"),
    ("h", 1005, "k8s:app=h,k8s:host=yes"),
    ("net", 0x0100_0001, "cidr:10.0.0.0/8,reserved:world"),
    (
        "grouped",
        0x0100_0002,
        "cidr:10.1.0.0/16,cidrgroup:io.cilium.policy.cidrgroupname/g,cidrgroup:team=red,\
         cidrgroup:team+red,reserved:world",
    ),
    (
        "site",
        0x0100_0003,
        "cidr:192.0.2.7/32,fqdn:site.example.com,reserved:world",
    ),
];

fn world() -> (Snapshot, BTreeMap<&'static str, IdentityId>) {
    let mut identities = Identities::new(Families::V4);
    let mut names = BTreeMap::new();
    for (name, id, labels) in WORLD {
        let namespace = if *name == "d" { "other" } else { "default" };
        let place = format!(
            ",k8s:io.kubernetes.pod.namespace={namespace},k8s:io.cilium.k8s.policy.cluster=default,\
             k8s:io.cilium.k8s.namespace.labels.kubernetes.io/metadata.name={namespace}"
        );
        let place = if labels.starts_with("k8s:") {
            place.as_str()
        } else {
            ""
        };
        let labels = format!("{labels}{place}").parse().unwrap();
        let id = IdentityId::new(*id);
        identities.insert_fixed(id, labels).unwrap();
        names.insert(*name, id);
    }
    (identities.snapshot(), names)
}

/// A row of a table: subject, question, request header, what each reading says.
struct Row<'p> {
    subject: IdentityId,
    query: Query,
    header: Option<(&'p str, &'p str)>,
    says: [&'p str; 2],
}

fn row<'p>(line: &'p str, names: &BTreeMap<&str, IdentityId>) -> Row<'p> {
    let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
    let [flow, cilium, strict] = cells.try_into().unwrap();
    let (flow, header) = match flow.split_once(" with `") {
        Some((flow, header)) => (flow, header.trim_end_matches('`').split_once(": ")),
        None => (flow, None),
    };
    let words: Vec<&str> = flow.split(' ').collect();
    let [subject, arrow, peer, port] = words.try_into().unwrap();
    let (protocol, port) = port.split_once('/').unwrap();
    let query = match arrow {
        "←" => Query::ingress(names[peer]),
        "→" => Query::egress(names[peer]),
        other => panic!("{other}"),
    };
    Row {
        subject: names[subject],
        query: query.on(protocol.parse::<Protocol>().unwrap(), port.parse().unwrap()),
        header,
        says: [cilium, strict],
    }
}

/// What a reading says about a row, in the words of the page.
fn said(policies: &str, semantics: Semantics, row: &Row<'_>, identities: &Snapshot) -> String {
    let options = Options::new()
        .semantics(semantics)
        .families(Families::V4)
        .refused(RefusedDocuments::Skip);
    let mut set = PolicySet::new(options);
    if !set
        .load([("page.yaml", policies)])
        .unwrap()
        .refused
        .is_empty()
    {
        return "refused".to_owned();
    }
    let reference = Reference::new(&set, identities, row.subject).unwrap();
    let policy = match set.resolve(row.subject, identities) {
        Ok(policy) => policy,
        Err(ResolveError::Conflict { .. }) => {
            assert!(reference.conflict().is_some(), "{policies}");
            return "conflict".to_owned();
        }
        Err(other) => panic!("{other}"),
    };
    let decision = policy.check(&row.query);
    let obvious = reference.check(&row.query);
    assert_eq!(
        (decision.verdict(), decision.auth(), decision.l7()),
        (obvious.verdict, obvious.auth, obvious.l7),
        "{decision}"
    );
    let entry = policy
        .map_state()
        .lookup(&row.query)
        .map(|(_, entry)| entry);
    assert_eq!(
        entry.map_or(Verdict::Deny, |entry| entry.action.verdict()),
        decision.verdict(),
        "{decision}"
    );
    let mut text = match decision.l7() {
        None => decision.verdict().to_string(),
        Some(l7) => match row.header {
            Some((name, value)) => {
                let headers = [(name, value.as_bytes())];
                let request = HttpRequest::new("GET", "/").headers(&headers);
                let matcher = L7Matcher::new(&l7.rules, semantics, &NoSecrets).unwrap();
                let passes = matcher.judge(&Request::Http(request)).is_allowed();
                format!(
                    "{} by {}",
                    if passes { "passed" } else { "refused" },
                    l7.parser
                )
            }
            None if !l7.server_names.is_empty() => {
                format!("to {} for {}", l7.parser, l7.server_names.join(", "))
            }
            None if decision.redirect().unwrap().unrestricted => {
                format!("to {}, any content", l7.parser)
            }
            None => format!("to {}", l7.parser),
        },
    };
    if decision.auth() != AuthMode::Disabled {
        text.push_str(", once authenticated");
    }
    text
}

#[test]
fn every_example_answers_as_the_page_says() {
    let (identities, names) = world();
    let mut rows = 0;
    for example in PAGE.split("```yaml\n").skip(1) {
        let (policies, rest) = example.split_once("```").unwrap();
        let table = rest.split_once("|---|---|---|\n").unwrap().1;
        for line in table.lines().take_while(|line| line.starts_with('|')) {
            let row = row(line, &names);
            for (semantics, says) in [Semantics::Cilium, Semantics::Strict]
                .into_iter()
                .zip(row.says)
            {
                let said = said(policies, semantics, &row, &identities);
                assert_eq!(said, says, "{semantics:?}: {line}\n{policies}");
                rows += 1;
            }
        }
    }
    assert!(rows > 60, "{rows}");
}

#[test]
fn every_defect_has_a_section() {
    let listed: Vec<&str> = PAGE
        .lines()
        .filter_map(|line| line.strip_prefix("### "))
        .flat_map(|heading| heading.split([' ', ',']))
        .filter(|word| {
            word.strip_prefix('X')
                .is_some_and(|rest| rest.parse::<u8>().is_ok())
        })
        .collect();
    for number in 1..=23 {
        assert!(listed.contains(&format!("X{number}").as_str()), "X{number}");
    }
}
