use porin_policy::{
    HttpMatcher, HttpRequest, HttpRule, L7Rules, Mismatch, NoSecrets, Options, Semantics,
    parse_documents,
};
use serde_json::{Map, Value, json};

use crate::Broken;
use crate::script::Script;

/// A request passes if one rule alone lets it pass, the first of them is named, a rule is the sum of
/// its conditions, and the order of headers does not count.
pub(crate) fn check(script: &Script<'_>) -> Result<(), Broken> {
    for semantics in [Semantics::Cilium, Semantics::Strict] {
        accepted_compiles(&script.http, semantics)?;
        let Some(list) = List::compile(&script.http, semantics)? else {
            continue;
        };
        for [method, path, host] in &script.http_requests {
            let request = HttpRequest::new(method, path).host(host);
            list.judge(&request.headers(&script.headers))?;
        }
    }
    Ok(())
}

/// A list of rules, together and taken apart.
#[derive(Debug)]
struct List<'r> {
    rules: &'r [HttpRule],
    semantics: Semantics,
    together: HttpMatcher,
    alone: Vec<HttpMatcher>,
    /// Of each rule one for each of its conditions.
    conditions: Vec<Vec<HttpMatcher>>,
}

impl<'r> List<'r> {
    /// Rules compile together if each compiles alone, and if each of its conditions does; `None` if
    /// they do not.
    fn compile(rules: &'r [HttpRule], semantics: Semantics) -> Result<Option<Self>, Broken> {
        let one = |rule: &HttpRule| compile(std::slice::from_ref(rule), semantics);
        let together = compile(rules, semantics);
        let alone: Option<Vec<_>> = rules.iter().map(one).collect();
        let apart = |rule: &HttpRule| parts(rule).iter().map(one).collect();
        let conditions: Option<Vec<_>> = rules.iter().map(apart).collect();
        match (together, alone, conditions) {
            (Some(together), Some(alone), Some(conditions)) => Ok(Some(Self {
                rules,
                semantics,
                together,
                alone,
                conditions,
            })),
            (None, None, None) => Ok(None),
            _ => Err(Broken::of(format!(
                "{semantics:?} {rules:?} compile together, alone or by conditions only"
            ))),
        }
    }

    fn judge(&self, request: &HttpRequest<'_>) -> Result<(), Broken> {
        let passes = |matcher: &HttpMatcher| matcher.judge(request).is_allowed();
        let judgement = self.together.judge(request);
        let first = self.alone.iter().position(passes);
        let sum = self
            .conditions
            .iter()
            .position(|parts| parts.iter().all(passes));
        let backward: Vec<_> = request.headers.iter().rev().copied().collect();
        let turned = self.together.judge(&request.headers(&backward)).rule();
        let alike = [judgement.rule(), sum, turned]
            .into_iter()
            .all(|rule| rule == first);
        match alike && judgement.is_allowed() == first.is_some() {
            true => Ok(()),
            false => Err(Broken::of(format!(
                "{:?} {:?} and {request:?}: {judgement:?}, one by one {first:?}, by conditions {sum:?}, headers turned round {turned:?}",
                self.semantics, self.rules
            ))),
        }
    }
}

fn compile(rules: &[HttpRule], semantics: Semantics) -> Option<HttpMatcher> {
    HttpMatcher::new(rules, semantics, &NoSecrets).ok()
}

/// A rule for each condition.
fn parts(rule: &HttpRule) -> Vec<HttpRule> {
    let none = HttpRule::default;
    let mut parts = vec![
        HttpRule {
            method: rule.method.clone(),
            ..none()
        },
        HttpRule {
            path: rule.path.clone(),
            ..none()
        },
        HttpRule {
            host: rule.host.clone(),
            ..none()
        },
    ];
    parts.extend(rule.headers.iter().map(|line| HttpRule {
        headers: vec![line.clone()],
        ..none()
    }));
    parts.extend(rule.header_matches.iter().map(|header| HttpRule {
        header_matches: vec![header.clone()],
        ..none()
    }));
    parts
}

/// What a policy is loaded with can be enforced.
fn accepted_compiles(rules: &[HttpRule], semantics: Semantics) -> Result<(), Broken> {
    let rules: Vec<Value> = rules.iter().map(written).collect();
    let text = json!({
        "apiVersion": "cilium.io/v2",
        "kind": "CiliumNetworkPolicy",
        "metadata": {"name": "http"},
        "spec": {
            "endpointSelector": {},
            "ingress": [{"toPorts": [{"ports": [{"port": "80", "protocol": "TCP"}], "rules": {"http": rules}}]}],
        },
    });
    let parsed = parse_documents("http.json", &text.to_string());
    let options = Options::new().semantics(semantics);
    let accepted = parsed
        .documents
        .iter()
        .filter(|document| document.accept(&options).is_ok());
    let elements = accepted
        .flat_map(|document| &document.specs)
        .flat_map(|spec| &spec.rules)
        .filter_map(|rule| rule.ports.as_ref())
        .flatten();
    for element in elements {
        if let L7Rules::Http(rules) = &element.l7
            && let Err(error) = HttpMatcher::new(rules, semantics, &NoSecrets)
        {
            return Err(Broken::of(format!(
                "{semantics:?} {text} is accepted, and does not compile: {error}"
            )));
        }
    }
    Ok(())
}

/// A rule as it stands in a document.
fn written(rule: &HttpRule) -> Value {
    let texts = [
        ("method", &rule.method),
        ("path", &rule.path),
        ("host", &rule.host),
    ];
    let texts = texts
        .into_iter()
        .filter_map(|(field, text)| Some((field.to_owned(), json!(text.as_deref()?))));
    let mut fields: Map<String, Value> = texts.collect();
    let lines: Vec<String> = rule
        .headers
        .iter()
        .map(|line| match &line.value {
            Some(value) => format!("{}: {value}", line.name),
            None => line.name.to_string(),
        })
        .collect();
    let matches: Vec<Value> = rule
        .header_matches
        .iter()
        .map(|header| {
            let mut fields = Map::from_iter([
                ("name".to_owned(), json!(header.name)),
                (
                    "value".to_owned(),
                    json!(header.value.as_deref().unwrap_or_default()),
                ),
            ]);
            let mismatch = match header.mismatch {
                Mismatch::Fail => None,
                Mismatch::Log => Some("LOG"),
                Mismatch::Add => Some("ADD"),
                Mismatch::Delete => Some("DELETE"),
                Mismatch::Replace => Some("REPLACE"),
            };
            fields.extend(mismatch.map(|word| ("mismatch".to_owned(), json!(word))));
            fields.into()
        })
        .collect();
    fields.extend([
        ("headers".to_owned(), json!(lines)),
        ("headerMatches".to_owned(), json!(matches)),
    ]);
    fields.into()
}
