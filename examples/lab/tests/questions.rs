//! The questions about sets, worlds and recordings, as users of the binary meet them.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

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

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).expect("an answer in JSON")
}

/// A directory of one world and named files beside it.
fn place(files: &[(&str, &str)]) -> tempfile::TempDir {
    let place = tempfile::tempdir().expect("a directory");
    for (name, text) in files {
        let file = place.path().join(name);
        fs::create_dir_all(file.parent().expect("a directory")).expect("a directory");
        fs::write(file, text).expect("a file");
    }
    place
}

fn at(place: &Path, name: &str) -> String {
    place.join(name).display().to_string()
}

const WORLD: &str = "workloads:
- {name: web, namespace: shop, labels: {app: web}, ports: [{port: 80}]}
- {name: db, namespace: shop, labels: {app: db}, ports: [{port: 5432}]}
";

fn policy(ports: &str) -> String {
    format!(
        "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\n\
         metadata: {{name: db, namespace: shop}}\nspec:\n\
         \x20 endpointSelector: {{matchLabels: {{app: db}}}}\n\
         \x20 ingress:\n\
         \x20 - fromEndpoints: [{{matchLabels: {{app: web}}}}]\n\
         \x20   toPorts: [{{ports: [{ports}]}}]\n"
    )
}

#[test]
fn diff_ends_with_three_when_access_widens_and_names_a_flow() {
    let (narrow, wide) = (
        policy("{port: '5432', protocol: TCP}"),
        policy("{port: '5432', endPort: 5440, protocol: TCP}"),
    );
    let place = place(&[
        ("world.yaml", WORLD),
        ("old/db.yaml", &narrow),
        ("new/db.yaml", &wide),
    ]);
    let (old, new) = (at(place.path(), "old"), at(place.path(), "new"));
    let wider = lab(&["diff", &old, &new]);
    assert_eq!(wider.status.code(), Some(3), "{wider:?}");
    assert!(
        text(&wider).starts_with("+ allowed TCP/5433-5440 to shop/db from shop/web\n"),
        "{}",
        text(&wider)
    );
    let narrower = lab(&["diff", &new, &old, "-o", "json"]);
    assert_eq!(narrower.status.code(), Some(0));
    let changes = json(&narrower);
    assert_eq!(changes[0]["effect"], "denied");
    assert_eq!(changes[0]["ports"], serde_json::json!([5433, 5440]));
    assert_eq!(changes[0]["example"]["after"]["verdict"], "denied");
    let same = lab(&["diff", &old, &old]);
    assert_eq!(
        (same.status.code(), text(&same).as_str()),
        (Some(0), "0 wider, 0 not wider\n")
    );
}

#[test]
fn exposure_is_loud_about_open_doors_in_every_form() {
    let corrected = root("examples/walkthrough/corrected");
    let table = text(&lab(&["exposure", &corrected, "--of", "frontend"]));
    assert!(table.contains("outbound: OPEN BY DEFAULT"), "{table}");
    assert!(
        table.contains("TCP/443 from load-balancer: allowed, by cnp/frontend/frontend-lb-only"),
        "{table}"
    );
    let postgres = text(&lab(&["exposure", &corrected, "--of", "postgres"]));
    assert!(postgres.contains("outbound: closed"), "{postgres}");
    let markdown = text(&lab(&["exposure", &corrected, "-o", "markdown"]));
    assert!(
        markdown.contains("## frontend/frontend") && markdown.contains("**outbound: OPEN BY"),
        "{markdown}"
    );
    let dot = text(&lab(&["exposure", &corrected, "-o", "dot"]));
    assert!(
        dot.starts_with("digraph")
            && dot.contains("\"backend/backend-api\" -> \"database/postgres\""),
        "{dot}"
    );
    let maps = json(&lab(&["exposure", &corrected, "-o", "json"]));
    assert_eq!(maps.as_array().map(Vec::len), Some(6));
    let frontend = &maps[0];
    assert_eq!(frontend["outbound"]["default_open"], true);
    assert_eq!(frontend["inbound"]["default_open"], false);
}

