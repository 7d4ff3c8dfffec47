//! The recorded answers of Cilium's engine, asked of the fast evaluator, the policy table and the
//! reference evaluator. The files are looked for in `$PORIN_VECTORS`, else in `../shared/vectors`
//! beside the project; those that are not there, among the project's own `vectors`.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

use std::collections::BTreeMap;
use std::path::PathBuf;

use porin_identity::{Families, Identities, IdentityId, Labels, Snapshot};
use porin_policy::{
    AllowLocalhost, Direction, Enforcement, Options, Parser, PolicySet, Protocol, Query, Reference,
    Semantics, Verdict,
};
use serde_json::Value;

fn read(file: &str) -> Option<String> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let named = std::env::var_os("PORIN_VECTORS").map(PathBuf::from);
    let fullest = named.unwrap_or_else(|| root.join("../../shared/vectors"));
    [fullest, root.join("../vectors")]
        .iter()
        .find_map(|directory| std::fs::read_to_string(directory.join(file)).ok())
}

fn text<'v>(value: &'v Value, field: &str) -> &'v str {
    value[field]
        .as_str()
        .unwrap_or_else(|| panic!("no text `{field}` in {value}"))
}

fn options(config: &Value) -> Options {
    let flag = |field: &str| config[field].as_bool().unwrap();
    Options::new()
        .semantics(Semantics::Cilium)
        .enforcement(match text(config, "enforcement") {
            "always" => Enforcement::Always,
            "never" => Enforcement::Never,
            _ => Enforcement::Default,
        })
        .allow_localhost(match text(config, "allow_localhost") {
            "policy" => AllowLocalhost::Policy,
            _ => AllowLocalhost::Always,
        })
        .families(if flag("dual_stack") {
            Families::Dual
        } else {
            Families::V4
        })
        .host_firewall(flag("host_firewall"))
        .cluster_name(text(config, "cluster_name"))
        .default_local_cluster(flag("default_local_cluster"))
        .non_default_deny(flag("non_default_deny"))
}

fn identities(case: &Value, families: Families) -> Snapshot {
    let mut identities = Identities::new(families);
    for identity in case["identities"].as_array().unwrap() {
        let labels: Labels = identity["labels"]
            .as_array()
            .unwrap()
            .iter()
            .map(|label| {
                label
                    .as_str()
                    .unwrap()
                    .parse::<porin_identity::Label>()
                    .unwrap()
            })
            .collect();
        identities
            .insert_fixed(id(&identity["id"]), labels)
            .unwrap();
    }
    identities.snapshot()
}

fn id(value: &Value) -> IdentityId {
    IdentityId::new(u32::try_from(value.as_u64().unwrap()).unwrap())
}

fn query(flow: &Value) -> Query {
    let peer = id(&flow["peer"]);
    let start = match text(flow, "direction").parse().unwrap() {
        Direction::Ingress => Query::ingress(peer),
        Direction::Egress => Query::egress(peer),
    };
    let protocol: Protocol = text(flow, "protocol").parse().unwrap();
    start.on(
        protocol,
        u16::try_from(flow["port"].as_u64().unwrap()).unwrap(),
    )
}

/// Why a case cannot be asked yet.
fn not_applicable(case: &Value) -> Option<String> {
    let labels = case["config"]["node_selector_labels"] == true;
    labels.then(|| "node labels".into())
}

