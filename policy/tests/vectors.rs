//! The recorded answers of Cilium's engine, asked of the fast evaluator, the policy table and the
//! reference evaluator. The files are looked for in `$PORIN_VECTORS`, else in `../shared/vectors`
//! beside the project; those that are not there, among the project's own `vectors`.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

mod case;

use std::path::PathBuf;

use case::World;
use porin_policy::{AuthMode, Direction, Parser, Redirect, Semantics, Verdict};
use serde_json::Value;

fn read(file: &str) -> Option<String> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let named = std::env::var_os("PORIN_VECTORS").map(PathBuf::from);
    let fullest = named.unwrap_or_else(|| root.join("../../shared/vectors"));
    [fullest, root.join("../vectors")]
        .iter()
        .find_map(|directory| std::fs::read_to_string(directory.join(file)).ok())
}

/// How many flows were answered as recorded.
fn run(case: &Value) -> Result<usize, String> {
    let world = World::read(case);
    let (set, refused) = world.load(world.options.clone().semantics(Semantics::Cilium));
    let texts = |list: &Value| -> Vec<String> {
        let list = list.as_array().into_iter().flatten();
        list.map(|text| text.as_str().unwrap().to_owned()).collect()
    };
    let expected = texts(&case["policy_errors"]);
    if refused != expected {
        return Err(format!("refused {refused:?}, expected {expected:?}"));
    }
    let mut prefixes: Vec<_> = set.prefixes().iter().map(ToString::to_string).collect();
    prefixes.sort();
    if case["cidr_prefixes"].is_array() && prefixes != texts(&case["cidr_prefixes"]) {
        return Err(format!(
            "prefixes {prefixes:?}, expected {}",
            case["cidr_prefixes"]
        ));
    }
    let reference = world.reference(&set);
    let (policy, conflict) = (world.resolve(&set), reference.conflict());
    if case["resolve_error"] == true {
        let found = policy.is_err() && conflict.is_some();
        return if found {
            Ok(0)
        } else {
            Err("resolved".to_owned())
        };
    }
    let policy = policy.map_err(|error| error.to_string())?;
    if let Some(error) = conflict {
        return Err(format!("the reference finds {error}"));
    }
    for direction in Direction::ALL {
        let expected = &case[format!("{direction}_enforced")];
        let found = [policy.enforced(direction), reference.enforced(direction)];
        if found.iter().any(|found| expected != found) {
            return Err(format!(
                "{direction} enforced: {found:?}, expected {expected}"
            ));
        }
    }
    let flows = case["flows"].as_array().unwrap();
    for (flow, query) in flows.iter().zip(&world.queries) {
        let decision = policy.check(query);
        let entry = policy.map_state().lookup(query).map(|(_, entry)| entry);
        if entry != decision.entry() {
            return Err(format!("{decision}, but the table says {entry:?}"));
        }
        judge(
            flow,
            decision.verdict(),
            decision.redirect(),
            decision.auth(),
        )?;
        let answer = reference.check(query);
        judge(flow, answer.verdict, answer.redirect, answer.auth)
            .map_err(|error| format!("reference: {error}"))?;
    }
    Ok(flows.len())
}

fn judge(
    flow: &Value,
    verdict: Verdict,
    redirect: Option<Redirect>,
    auth: AuthMode,
) -> Result<(), String> {
    let parser = redirect.map(|redirect| match redirect.parser {
        Parser::Http => "http",
        Parser::Kafka => "kafka",
        Parser::Dns => "dns",
        Parser::Tls => "tls",
        Parser::Listener => "crd",
        _ => "named",
    });
    let expected = flow["redirect"].as_str().map(|name| match name {
        "http" | "kafka" | "dns" | "tls" | "crd" => name,
        _ => "named",
    });
    let denied = verdict == Verdict::Deny;
    let mode = flow["auth"].as_str().unwrap_or("disabled");
    if denied != (flow["verdict"] == "denied") || parser != expected || auth.name() != mode {
        return Err(format!("{verdict} to {parser:?}, {auth}; expected {flow}"));
    }
    // Upstream writes "every name" as a rule, not as the absence of rules; and whatever the rules,
    // names and listeners are for the proxy to see to.
    let every_name = |rule: &Value| rule["matchPattern"] == "*";
    let l7 = &flow["l7"];
    let rules = l7["rules"].as_array();
    let open = l7["allow_all"] == true || rules.is_some_and(|rules| rules.iter().any(every_name));
    let seen_to = l7["server_names"].is_array() || parser == Some("crd");
    match redirect {
        Some(redirect) if redirect.unrestricted && (!open || seen_to) => {
            Err(format!("unrestricted, expected {flow}"))
        }
        _ => Ok(()),
    }
}

#[test]
fn every_engine_gives_the_recorded_answers() {
    let mut failures = Vec::new();
    let mut passed = 0;
    for file in ["policy-generated", "policy-unit", "policy-examples"] {
        let Some(text) = read(&format!("{file}.jsonl")) else {
            eprintln!("{file}: not there; name the directory of all vectors in PORIN_VECTORS");
            continue;
        };
        let (mut cases, mut flows) = (0, 0);
        for line in text.lines() {
            let case: Value = serde_json::from_str(line).unwrap();
            match run(&case) {
                Ok(asked) => (cases, flows) = (cases + 1, flows + asked),
                Err(error) => failures.push(format!("{file} {}: {error}", case["name"])),
            }
        }
        eprintln!("{file}: {cases} cases passed ({flows} flows)");
        passed += cases;
    }
    assert!(
        failures.is_empty(),
        "{} failures:\n{}",
        failures.len(),
        failures.join("\n")
    );
    assert!(passed > 0, "no case was found");
}
