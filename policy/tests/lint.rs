//! The six findings on the walk-through, and what their edits do.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

use std::path::PathBuf;

use porin_policy::{
    Code, Document, Finding, Level, Options, Semantics, World, lint, parse_documents,
};

fn walkthrough(part: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../examples/walkthrough")
        .join(part)
}

/// The files of one act, by name.
fn files(act: &str) -> Vec<(String, String)> {
    let mut files: Vec<_> = std::fs::read_dir(walkthrough(act))
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            (name, std::fs::read_to_string(path).unwrap())
        })
        .collect();
    files.sort();
    files
}

fn world() -> World {
    World::parse(
        "world.yaml",
        &std::fs::read_to_string(walkthrough("world.yaml")).unwrap(),
    )
    .unwrap()
}

fn documents(files: &[(String, String)]) -> Vec<Document> {
    let parse = |(name, text): &(String, String)| {
        let parsed = parse_documents(name, text);
        assert!(parsed.refused.is_empty(), "{:?}", parsed.refused);
        parsed.documents
    };
    files.iter().flat_map(parse).collect()
}

fn findings(files: &[(String, String)]) -> Vec<Finding> {
    lint(&documents(files), Some(&world()), &Options::new())
}

/// `code number related-number` by the numbers of the files.
fn summary(findings: &[Finding]) -> Vec<String> {
    let number = |file: &str| file.split('-').next().unwrap().to_owned();
    let line = |finding: &Finding| {
        let related = finding
            .related
            .as_ref()
            .map_or("--".to_owned(), |related| number(related.location.file()));
        format!(
            "{} {} {related}",
            finding.code,
            number(finding.location.file())
        )
    };
    let mut lines: Vec<_> = findings.iter().map(line).collect();
    lines.sort();
    lines
}

const AS_WRITTEN: [&str; 14] = [
    "PL001 07 --",
    "PL002 03 --",
    "PL002 04 --",
    "PL002 05 --",
    "PL002 06 --",
    "PL002 08 --",
    "PL002 09 --",
    "PL002 10 --",
    "PL002 11 --",
    "PL003 02 01",
    "PL004 04 03",
    "PL004 05 03",
    "PL005 05 --",
    "PL006 05 04",
];

#[test]
fn the_walk_through_as_written_has_the_six_findings_and_the_client_id() {
    let found = findings(&files("as-written"));
    let mut expected: Vec<&str> = AS_WRITTEN.to_vec();
    expected.push("PL006 10 09");
    expected.push("PL018 10 --");
    assert_eq!(summary(&found), expected);
    for finding in &found {
        let level = if matches!(finding.code.name(), "PL003" | "PL006") {
            Level::Error
        } else {
            Level::Warning
        };
        assert_eq!(finding.level, level);
        assert!(
            finding.location.line() > 1 && !finding.reason.is_empty(),
            "{finding}"
        );
    }
    let places: Vec<String> = found
        .iter()
        .map(|finding| finding.location.to_string())
        .collect();
    assert!(
        places.contains(&"07-postgres-egress-deny.yaml:10:11".to_owned()),
        "{places:?}"
    );
    assert!(
        places.contains(&"05-api-authorization-header.yaml:23:13".to_owned()),
        "{places:?}"
    );
    assert!(
        places.contains(&"11-backend-from-frontend.yaml:12:7".to_owned()),
        "{places:?}"
    );
}

#[test]
fn the_corrected_walk_through_has_no_finding() {
    assert_eq!(
        summary(&findings(&files("corrected"))),
        Vec::<String>::new()
    );
    for document in documents(&files("corrected")) {
        document
            .accept(&Options::new().semantics(Semantics::Cilium))
            .unwrap();
        document
            .accept(&Options::new().semantics(Semantics::Strict))
            .unwrap();
    }
}

#[test]
fn without_a_world_nobody_is_guessed() {
    let found = lint(&documents(&files("as-written")), None, &Options::new());
    assert!(
        found.iter().all(|finding| finding.code.name() != "PL002"),
        "{:?}",
        summary(&found)
    );
    assert_eq!(found.len(), 8);
}

