//! HTTP rules, compiled.

use super::conditions::{Correction, HeaderTest, HttpConditions, Secrets, has};
use super::error::L7Error;
use super::expression::Expression;
use super::judgement::{HeaderCorrection, Judgement};
use super::request::HttpRequest;
use super::rules::{HttpRule, Mismatch};
use crate::options::Semantics;

/// A list of HTTP rules, compiled. A request passes if one of them matches.
///
/// ```
/// use porin_policy::{HttpMatcher, HttpRequest, HttpRule, NoSecrets, Semantics};
/// let rule = HttpRule { path: Some("/orders/[0-9]+".into()), ..HttpRule::default() };
/// let matcher = HttpMatcher::new(&[rule], Semantics::Strict, &NoSecrets)?;
/// assert_eq!(matcher.judge(&HttpRequest::new("GET", "/orders/7")).rule(), Some(0));
/// assert_eq!(matcher.judge(&HttpRequest::new("GET", "/orders/7?all=1")).rule(), None);
/// # Ok::<(), porin_policy::L7Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct HttpMatcher {
    rules: Box<[Compiled]>,
    semantics: Semantics,
    /// Whether every rule has to be asked, because one of them corrects requests.
    corrects: bool,
}

#[derive(Debug, Clone)]
struct Compiled {
    method: Option<Expression>,
    path: Option<Expression>,
    host: Option<Expression>,
    headers: Box<[(Box<str>, HeaderTest)]>,
    corrections: Box<[Correction]>,
}

impl HttpMatcher {
    /// Compiles a list. The values of secrets are read once, now.
    ///
    /// A host that is no regular expression is an error under [`Semantics::Strict`]; under
    /// [`Semantics::Cilium`], which does not look at it when a policy is loaded, nothing has such a
    /// host.
    ///
    /// # Errors
    /// A method, path or host is no regular expression, or too large a one.
    pub fn new(
        rules: &[HttpRule],
        semantics: Semantics,
        secrets: &dyn Secrets,
    ) -> Result<Self, L7Error> {
        let compiled = rules.iter().enumerate().map(|(index, rule)| {
            let conditions = HttpConditions::new(rule, semantics, secrets);
            Compiled::new(conditions, semantics)
                .map_err(|(field, reason)| L7Error::expression(index, field, reason))
        });
        let rules = compiled.collect::<Result<Box<[_]>, _>>()?;
        Ok(Self {
            corrects: rules.iter().any(|rule| !rule.corrections.is_empty()),
            rules,
            semantics,
        })
    }

    /// Judges one request. Every rule sees it as it came; corrections of one do not help another.
    pub fn judge(&self, request: &HttpRequest<'_>) -> Judgement<'_> {
        let rules = self.rules.iter().enumerate();
        let mut matching = rules.filter(|(_, rule)| rule.matches(request, self.semantics));
        if !self.corrects {
            return Judgement::of(matching.next().map(|(index, _)| index));
        }
        let mut first = None;
        let mut corrections = Vec::new();
        for (index, rule) in matching {
            first.get_or_insert(index);
            corrections.extend(
                rule.due(request, self.semantics)
                    .map(|due| HeaderCorrection {
                        rule: index,
                        name: &due.name,
                        value: &due.value,
                        mismatch: due.mismatch,
                    }),
            );
        }
        Judgement::of(first).with(corrections)
    }
}

impl Compiled {
    fn new(
        conditions: HttpConditions,
        semantics: Semantics,
    ) -> Result<Self, (&'static str, String)> {
        let compile = |field, text: &Option<Box<str>>| {
            let expression = text.as_deref().map(Expression::compile).transpose();
            expression.map_err(|reason| (field, reason))
        };
        let host = compile("host", &conditions.host);
        let host = match semantics {
            Semantics::Strict => host?,
            Semantics::Cilium => host.unwrap_or(Some(Expression::Nothing)),
        };
        Ok(Self {
            method: compile("method", &conditions.method)?,
            path: compile("path", &conditions.path)?,
            host,
            headers: conditions.headers.into(),
            corrections: conditions.corrections.into(),
        })
    }

