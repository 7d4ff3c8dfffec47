//! Names against DNS rules and selectors of names.

use porin::policy::{
    DnsQuery, DnsRule, FqdnMatcher, FqdnPeer, L7Matcher, L7Rules, NoSecrets, Request, Semantics,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::read::{accepted, both_accept, rules};
use crate::vectors::Fault;
use crate::vectors::tally::Outcome;

#[derive(Debug, Deserialize)]
struct Case {
    kind: Kind,
    rules: Vec<RuleText>,
    queries: Vec<Query>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    DnsRule,
    FqdnSelector,
}

/// A rule or a selector, as it is used once it is accepted. (No document may ask for the root by its
/// name, but the recorded answers know what that would mean.)
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RuleText {
    match_name: Option<Box<str>>,
    match_pattern: Option<Box<str>>,
}

#[derive(Debug, Deserialize)]
struct Query {
    name: String,
    allowed: bool,
}

/// A line of `policy-dns`.
pub(crate) fn policy_names(line: &str) -> Result<Outcome, Fault> {
    let case: Case = serde_json::from_str(line)?;
    let rules = case.rules.into_iter().map(|rule| DnsRule {
        match_name: rule.match_name,
        match_pattern: rule.match_pattern,
    });
    let rules: Vec<_> = rules.collect();
    let differences = match case.kind {
        Kind::DnsRule => queries(&L7Rules::Dns(rules), &case.queries)?,
        Kind::FqdnSelector => {
            let matcher = FqdnMatcher::new(rules.iter().flat_map(selectors));
            compare(&case.queries, |name| {
                matcher.selectors(name).next().is_some()
            })
        }
    };
    Ok(Outcome::of(differences))
}

fn list(rules: &L7Rules) -> &[DnsRule] {
    match rules {
        L7Rules::Dns(list) => list,
        _ => &[],
    }
}

fn selectors(rule: &DnsRule) -> impl Iterator<Item = FqdnPeer> {
    let name = rule.match_name.clone().map(FqdnPeer::Name);
    name.into_iter()
        .chain(rule.match_pattern.clone().map(FqdnPeer::Pattern))
}

fn queries(rules: &L7Rules, queries: &[Query]) -> Result<Vec<String>, Fault> {
    let matcher = L7Matcher::new(rules, Semantics::Cilium, &NoSecrets).map_err(Fault::of)?;
    Ok(compare(queries, |name| {
        matcher
            .judge(&Request::Dns(DnsQuery::new(name)))
            .is_allowed()
    }))
}

fn compare(queries: &[Query], judge: impl Fn(&str) -> bool) -> Vec<String> {
    let differing = queries
        .iter()
        .filter(|query| judge(&query.name) != query.allowed);
    differing
        .map(|query| format!("`{}`: allowed {} expected", query.name, query.allowed))
        .collect()
}

#[derive(Debug, Deserialize)]
struct Ruleset {
    rules: Value,
    cases: Vec<Query>,
}

/// A line of `l7-dns-ruleset`.
pub(super) fn dns_ruleset(line: &str) -> Result<Outcome, Fault> {
    let case: Ruleset = serde_json::from_str(line)?;
    let rules = match accepted("dns", &case.rules)? {
        L7Rules::Dns(list) => L7Rules::Dns(list.iter().flat_map(today).collect()),
        rules => rules,
    };
    queries(&rules, &case.cases).map(Outcome::of)
}

#[derive(Debug, Deserialize)]
struct One {
    /// `matchName` or `matchPattern`.
    kind: String,
    value: String,
    rule_error: Option<String>,
    identity_label: Option<String>,
    #[serde(default)]
    cases: Vec<Both>,
}

#[derive(Debug, Deserialize)]
struct Both {
    name: String,
    dns_allowed: bool,
    to_fqdns_match: bool,
}

/// A line of `l7-dns-match`.
pub(super) fn dns_match(line: &str) -> Result<Outcome, Fault> {
    let case: One = serde_json::from_str(line)?;
    let ours = rules("dns", &json!([{&case.kind: case.value}]));
    let read = match both_accept(ours, case.rule_error.as_deref()) {
        None => return Ok(Outcome::Passed),
        Some(Err(difference)) => return Ok(Outcome::of(vec![difference])),
        Some(Ok(rules)) => rules,
    };
    let rules = list(&read);
    let labels = rules
        .iter()
        .flat_map(selectors)
        .map(|peer| format!("fqdn:{}", peer.text()));
    let mut differences: Vec<_> = labels
        .filter(|label| Some(label) != case.identity_label.as_ref())
        .map(|label| format!("{label}, {:?} expected", case.identity_label))
        .collect();
    let rules: Vec<_> = rules.iter().flat_map(today).collect();
    let matcher = FqdnMatcher::new(rules.iter().flat_map(selectors));
    let (dns, fqdn): (Vec<_>, Vec<_>) = case.cases.into_iter().map(Both::split).unzip();
    differences.extend(queries(&L7Rules::Dns(rules), &dns)?);
    differences.extend(compare(&fqdn, |name| {
        matcher.selectors(name).next().is_some()
    }));
    Ok(Outcome::of(differences))
}

impl Both {
    fn split(self) -> (Query, Query) {
        let query = |name, allowed| Query { name, allowed };
        (
            query(self.name.clone(), self.dns_allowed),
            query(self.name, self.to_fqdns_match),
        )
    }
}

/// The `l7-dns-*` files were recorded with Cilium 1.17, whose patterns knew one kind of star: a run of
/// them was like one, and only `*` alone stood for every name. These are the rules that say the same
/// today.
fn today(rule: &DnsRule) -> Vec<DnsRule> {
    let rule = rule.clone();
    let pattern = rule.match_pattern.as_deref().unwrap_or_default();
    let stars = pattern.strip_suffix('.').unwrap_or(pattern);
    if pattern != "*" && !stars.is_empty() && stars.bytes().all(|byte| byte == b'*') {
        return one_label().collect();
    }
    let mut single = pattern.to_owned();
    while single.contains("**") {
        single = single.replace("**", "*");
    }
    vec![DnsRule {
        match_pattern: rule.match_pattern.is_some().then(|| single.into()),
        ..rule
    }]
}

/// A label of any letters, or none.
fn one_label() -> impl Iterator<Item = DnsRule> {
    let first = ('a'..='z')
        .chain('0'..='9')
        .chain(['-', '_'])
        .map(|char| format!("{char}*"));
    first.chain([".".to_owned()]).map(|pattern| DnsRule {
        match_name: None,
        match_pattern: Some(pattern.into()),
    })
}