#[test]
fn matrix_tries_what_it_is_asked_and_every_class() {
    let corrected = root("examples/walkthrough/corrected");
    let asked = json(&lab(&[
        "matrix", &corrected, "--on", "UDP/53", "--on", "ICMP/8", "-o", "json",
    ]));
    let cells = asked.as_array().expect("a list");
    assert!(
        cells
            .iter()
            .all(|cell| ["UDP", "ICMP"].contains(&cell["protocol"].as_str().expect("a name"))),
        "{asked}"
    );
    let classes = json(&lab(&["matrix", &corrected, "--classes", "-o", "json"]));
    let to_database = |class: &str| {
        let mut cells = classes.as_array().expect("a list").iter();
        let cell = cells.find(|cell| {
            cell["from"] == "backend/backend-api"
                && cell["to"] == "database/postgres"
                && cell["class"] == class
        });
        cell.map(|cell| cell["verdict"].clone()).unwrap_or_default()
    };
    assert_eq!(to_database("TCP/5432"), "allowed");
    assert_eq!(to_database("TCP/5433-65535"), "denied");
    assert_eq!(to_database("every protocol but TCP"), "denied");
    let wrong = lab(&["matrix", &corrected, "--on", "53"]);
    assert_eq!(wrong.status.code(), Some(2));
}

#[test]
fn the_tests_of_the_walkthrough_pass_where_the_policies_are_corrected() {
    let report = tempfile::NamedTempFile::new().expect("a file");
    let junit = report.path().display().to_string();
    let corrected = root("examples/walkthrough/corrected");
    let good = lab(&["test", &corrected, "--junit", &junit]);
    assert_eq!(good.status.code(), Some(0), "{}", text(&good));
    assert!(
        text(&good).ends_with("6 passed, 0 failed\n"),
        "{}",
        text(&good)
    );
    let xml = fs::read_to_string(&junit).expect("a report");
    assert!(
        xml.contains("tests=\"6\" failures=\"0\" errors=\"0\""),
        "{xml}"
    );

    let written = root("examples/walkthrough/as-written");
    let bad = lab(&["test", &written, "--junit", &junit]);
    assert_eq!(bad.status.code(), Some(1));
    let said = text(&bad);
    assert!(said.contains("FAILED the frontend reads the API"), "{said}");
    assert!(said.contains("it is denied, not allowed"), "{said}");
    assert!(
        said.contains("would match in namespace `frontend`"),
        "{said}"
    );
    let xml = fs::read_to_string(&junit).expect("a report");
    assert!(xml.contains("<failure message=\""), "{xml}");

    let place = place(&[
        ("world.yaml", WORLD),
        ("db.yaml", &policy("{port: '5432'}")),
        (
            "tests.yaml",
            "tests: [{from: nobody, to: db, port: 1, expect: denied}]",
        ),
    ]);
    let error = lab(&["test", &at(place.path(), "db.yaml"), "-o", "json"]);
    assert_eq!(error.status.code(), Some(1));
    assert!(
        json(&error)[0]["error"]
            .as_str()
            .is_some_and(|text| text.contains("`nobody` is nobody")),
        "{}",
        text(&error)
    );
}

fn flow(from: &str, to: &str, port: u16, verdict: &str) -> String {
    let end = |app: &str| {
        format!(
            r#"{{"namespace":"shop","pod_name":"{app}-1","labels":["k8s:app={app}","k8s:io.kubernetes.pod.namespace=shop","k8s:io.cilium.k8s.policy.cluster=default"]}}"#
        )
    };
    format!(
        r#"{{"flow":{{"verdict":"{verdict}","drop_reason":{},"Type":"L3_L4","IP":{{"source":"10.0.0.1","destination":"10.0.0.2","ipVersion":"IPv4"}},"l4":{{"TCP":{{"source_port":4000,"destination_port":{port}}}}},"source":{},"destination":{},"traffic_direction":"INGRESS","is_reply":false}}}}"#,
        if verdict == "DROPPED" { 133 } else { 0 },
        end(from),
        end(to)
    )
}

/// Gives a text to the binary's standard input.
fn fed(args: &[&str], input: &str) -> Output {
    let mut child = Command::new(BINARY)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(input.as_bytes()).expect("it reads");
    drop(stdin);
    child.wait_with_output().expect("it ends")
}

