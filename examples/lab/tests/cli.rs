//! The binary as its users meet it: answers, forms and exit statuses.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

const BINARY: &str = env!("CARGO_BIN_EXE_porin-lab");

fn root(path: &str) -> String {
    let root = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    root.join(path).display().to_string()
}

fn lab(args: &[&str]) -> Output {
    Command::new(BINARY)
        .args(args)
        .output()
        .expect("the binary starts")
}

fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("answers are UTF-8")
}

fn complaint(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("complaints are UTF-8")
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).expect("an answer in JSON")
}

/// Asks about one connection in a set of the walk-through.
fn ask(command: &str, set: &str, [from, to, port]: [&str; 3], more: &[&str]) -> Output {
    let policies = root(&format!("examples/walkthrough/{set}"));
    let mut args = vec![
        command, &policies, "--from", from, "--to", to, "--port", port,
    ];
    args.extend(more);
    lab(&args)
}

#[test]
fn lint_reports_each_code_where_it_belongs_and_nowhere_else() {
    let output = lab(&[
        "lint",
        &root("examples/walkthrough/as-written"),
        "-o",
        "json",
    ]);
    assert_eq!(output.status.code(), Some(1), "{}", complaint(&output));
    let findings = json(&output);
    let found: BTreeSet<(String, String)> = findings
        .as_array()
        .expect("a list")
        .iter()
        .map(|finding| {
            let file = finding["file"].as_str().expect("a file");
            let number = Path::new(file)
                .file_name()
                .expect("a name")
                .to_string_lossy()[..2]
                .to_owned();
            (finding["code"].as_str().expect("a code").to_owned(), number)
        })
        .collect();
    let places = [
        ("PL001", "07"),
        ("PL002", "03 04 05 06 08 09 10 11"),
        ("PL003", "02"),
        ("PL004", "04 05"),
        ("PL005", "05"),
        ("PL006", "05 10"),
        ("PL018", "10"),
    ];
    let expected = places.iter().flat_map(|(code, files)| {
        files
            .split(' ')
            .map(|file| ((*code).to_owned(), file.to_owned()))
    });
    assert_eq!(found, expected.collect());
    for finding in findings.as_array().expect("a list") {
        assert!(
            finding["line"].as_u64().is_some_and(|line| line > 0),
            "{finding}"
        );
        let mended = finding["edits"]
            .as_array()
            .is_some_and(|edits| !edits.is_empty());
        assert!(mended || finding["code"] == "PL018", "{finding}");
    }
}

#[test]
fn lint_finds_nothing_in_the_corrected_set() {
    for semantics in ["strict", "cilium"] {
        let output = lab(&[
            "lint",
            &root("examples/walkthrough/corrected"),
            "--semantics",
            semantics,
        ]);
        assert_eq!(
            (output.status.code(), text(&output).as_str()),
            (Some(0), "0 findings\n")
        );
    }
}

#[test]
fn check_answers_with_its_exit_status() {
    let allowed = ask(
        "check",
        "corrected",
        ["frontend", "backend-api", "8080"],
        &[],
    );
    assert_eq!(allowed.status.code(), Some(0), "{}", complaint(&allowed));
    assert!(
        text(&allowed).contains("04-api-http-restrictions.yaml:"),
        "{}",
        text(&allowed)
    );

    let denied = ask(
        "check",
        "corrected",
        ["stranger", "postgres", "5432"],
        &["-o", "json"],
    );
    assert_eq!(denied.status.code(), Some(1));
    let answer = json(&denied);
    assert_eq!(answer["verdict"], "denied");
    let ingress = &answer["sides"][1];
    assert_eq!(
        (&ingress["direction"], &ingress["subject"]),
        (&"ingress".into(), &"database/postgres".into())
    );
    assert_eq!(ingress["default_deny"][0], "cnp/database/postgres-api-only");
}

#[test]
fn addresses_and_entities_can_be_asked_about() {
    for (who, status) in [
        ("10.20.30.9", 0),
        ("partner", 0),
        ("203.0.113.9", 1),
        ("world", 1),
        ("host", 0),
    ] {
        let output = ask("check", "corrected", [who, "kafka/kafka", "9092"], &[]);
        assert_eq!(
            output.status.code(),
            Some(status),
            "{who}: {}",
            text(&output)
        );
    }
}

#[test]
fn semantics_differ_where_an_empty_list_stands() {
    let strict = ask("check", "as-written", ["postgres", "internet", "443"], &[]);
    assert_eq!(strict.status.code(), Some(1), "{}", text(&strict));
    let cilium = ask(
        "check",
        "as-written",
        ["postgres", "internet", "443"],
        &["--semantics", "cilium"],
    );
    assert_eq!(cilium.status.code(), Some(0), "{}", text(&cilium));
    assert!(
        complaint(&cilium).contains("07-postgres-egress-deny.yaml:"),
        "{}",
        complaint(&cilium)
    );
}