    fn matches(&self, request: &HttpRequest<'_>, semantics: Semantics) -> bool {
        let fits = |expression: &Option<Expression>, value: &str| {
            expression
                .as_ref()
                .is_none_or(|expression| expression.matches(value.as_bytes()))
        };
        fits(&self.method, request.method)
            && fits(&self.path, request.path)
            && fits(&self.host, request.host)
            && self.headers.iter().all(|(name, test)| match test {
                HeaderTest::Present => request.values(name).next().is_some(),
                HeaderTest::Equals(value) => has(request, name, value, semantics),
                HeaderTest::Never => false,
            })
    }

    /// The corrections that a request needs. (There is nothing to delete where nothing is.)
    fn due(
        &self,
        request: &HttpRequest<'_>,
        semantics: Semantics,
    ) -> impl Iterator<Item = &Correction> {
        self.corrections.iter().filter(move |correction| {
            let name = &*correction.name;
            let there = || request.values(name).next().is_some();
            !has(request, name, &correction.value, semantics)
                && (correction.mismatch != Mismatch::Delete || there())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::l7::{HeaderMatch, HeaderRule, NoSecrets, SecretRef};

    fn header(
        name: &str,
        value: Option<&str>,
        secret: Option<&str>,
        mismatch: Mismatch,
    ) -> HttpRule {
        HttpRule {
            header_matches: vec![HeaderMatch {
                name: name.into(),
                value: value.map(Into::into),
                secret: secret.map(|name| SecretRef {
                    namespace: None,
                    name: name.into(),
                }),
                mismatch,
            }],
            ..HttpRule::default()
        }
    }

    fn lines(texts: &[&str]) -> HttpRule {
        HttpRule {
            headers: texts
                .iter()
                .map(|text| HeaderRule::from_text(text))
                .collect(),
            ..HttpRule::default()
        }
    }

    fn secrets(secret: &SecretRef) -> Option<Vec<u8>> {
        match &*secret.name {
            "good" => Some(b"s3cr3t".to_vec()),
            "empty" => Some(Vec::new()),
            _ => None,
        }
    }

    fn passes(rule: &HttpRule, semantics: Semantics, headers: &[(&str, &[u8])]) -> bool {
        let request = HttpRequest::new("GET", "/")
            .host("a.example")
            .headers(headers);
        let matcher = HttpMatcher::new(std::slice::from_ref(rule), semantics, &secrets).unwrap();
        matcher.judge(&request).is_allowed()
    }

    #[test]
    fn header_lines_ask_for_presence_or_a_literal_value() {
        let both = [Semantics::Cilium, Semantics::Strict];
        for (text, headers, fits) in [
            ("X-Key", &[("x-key", &b""[..])][..], true),
            ("X-Key", &[("X-Keys", b"1")], false),
            ("X-Key: true", &[("x-KEY", b"true")], true),
            ("X-Key true", &[("X-Key", b"true")], true),
            ("X-Key: true", &[("X-Key", b"TRUE")], false),
            ("X-Key: t.*", &[("X-Key", b"true")], false),
            ("X-Key: ", &[("X-Key", b"")], true),
            ("X-Key: ", &[("X-Key", b"x")], false),
            ("X-Key:true", &[("X-Key", b"true")], false),
            ("X-Key:", &[("X-Key", b"true")], false),
            ("Host: a.example", &[], true),
            (":method GET", &[], true),
        ] {
            for semantics in both {
                assert_eq!(passes(&lines(&[text]), semantics, headers), fits, "{text}");
            }
        }
    }

    #[test]
    fn the_readings_differ_in_a_pattern_and_in_repeated_headers() {
        let any = lines(&["Authorization: .*"]);
        let given: &[(&str, &[u8])] = &[("Authorization", b"Bearer x")];
        assert!(passes(&any, Semantics::Strict, given));
        assert!(!passes(&any, Semantics::Strict, &[]));
        assert!(!passes(&any, Semantics::Cilium, given));

        let key = lines(&["X-Key: true"]);
        let twice: &[(&str, &[u8])] = &[("X-Key", b"false"), ("x-key", b"true")];
        assert!(passes(&key, Semantics::Cilium, twice));
        assert!(!passes(&key, Semantics::Strict, twice));
        assert!(passes(&key, Semantics::Strict, &twice[1..]));
    }

    #[test]
    fn a_secret_that_cannot_be_read_never_matches() {
        let right: &[(&str, &[u8])] = &[("X-Key", b"s3cr3t")];
        let beside: &[(&str, &[u8])] = &[("X-Key", b"beside")];
        for mismatch in [Mismatch::Fail, Mismatch::Log, Mismatch::Replace] {
            let rule = header("X-Key", None, Some("missing"), mismatch);
            for headers in [right, beside, &[]] {
                assert!(!passes(&rule, Semantics::Cilium, headers));
            }
        }
        let good = header("X-Key", Some("beside"), Some("good"), Mismatch::Fail);
        assert!(passes(&good, Semantics::Strict, right));
        assert!(!passes(&good, Semantics::Strict, beside));
        for secret in ["missing", "empty"] {
            let rule = header("X-Key", Some("beside"), Some(secret), Mismatch::Fail);
            assert!(!passes(&rule, Semantics::Strict, right));
            assert!(passes(&rule, Semantics::Strict, beside));
        }
        let empty = header("X-Key", None, Some("empty"), Mismatch::Fail);
        assert!(passes(&empty, Semantics::Strict, right));
        assert!(!passes(&empty, Semantics::Strict, &[]));
    }

    #[test]
    fn corrections_of_every_matching_rule_are_told() {
        let rules = [
            HttpRule {
                method: Some("GET".into()),
                ..header("X-A", Some("1"), None, Mismatch::Add)
            },
            header("X-B", None, None, Mismatch::Delete),
            HttpRule {
                method: Some("PUT".into()),
                ..header("X-C", Some("1"), None, Mismatch::Replace)
            },
            header("X-D", None, Some("good"), Mismatch::Log),
        ];
        let matcher = HttpMatcher::new(&rules, Semantics::Strict, &secrets).unwrap();
        let told = |headers: &[(&str, &[u8])]| -> Vec<String> {
            let judgement = matcher.judge(&HttpRequest::new("GET", "/").headers(headers));
            assert_eq!(judgement.rule(), Some(0));
            let corrections = judgement.corrections().iter();
            corrections
                .map(|due| format!("{} {:?} {}={}", due.rule, due.mismatch, due.name, due.value))
                .collect()
        };
        assert_eq!(told(&[]), ["0 Add X-A=1", "3 Log X-D=[redacted]"]);
        assert_eq!(
            told(&[("x-a", b"1"), ("x-b", b"2"), ("x-d", b"s3cr3t")]),
            ["1 Delete X-B="]
        );
        let put = HttpRequest::new("PUT", "/");
        assert_eq!(matcher.judge(&put).rule(), Some(1));
    }

    #[test]
    fn secrets_are_not_printed() {
        let rule = header("X-Key", None, Some("good"), Mismatch::Log);
        let printed = format!(
            "{:?}",
            HttpConditions::new(&rule, Semantics::Strict, &secrets)
        );
        assert!(
            printed.contains("redacted") && !printed.contains("s3cr3t"),
            "{printed}"
        );
        let matcher = HttpMatcher::new(&[rule], Semantics::Strict, &secrets).unwrap();
        assert!(!format!("{matcher:?}").contains("s3cr3t"));
    }

    #[test]
    fn a_host_that_is_no_expression_is_refused_or_fits_nothing() {
        let rules = [HttpRule {
            host: Some("a.example(".into()),
            ..HttpRule::default()
        }];
        let error = HttpMatcher::new(&rules, Semantics::Strict, &NoSecrets).unwrap_err();
        assert_eq!((error.rule, error.field), (0, "host"));
        let matcher = HttpMatcher::new(&rules, Semantics::Cilium, &NoSecrets).unwrap();
        for host in ["a.example(", "a.example", ""] {
            assert!(
                !matcher
                    .judge(&HttpRequest::new("GET", "/").host(host))
                    .is_allowed()
            );
        }
    }
}