#[test]
fn replay_counts_what_would_change_and_what_nobody_can_say() {
    let place = place(&[("db.yaml", &policy("{port: '5432', protocol: TCP}"))]);
    let candidate = at(place.path(), "db.yaml");
    let (good, closed) = (
        flow("web", "db", 5432, "FORWARDED"),
        flow("web", "db", 22, "FORWARDED"),
    );
    let opened = flow("web", "db", 5432, "DROPPED");
    let same = fed(
        &["replay", &candidate, "--flows", "-"],
        &format!("{good}\n{good}\n"),
    );
    assert_eq!(same.status.code(), Some(0), "{same:?}");
    assert!(
        text(&same).contains("2 flows, 2 judged: 2 as before"),
        "{}",
        text(&same)
    );

    let denied = fed(
        &["replay", &candidate, "--flows", "-"],
        &format!("{closed}\n{closed}\n"),
    );
    assert_eq!(denied.status.code(), Some(1));
    assert!(
        text(&denied).starts_with("- 2x shop/web-1 -> shop/db-1 TCP/22: denied"),
        "{}",
        text(&denied)
    );

    let reply = good.replace("\"is_reply\":false", "\"is_reply\":true");
    let nameless = good.replace("\"k8s:app=web\",", "").replace(
        "\"labels\":[\"k8s:io.kubernetes.pod.namespace=shop\",\"k8s:io.cilium.k8s.policy.cluster=default\"]",
        "\"labels\":[]",
    );
    let mixed = format!("{opened}\n{reply}\n{nameless}\nno flow\n");
    let answer = fed(
        &["replay", &candidate, "--flows", "-", "-o", "json"],
        &mixed,
    );
    assert_eq!(answer.status.code(), Some(3), "{answer:?}");
    let answer = json(&answer);
    assert_eq!(
        (&answer["flows"], &answer["judged"], &answer["allowed"]),
        (&4.into(), &1.into(), &1.into()),
        "{answer}"
    );
    assert_eq!(answer["unreadable"][0]["line"], 4);
    assert_eq!(
        answer["unjudged"].as_object().map(serde_json::Map::len),
        Some(2),
        "{answer}"
    );
    assert_eq!(answer["changed"][0]["fate"], "allowed");

    let nothing = fed(&["replay", &candidate, "--flows", "-"], "no flow\n");
    assert_eq!(nothing.status.code(), Some(2));
}

#[test]
fn what_is_suggested_allows_the_recording() {
    let flows = [
        flow("web", "db", 5432, "FORWARDED"),
        flow("cache", "db", 5432, "DROPPED"),
    ];
    let place = place(&[("flows.jsonl", &format!("{}\n{}\n", flows[0], flows[1]))]);
    let recording = at(place.path(), "flows.jsonl");
    let suggested = lab(&["suggest", &recording]);
    assert_eq!(suggested.status.code(), Some(0), "{suggested:?}");
    let file = at(place.path(), "suggested.yaml");
    fs::write(&file, text(&suggested)).expect("a file");
    let replayed = lab(&["replay", &file, "--flows", &recording]);
    assert_eq!(replayed.status.code(), Some(0), "{}", text(&replayed));

    let all = lab(&[
        "suggest",
        &recording,
        "--verdict",
        "all",
        "--direction",
        "ingress",
        "-o",
        "json",
    ]);
    let list = json(&all);
    assert_eq!(list["items"].as_array().map(Vec::len), Some(1));
    assert!(list["items"][0]["spec"]["egress"].is_null(), "{list}");
}

#[test]
fn explain_gives_the_smallest_change() {
    let written = root("examples/walkthrough/as-written");
    let question = [
        "--from",
        "frontend",
        "--to",
        "backend-api",
        "--port",
        "8080",
    ];
    let mut args = vec!["explain", &written];
    args.extend(question);
    let said = text(&lab(&args));
    assert!(
        said.contains("to change that: write `k8s:io.kubernetes.pod.namespace: frontend`"),
        "{said}"
    );
}