#[test]
fn explain_names_near_misses_with_their_place() {
    let output = ask(
        "explain",
        "as-written",
        ["frontend", "backend-api", "8080"],
        &[],
    );
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output);
    assert!(
        said.contains("would match in namespace `frontend`"),
        "{said}"
    );
    assert!(said.contains("03-api-frontend-only.yaml:11)"), "{said}");
    assert!(said.contains("default deny is switched on by"), "{said}");

    let output = ask(
        "explain",
        "as-written",
        ["frontend", "backend-api", "8080"],
        &["-o", "json"],
    );
    let misses = &json(&output)["sides"][1]["near_misses"];
    assert_eq!(misses.as_array().map(Vec::len), Some(4), "{misses}");
    assert_eq!(misses[0]["obstacle"], "namespace");
}

#[test]
fn explain_lists_what_else_covers_the_connection() {
    let output = ask(
        "explain",
        "corrected",
        ["frontend", "backend-api", "8080"],
        &["-o", "json"],
    );
    let ingress = &json(&output)["sides"][1];
    assert_eq!(
        ingress["rule"]["policy"],
        "cnp/backend/api-http-restrictions"
    );
    assert_eq!(
        ingress["weaker"][0]["rule"]["policy"],
        "cnp/backend/backend-from-frontend"
    );
}

#[test]
fn matrix_holds_what_the_corrected_set_promises() {
    let policies = root("examples/walkthrough/corrected");
    for semantics in ["strict", "cilium"] {
        let output = lab(&["matrix", &policies, "--semantics", semantics, "-o", "json"]);
        assert_eq!(output.status.code(), Some(0), "{}", complaint(&output));
        let answer = json(&output);
        let open: BTreeSet<String> = answer
            .as_array()
            .expect("a list")
            .iter()
            .filter(|cell| cell["verdict"] == "allowed" && cell["port"] != 443)
            .map(|cell| {
                format!("{} > {} {}", cell["from"], cell["to"], cell["port"]).replace('"', "")
            })
            .collect();
        let expected = [
            "frontend/frontend > backend/backend-api 8080",
            "backend/backend-api > database/postgres 5432",
            "backend/backend-api > kafka/kafka 9092",
            "backend/internal-kafka-client > kafka/kafka 9092",
            "partner > kafka/kafka 9092",
        ];
        assert_eq!(
            open,
            expected.iter().map(|line| (*line).to_owned()).collect(),
            "{semantics}"
        );
    }
    let table = text(&lab(&["matrix", &policies]));
    assert!(
        table
            .lines()
            .any(|line| line.starts_with("backend/backend-api TCP/8080")),
        "{table}"
    );
}

#[test]
fn questions_without_an_answer_end_with_two() {
    let missing = lab(&[
        "check",
        "/nonexistent.yaml",
        "--from",
        "a",
        "--to",
        "b",
        "--port",
        "1",
    ]);
    let nobody = ask(
        "check",
        "corrected",
        ["nobody-of-that-name", "kafka", "9092"],
        &[],
    );
    let outside = ask("check", "corrected", ["internet", "partner", "443"], &[]);
    let usage = lab(&["check"]);
    for output in [missing, nobody, outside, usage] {
        assert_eq!(output.status.code(), Some(2));
        assert!(output.stdout.is_empty(), "{}", text(&output));
        assert!(!output.stderr.is_empty());
    }
}

#[test]
fn a_refused_document_is_named_with_its_place() {
    let place = tempfile::tempdir().expect("a directory");
    let file = place.path().join("typo.yaml");
    let policy = "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: p}\nspec:\n  endpointSelecter: {}\n";
    fs::write(&file, policy).expect("a file");
    let output = lab(&["lint", &file.display().to_string()]);
    assert_eq!(output.status.code(), Some(2));
    let said = complaint(&output);
    assert!(
        said.contains("typo.yaml:5:3") && said.contains("endpointSelector"),
        "{said}"
    );
}

const FILES: [&str; 8] = [
    "vectors/policy-unit.jsonl",
    "vectors/policy-generated.jsonl",
    "vectors/policy-parse.jsonl",
    "vectors/policy-primitives.jsonl",
    "vectors/flow-filters.jsonl",
    "vectors/flow-cli-args.jsonl",
    "vectors/flow-sample.jsonl",
    "vectors/flow-print/in.jsonl",
];