fn run(case: &Value) -> Result<usize, String> {
    let options = options(&case["config"]);
    let families = if case["config"]["dual_stack"] == true {
        Families::Dual
    } else {
        Families::V4
    };
    let snapshot = identities(case, families);
    let mut set = PolicySet::new(options);
    let files: Vec<_> = case["policies"]
        .as_array()
        .unwrap()
        .iter()
        .enumerate()
        .collect();
    let files = files
        .iter()
        .map(|(index, text)| (index.to_string(), text.as_str().unwrap()));
    let report = set.load(files).map_err(|error| error.to_string())?;

    let mut refused: Vec<_> = report
        .refused
        .iter()
        .map(|refused| refused.error.location().file().to_owned())
        .collect();
    refused.sort();
    refused.dedup();
    let mut expected: Vec<String> = match &case["policy_errors"] {
        Value::Object(map) => map.keys().cloned().collect(),
        Value::Array(list) => list
            .iter()
            .map(|index| index.as_str().unwrap().to_owned())
            .collect(),
        _ => Vec::new(),
    };
    expected.sort();
    if refused != expected {
        return Err(format!(
            "refused {refused:?}, expected {expected:?}: {:?}",
            report.refused
        ));
    }
    let mut prefixes: Vec<_> = set.prefixes().iter().map(ToString::to_string).collect();
    prefixes.sort();
    if let Some(list) = case["cidr_prefixes"].as_array() {
        let mut list: Vec<_> = list
            .iter()
            .map(|block| block.as_str().unwrap().to_owned())
            .collect();
        list.sort();
        if prefixes != list {
            return Err(format!("prefixes {prefixes:?}, expected {list:?}"));
        }
    }
    let policy = match set.resolve(id(&case["subject"]), &snapshot) {
        Ok(policy) => policy,
        Err(error) if case["resolve_error"].is_null() => return Err(error.to_string()),
        Err(_) => return Ok(0),
    };
    if !case["resolve_error"].is_null() {
        return Err(format!("resolved, expected {}", case["resolve_error"]));
    }
    for direction in Direction::ALL {
        let expected = &case[format!("{direction}_enforced")];
        if *expected != policy.enforced(direction) {
            return Err(format!("{direction} enforced: expected {expected}"));
        }
    }
    let reference = Reference::new(&set, &snapshot, policy.subject()).unwrap();
    let flows = case["flows"].as_array().unwrap();
    for flow in flows {
        let query = query(flow);
        let decision = policy.check(&query);
        let entry = policy.map_state().lookup(&query).map(|(_, entry)| entry);
        if entry != decision.entry() {
            return Err(format!("{decision}, but the table says {entry:?}"));
        }
        let answer = reference.check(&query);
        if (answer.verdict, answer.redirect) != (decision.verdict(), decision.redirect()) {
            return Err(format!("{decision}, but the reference says {answer:?}"));
        }
        judge(flow, &decision)?;
    }
    Ok(flows.len())
}

fn judge(flow: &Value, decision: &porin_policy::Decision) -> Result<(), String> {
    let redirect = decision.redirect().map(|redirect| match redirect.parser {
        Parser::Http => "http",
        Parser::Kafka => "kafka",
        Parser::Dns => "dns",
        Parser::Tls => "tls",
        Parser::Listener => "crd",
        _ => "named",
    });
    let expected = match flow["redirect"].as_str() {
        Some(name @ ("http" | "kafka" | "dns" | "tls" | "crd")) => Some(name),
        Some(_) => Some("named"),
        None => None,
    };
    let denied = decision.verdict() == Verdict::Deny;
    if denied != (text(flow, "verdict") == "denied") || redirect != expected {
        return Err(format!("{decision}, expected {flow}"));
    }
    let unrestricted = decision
        .redirect()
        .is_some_and(|redirect| redirect.unrestricted);
    // Upstream writes "every name" as a rule, not as the absence of rules.
    let every_name = |rule: &Value| rule["matchPattern"] == "*";
    let l7 = &flow["l7"];
    let expected = l7["allow_all"] == true
        || l7["rules"]
            .as_array()
            .is_some_and(|rules| rules.iter().any(every_name));
    if redirect.is_some() && expected != unrestricted {
        return Err(format!(
            "{decision}: unrestricted {unrestricted}, expected {flow}"
        ));
    }
    Ok(())
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
        let mut skipped: BTreeMap<String, usize> = BTreeMap::new();
        for line in text.lines() {
            let case: Value = serde_json::from_str(line).unwrap();
            if let Some(reason) = not_applicable(&case) {
                *skipped.entry(reason).or_default() += 1;
                continue;
            }
            match run(&case) {
                Ok(asked) => (cases, flows) = (cases + 1, flows + asked),
                Err(error) => failures.push(format!("{file} {}: {error}", case["name"])),
            }
        }
        let late: usize = skipped.values().sum();
        eprintln!(
            "{file}: {cases} cases passed ({flows} flows), {late} not applicable {skipped:?}"
        );
        passed += cases;
    }
    assert!(
        failures.is_empty(),
        "{} failures:\n{}",
        failures.len(),
        failures.join("\n")
    );
    assert!(passed >= 100, "only {passed} cases apply");
}