#[test]
fn pl002_names_who_was_probably_meant() {
    let found = findings(&files("as-written"));
    let finding = found
        .iter()
        .find(|finding| finding.policy.to_string() == "cnp/kafka/kafka-clients")
        .unwrap();
    assert!(
        finding
            .reason
            .contains("`internal-kafka-client` in namespace backend"),
        "{finding}"
    );
}

fn key(finding: &Finding) -> (String, String) {
    (finding.code.to_string(), finding.policy.to_string())
}

fn apply(files: &[(String, String)], finding: &Finding) -> Vec<(String, String)> {
    let edited: Vec<_> = files
        .iter()
        .map(|(name, text)| (name.clone(), finding.suggestion.apply(name, text)))
        .collect();
    assert_ne!(edited, files, "{finding}: no edit");
    edited
}

/// Whether there is an edit: there always is for the six.
fn is_mended(finding: &Finding) -> bool {
    let edits = !finding.suggestion.edits.is_empty();
    assert!(edits || finding.code >= Code::NobodyFits, "{finding}");
    edits
}

/// Each edit for itself: the finding is gone, and nothing new has come.
#[test]
fn every_edit_makes_its_finding_disappear() {
    assert_edits(&files("as-written"), &world());
}

fn assert_edits(files: &[(String, String)], world: &World) {
    let before = lint(&documents(files), Some(world), &Options::new());
    let known: Vec<_> = before.iter().map(key).collect();
    assert!(!known.is_empty());
    for finding in before.iter().filter(|finding| is_mended(finding)) {
        let edited = apply(files, finding);
        let after: Vec<_> = lint(&documents(&edited), Some(world), &Options::new())
            .iter()
            .map(key)
            .collect();
        assert!(
            !after.contains(&key(finding)),
            "{finding}\nis still there in {edited:#?}"
        );
        assert!(
            after.iter().all(|key| known.contains(key)),
            "{finding}\nbrought others: {after:?}"
        );
    }
}

/// One after the other, until none is left.
#[test]
fn edits_lead_to_a_set_that_no_edit_mends() {
    let mut files = files("as-written");
    for _ in 0..40 {
        match findings(&files).iter().find(|finding| is_mended(finding)) {
            Some(finding) => files = apply(&files, finding),
            None => return,
        }
    }
    panic!("still there: {:#?}", summary(&findings(&files)));
}

/// The same policies as one file of JSON, where every edit works on flow style.
#[test]
fn edits_work_on_json_too() {
    let json = r#"{"apiVersion":"cilium.io/v2","kind":"CiliumNetworkPolicy","metadata":{"name":"a","namespace":"backend"},"spec":{"endpointSelector":{"matchLabels":{"role":"backend-api"}},"egress":[],"ingress":[{"fromEndpoints":[{"matchLabels":{"role":"frontend"}}],"toPorts":[{"ports":[{"port":"8080","protocol":"TCP"}],"rules":{"http":[{"method":"GET"},{"method":"GET","path":"/x","headers":["A: .*"]}]}}]},{"fromEndpoints":[{"matchLabels":{"role":"frontend"}}],"toPorts":[{"ports":[{"port":"8080","protocol":"TCP"}]}]},{"toPorts":[{"ports":[{"port":"9090","protocol":"TCP"}]}]},{"fromEndpoints":[{"matchExpressions":[{"key":"role","operator":"In","values":["frontend"]}]}],"toPorts":[{"ports":[{"port":"9090","protocol":"TCP"}]}]}]}}"#;
    let files = vec![("00-a.json".to_owned(), json.to_owned())];
    let found = summary(&findings(&files));
    for code in ["PL001", "PL002", "PL003", "PL004", "PL005", "PL006"] {
        assert!(
            found.iter().any(|line| line.starts_with(code)),
            "{code} is not in {found:?}"
        );
    }
    let mut edited = files;
    for _ in 0..20 {
        let Some(finding) = findings(&edited).into_iter().next() else {
            return;
        };
        edited = apply(&edited, &finding);
        assert!(
            serde_json::from_str::<serde_json::Value>(&edited[0].1).is_ok(),
            "{finding}: {}",
            edited[0].1
        );
    }
    panic!("{edited:?}");
}