#[test]
fn every_case_is_told_to_programs() {
    let file = root("vectors/policy-unit.jsonl");
    let output = lab(&["vectors", "--engine", "fast", "-o", "json", &file]);
    assert_eq!(output.status.code(), Some(0), "{}", complaint(&output));
    let said = text(&output);
    let told: Vec<Value> = said
        .lines()
        .map(|line| serde_json::from_str(line).expect("an object a line"))
        .collect();
    let cases = fs::read_to_string(&file).expect("vectors");
    assert_eq!(told.len(), cases.lines().count());
    for (case, told) in cases.lines().zip(&told) {
        let case: Value = serde_json::from_str(case).expect("a case");
        assert_eq!(told["name"], case["name"]);
        assert!(["passed", "not_applicable"].contains(&told["outcome"].as_str().unwrap_or("")));
    }
}

#[test]
fn an_answer_that_is_not_as_recorded_is_told_with_its_place() {
    let cases = fs::read_to_string(root("vectors/policy-unit.jsonl")).expect("vectors");
    let plain = |case: &Value| {
        let flows = case["flows"].as_array().expect("flows");
        let is_plain = |flow: &Value| flow["redirect"].is_null() && flow["auth"].is_null();
        !flows.is_empty() && flows.iter().all(is_plain)
    };
    let mut cases = cases
        .lines()
        .map(|line| serde_json::from_str(line).expect("a case"));
    let mut case: Value = cases.find(plain).expect("a case of plain flows");
    let flows = case["flows"].as_array_mut().expect("flows");
    let at = flows.len() - 1;
    let other = match flows[at]["verdict"].as_str() {
        Some("allowed") => "denied",
        _ => "allowed",
    };
    flows[at]["verdict"] = other.into();
    let place = tempfile::tempdir().expect("a directory");
    let file = place.path().join("policy-generated.jsonl");
    fs::write(&file, case.to_string()).expect("a file");
    let file = file.display().to_string();
    let output = lab(&["vectors", "--engine", "fast", "-o", "json", &file]);
    assert_eq!(output.status.code(), Some(1), "{}", complaint(&output));
    let because = &json(&output)["because"];
    assert_eq!(because[0]["flow"], at, "{because}");
    assert_eq!(because[0]["parts"], serde_json::json!(["verdict"]));
    assert_eq!(because.as_array().map(Vec::len), Some(1));
}

#[test]
fn recorded_answers_hold() {
    let files = FILES.map(root);
    for engine in ["reference", "fast", "map"] {
        let mut args = vec!["vectors", "--engine", engine];
        args.extend(files.iter().map(String::as_str));
        let output = lab(&args);
        let said = text(&output);
        assert_eq!(
            output.status.code(),
            Some(0),
            "{said}{}",
            complaint(&output)
        );
        assert_eq!(said.lines().count(), FILES.len() + 1, "{said}");
        let last = said.lines().last().expect("a sum");
        let passed: usize = last
            .split(' ')
            .next()
            .and_then(|n| n.parse().ok())
            .expect("a number");
        assert!(passed > 700 && last.ends_with(" 0 failed"), "{last}");
    }
}

/// A file of L7 cases, and how one of its answers is turned around.
const L7_FILES: [(&str, &str, &str); 9] = [
    ("policy-dns.jsonl", "\"allowed\":true", "\"allowed\":false"),
    (
        "l7-dns-match.jsonl",
        "\"to_fqdns_match\":true",
        "\"to_fqdns_match\":false",
    ),
    (
        "l7-dns-ruleset.jsonl",
        "\"allowed\":false",
        "\"allowed\":true",
    ),
    (
        "l7-http-match.jsonl",
        "\"outcome\":\"allow\"",
        "\"outcome\":\"deny\"",
    ),
    (
        "l7-http-translate.jsonl",
        "\"present\":true",
        "\"exact\":\"\"",
    ),
    (
        "l7-kafka-match.jsonl",
        "\"verdict\":\"allow\"",
        "\"verdict\":\"deny\"",
    ),
    (
        "l7-kafka-rule.jsonl",
        "\"api_version\":-1",
        "\"api_version\":7",
    ),
    ("l7-merge.jsonl", "\"l7\":null", "\"l7\":{}"),
    (
        "l7-portrule-validate.jsonl",
        "\"valid\":false",
        "\"valid\":true",
    ),
];

