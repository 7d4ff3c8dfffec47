//! HTTP rules: what they mean, and what passes them.

use std::collections::BTreeMap;

use porin::policy::{
    Correction, HeaderMatch, HeaderRule, HeaderTest, HttpConditions, HttpMatcher, HttpRequest,
    HttpRule, L7Rules, Mismatch, NoSecrets, SecretRef, Semantics,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::read::{both_accept, rules};
use crate::vectors::Fault;
use crate::vectors::tally::Outcome;

/// A condition in the words of Envoy.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
struct Matcher {
    name: String,
    regex: Option<String>,
    exact: Option<String>,
    #[serde(default)]
    present: bool,
    /// With an empty `exact`, the reference's way to ask for what nothing has.
    #[serde(default)]
    invert: bool,
}

impl Matcher {
    fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            regex: None,
            exact: None,
            present: false,
            invert: false,
        }
    }

    fn expression(name: &str, regex: Option<&str>) -> Option<Self> {
        regex.map(|regex| Self {
            regex: Some(regex.to_owned()),
            ..Self::new(name)
        })
    }

    fn header(name: &str, test: &HeaderTest) -> Self {
        let exact = match test {
            HeaderTest::Present => None,
            HeaderTest::Equals(value) => Some(value.as_bytes()),
            HeaderTest::Never => Some(&b""[..]),
        };
        Self {
            exact: exact.map(|value| String::from_utf8_lossy(value).into_owned()),
            present: *test == HeaderTest::Present,
            invert: *test == HeaderTest::Never,
            ..Self::new(name)
        }
    }
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
struct Action {
    name: String,
    value: String,
    mismatch_action: String,
}

impl Action {
    fn new(correction: &Correction) -> Self {
        let word = match correction.mismatch {
            Mismatch::Fail => "FAIL",
            Mismatch::Log => "CONTINUE",
            Mismatch::Add => "ADD",
            Mismatch::Delete => "DELETE",
            Mismatch::Replace => "REPLACE",
        };
        Self {
            name: correction.name.to_string(),
            value: String::from_utf8_lossy(correction.value.as_bytes()).into_owned(),
            mismatch_action: format!("{word}_ON_MISMATCH"),
        }
    }
}

#[derive(Debug, Deserialize)]
struct Translated {
    rule: Value,
    sanitize_error: Option<String>,
    #[serde(default)]
    matchers: Vec<Matcher>,
    #[serde(default)]
    header_actions: Vec<Action>,
    secrets: BTreeMap<String, String>,
}

/// A line of `l7-http-translate`.
pub(super) fn translate(line: &str) -> Result<Outcome, Fault> {
    let mut case: Translated = serde_json::from_str(line)?;
    let ours = rules("http", &json!([case.rule]));
    let list = match both_accept(ours, case.sanitize_error.as_deref()) {
        None => return Ok(Outcome::Passed),
        Some(Err(difference)) => return Ok(Outcome::of(vec![difference])),
        Some(Ok(L7Rules::Http(list))) => list,
        Some(Ok(_)) => return Err(Fault::of("no HTTP rule")),
    };
    let secrets = |secret: &SecretRef| {
        let value = case.secrets.get(&*secret.name)?;
        Some(value.clone().into_bytes())
    };
    let conditions: Vec<_> = list
        .iter()
        .map(|rule| HttpConditions::new(rule, Semantics::Cilium, &secrets))
        .collect();
    let matchers = sorted(conditions.iter().flat_map(matchers).collect());
    let actions: Vec<_> = conditions
        .iter()
        .flat_map(|one| one.corrections.iter().map(Action::new))
        .collect();
    case.matchers.sort();
    let differs = matchers != case.matchers || actions != case.header_actions;
    let difference = differs.then(|| format!("{matchers:?} {actions:?} found"));
    Ok(Outcome::of(difference.into_iter().collect()))
}

fn sorted(mut matchers: Vec<Matcher>) -> Vec<Matcher> {
    matchers.sort();
    matchers
}

fn matchers(conditions: &HttpConditions) -> Vec<Matcher> {
    let expressions = [
        (":method", &conditions.method),
        (":path", &conditions.path),
        (":authority", &conditions.host),
    ];
    let expressions = expressions
        .into_iter()
        .filter_map(|(name, regex)| Matcher::expression(name, regex.as_deref()));
    let headers = conditions.headers.iter();
    expressions
        .chain(headers.map(|(name, test)| Matcher::header(name, test)))
        .collect()
}

#[derive(Debug, Deserialize)]
struct Case {
    rules: Vec<RuleText>,
    cases: Vec<RequestText>,
}

#[derive(Debug, Deserialize)]
struct RuleText {
    matchers: Vec<Matcher>,
}

#[derive(Debug, Deserialize)]
struct RequestText {
    request_line: String,
    outcome: String,
    headers: Vec<String>,
    extra_headers: Vec<String>,
    #[serde(default)]
    effective_method: String,
    #[serde(default)]
    effective_path: String,
    #[serde(default)]
    effective_authority: String,
}

/// A line of `l7-http-match`. Requests that never came to a rule are no matter here.
///
/// Where a rule asks for what nothing has, the reference lets requests pass that it should not: there
/// it is only asked that nothing passes that it refuses.
pub(super) fn judge(line: &str) -> Result<Outcome, Fault> {
    let case: Case = serde_json::from_str(line)?;
    let rules: Vec<_> = case.rules.iter().map(rule_of).collect();
    let impossible = rules.iter().any(|rule| !rule.header_matches.is_empty());
    let matcher = HttpMatcher::new(&rules, Semantics::Cilium, &NoSecrets).map_err(Fault::of)?;
    let mut differences = Vec::new();
    for request in &case.cases {
        let recorded = match request.outcome.as_str() {
            "allow" => true,
            "deny" => false,
            _ => continue,
        };
        let found = request.passes(&matcher);
        if found != recorded && !(impossible && recorded) {
            differences.push(format!(
                "{}: allowed {recorded} expected",
                request.request_line
            ));
        }
    }
    Ok(Outcome::of(differences))
}

fn rule_of(text: &RuleText) -> HttpRule {
    let mut rule = HttpRule::default();
    for matcher in &text.matchers {
        let regex = matcher.regex.as_deref().map(Into::into);
        match matcher.name.as_str() {
            ":method" => rule.method = regex,
            ":path" => rule.path = regex,
            ":authority" => rule.host = regex,
            name if matcher.invert => rule.header_matches.push(HeaderMatch {
                name: name.into(),
                value: None,
                secret: Some(SecretRef {
                    namespace: None,
                    name: "missing".into(),
                }),
                mismatch: Mismatch::Fail,
            }),
            name => rule.headers.push(HeaderRule {
                name: name.into(),
                value: matcher.exact.as_deref().map(Into::into),
            }),
        }
    }
    rule
}

impl RequestText {
    fn passes(&self, matcher: &HttpMatcher) -> bool {
        let lines = self.headers.iter().chain(&self.extra_headers);
        let headers: Vec<_> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name, value.trim().as_bytes()))
            .collect();
        let request = HttpRequest::new(&self.effective_method, &self.effective_path)
            .host(&self.effective_authority)
            .headers(&headers);
        matcher.judge(&request).is_allowed()
    }
}