#[test]
fn recorded_answers_about_l7_hold_and_wrong_ones_fail() {
    let place = tempfile::tempdir().expect("a directory");
    for (name, right, wrong) in L7_FILES {
        let file = root(&format!("vectors/{name}"));
        let output = lab(&["vectors", "--engine", "fast", &file]);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output));
        let said = text(&output);
        let last = said.lines().last().expect("a sum");
        assert!(!last.starts_with("0 passed"), "{name}: {last}");

        let cases = fs::read_to_string(&file).expect("vectors");
        let case = cases.lines().find(|case| case.contains(right));
        let turned = case.expect("a case").replacen(right, wrong, 1);
        let turned_file = place.path().join(name);
        fs::write(&turned_file, turned).expect("a file");
        let output = lab(&[
            "vectors",
            "--engine",
            "fast",
            &turned_file.display().to_string(),
        ]);
        assert_eq!(output.status.code(), Some(1), "{name}: {}", text(&output));
    }
}

#[test]
fn a_wrong_answer_fails() {
    let place = tempfile::tempdir().expect("a directory");
    let file = place.path().join("policy-unit.jsonl");
    let cases = fs::read_to_string(root(FILES[0])).expect("vectors");
    let first = cases.lines().next().expect("a case");
    let swapped = first
        .replace("\"allowed\"", "\"?\"")
        .replace("\"denied\"", "\"allowed\"")
        .replace("\"?\"", "\"denied\"");
    fs::write(&file, format!("{swapped}\n{{}}\n")).expect("a file");
    let output = lab(&[
        "vectors",
        "--engine",
        "fast",
        "--show",
        "1",
        &file.display().to_string(),
    ]);
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output);
    assert!(
        said.starts_with("FAILED ") && said.ends_with("0 passed, 2 failed\n"),
        "{said}"
    );
    assert!(said.contains("expected"), "{said}");
}

#[test]
fn kinds_are_told_by_the_name_of_the_file() {
    let place = tempfile::tempdir().expect("a directory");
    let later = place.path().join("l7-fqdn-cache.jsonl");
    fs::write(&later, "{}\n{}\n").expect("a file");
    let output = lab(&["vectors", "--engine", "map", &later.display().to_string()]);
    assert_eq!(output.status.code(), Some(0));
    let said = text(&output);
    assert!(
        said.contains(": 0 passed, 0 failed, 2 not applicable (not yet: l7-fqdn-cache 2)"),
        "{said}"
    );

    let unknown = place.path().join("no-such-kind.jsonl");
    fs::write(&unknown, "{}\n").expect("a file");
    let output = lab(&["vectors", "--engine", "map", &unknown.display().to_string()]);
    assert_eq!(
        (output.status.code(), text(&output).as_str()),
        (Some(2), "")
    );
    assert!(
        complaint(&output).contains("no-such-kind"),
        "{}",
        complaint(&output)
    );
}

/// The binary where anybody may run it, run by somebody without privileges.
fn unprivileged(place: &Path, args: &[&str]) -> Output {
    let copy = place.join("porin-lab");
    fs::copy(BINARY, &copy).expect("a copy");
    fs::set_permissions(place, fs::Permissions::from_mode(0o755)).expect("a mode");
    let mut command = Command::new(copy);
    let owner = fs::metadata("/proc/self").map(|own| std::os::unix::fs::MetadataExt::uid(&own));
    if owner.is_ok_and(|owner| owner == 0) {
        command.uid(65534).gid(65534);
    }
    command
        .current_dir(place)
        .args(args)
        .output()
        .expect("the copy starts")
}

#[test]
fn without_privileges_the_kernel_engine_says_what_is_missing() {
    let place = tempfile::tempdir().expect("a directory");
    fs::write(place.path().join("policy-unit.jsonl"), "").expect("a file");
    let asked = unprivileged(
        place.path(),
        &["vectors", "--engine", "kernel", "policy-unit.jsonl"],
    );
    assert_eq!(asked.status.code(), Some(2), "{}", text(&asked));
    assert!(complaint(&asked).contains("CAP_"), "{}", complaint(&asked));

    let all = unprivileged(
        place.path(),
        &["vectors", "--engine", "all", "policy-unit.jsonl"],
    );
    assert_eq!(all.status.code(), Some(0), "{}", complaint(&all));
    assert!(complaint(&all).contains("CAP_"), "{}", complaint(&all));
}

#[test]
fn engines_agree_in_random_worlds() {
    let output = lab(&[
        "agree", "--seed", "20", "--worlds", "350", "--engine", "fast",
    ]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let said = text(&output);
    let last = said.lines().last().unwrap_or_default();
    let flows = last.strip_suffix(" flows, 0 disagreements");
    let flows: usize = flows
        .and_then(|flows| flows.parse().ok())
        .unwrap_or_default();
    assert!(flows >= 20_000, "{said}");
}
