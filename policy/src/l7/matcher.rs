//! The content of a flow, compiled: what its proxy asks.

use super::conditions::Secrets;
use super::dns::{DnsMatcher, ServerNames};
use super::error::L7Error;
use super::http::HttpMatcher;
use super::judgement::Judgement;
use super::kafka::KafkaMatcher;
use super::request::Request;
use super::rules::L7Rules;
use crate::l7_policy::L7Policy;
use crate::options::Semantics;

/// Everything that the requests of a flow are judged by. Immutable, cheap to ask, shared by threads.
///
/// ```
/// use porin_policy::{
///     DnsQuery, HttpRequest, HttpRule, L7Matcher, L7Rules, NoSecrets, Request, Semantics,
/// };
/// let get = HttpRule { method: Some("GET".into()), ..HttpRule::default() };
/// let matcher = L7Matcher::new(&L7Rules::Http(vec![get]), Semantics::Strict, &NoSecrets)?;
/// assert_eq!(matcher.judge(&Request::Http(HttpRequest::new("GET", "/"))).rule(), Some(0));
/// assert!(!matcher.judge(&Request::Http(HttpRequest::new("PUT", "/"))).is_allowed());
/// // Something else than HTTP does not pass HTTP rules.
/// assert!(!matcher.judge(&Request::Dns(DnsQuery::new("a.example"))).is_allowed());
/// # Ok::<(), porin_policy::L7Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct L7Matcher {
    rules: Rules,
    allow_all: bool,
    server_names: ServerNames,
}

#[derive(Debug, Clone)]
enum Rules {
    /// Every request passes.
    Open,
    Http(HttpMatcher),
    Kafka(KafkaMatcher),
    Dns(DnsMatcher),
    /// Rules in the language of a parser that is not known here.
    Unknown,
}

impl L7Matcher {
    /// Compiles rules. An empty list asks for nothing. The rules of a parser that the policy names
    /// (`l7`) are that parser's business: here nothing passes them.
    ///
    /// # Errors
    /// A regular expression that is none, or too large.
    pub fn new(
        rules: &L7Rules,
        semantics: Semantics,
        secrets: &dyn Secrets,
    ) -> Result<Self, L7Error> {
        let rules = match rules {
            L7Rules::Http(list) if !list.is_empty() => {
                Rules::Http(HttpMatcher::new(list, semantics, secrets)?)
            }
            L7Rules::Kafka(list) if !list.is_empty() => Rules::Kafka(KafkaMatcher::new(list)),
            L7Rules::Dns(list) if !list.is_empty() => Rules::Dns(DnsMatcher::new(list)),
            L7Rules::Other { rules, .. } if !rules.is_empty() => Rules::Unknown,
            _ => Rules::Open,
        };
        Ok(Self {
            rules,
            allow_all: false,
            server_names: ServerNames::default(),
        })
    }

    /// The same, but every request passes, as beside a rule without conditions. The rules still say
    /// what is to be done with headers.
    #[must_use]
    pub fn allow_all(self) -> Self {
        Self {
            allow_all: true,
            ..self
        }
    }

    /// The same for connections with one of these server names.
    #[must_use]
    pub fn server_names(self, server_names: ServerNames) -> Self {
        Self {
            server_names,
            ..self
        }
    }

    /// Judges one request. A TLS hello is judged by the server names alone, what follows by the rules
    /// alone: a proxy that finds server names asks for the hello first.
    pub fn judge(&self, request: &Request<'_>) -> Judgement<'_> {
        let judgement = match (&self.rules, request) {
            (_, Request::Tls(_)) if self.server_names.is_empty() => return Judgement::any(true),
            (_, Request::Tls(hello)) => {
                return Judgement::of(self.server_names.judge(hello.server_name));
            }
            (Rules::Open, _) => Judgement::any(true),
            (Rules::Http(rules), Request::Http(request)) => rules.judge(request),
            (Rules::Kafka(rules), Request::Kafka(request)) => Judgement::of(rules.judge(request)),
            (Rules::Dns(rules), Request::Dns(query)) => Judgement::of(rules.judge(query)),
            _ => Judgement::any(false),
        };
        judgement.or(self.allow_all)
    }
}

impl L7Policy {
    /// Compiles what a proxy is told. The parser of a listener, and one that the policy names, judge
    /// by themselves.
    ///
    /// # Errors
    /// As [`L7Matcher::new`].
    pub fn matcher(
        &self,
        semantics: Semantics,
        secrets: &dyn Secrets,
    ) -> Result<L7Matcher, L7Error> {
        let matcher = L7Matcher::new(&self.rules, semantics, secrets)?
            .server_names(ServerNames::new(&self.server_names));
        Ok(match self.unrestricted {
            true => matcher.allow_all(),
            false => matcher,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::Parser;
    use crate::l7::{
        DnsQuery, DnsRule, HeaderMatch, HttpRequest, HttpRule, KafkaRequest, KafkaRule, Mismatch,
        NoSecrets, TlsHello,
    };

    fn matcher(rules: &L7Rules) -> L7Matcher {
        L7Matcher::new(rules, Semantics::Strict, &NoSecrets).unwrap()
    }

    fn requests() -> [Request<'static>; 3] {
        [
            Request::Http(HttpRequest::new("GET", "/")),
            Request::Kafka(KafkaRequest::new(18, 0)),
            Request::Dns(DnsQuery::new("a.example")),
        ]
    }

    #[test]
    fn each_kind_of_rules_lets_its_own_requests_pass_only() {
        let kinds = [
            L7Rules::Http(vec![HttpRule::default()]),
            L7Rules::Kafka(vec![KafkaRule::default()]),
            L7Rules::Dns(vec![DnsRule {
                match_pattern: Some("*".into()),
                ..DnsRule::default()
            }]),
        ];
        for (kind, rules) in kinds.iter().enumerate() {
            for (of, request) in requests().iter().enumerate() {
                let matcher = matcher(rules);
                assert_eq!(matcher.judge(request).is_allowed(), kind == of);
                assert!(matcher.allow_all().judge(request).is_allowed());
            }
        }
    }

    #[test]
    fn lists_without_rules_ask_for_nothing_and_unknown_rules_pass_nothing() {
        let other = |rules| L7Rules::Other {
            parser: "r2d2".into(),
            rules,
        };
        for open in [L7Rules::None, L7Rules::Http(vec![]), other(vec![])] {
            for request in requests() {
                let matcher = matcher(&open);
                let judgement = matcher.judge(&request);
                assert_eq!((judgement.is_allowed(), judgement.rule()), (true, None));
            }
        }
        let unknown = matcher(&other(vec![BTreeMap::new()]));
        assert!(
            requests()
                .iter()
                .all(|request| !unknown.judge(request).is_allowed())
        );
    }

    #[test]
    fn server_names_judge_the_hello_and_nothing_else() {
        let hello = |name| Request::Tls(TlsHello::new(name));
        let matcher = matcher(&L7Rules::None);
        assert!(matcher.judge(&hello(None)).is_allowed());
        let matcher = matcher
            .server_names(ServerNames::new(["a.example"]))
            .allow_all();
        assert_eq!(matcher.judge(&hello(Some("A.example"))).rule(), Some(0));
        assert!(!matcher.judge(&hello(Some("b.example"))).is_allowed());
        assert!(!matcher.judge(&hello(None)).is_allowed());
        assert!(matcher.judge(&requests()[0]).is_allowed());
    }

    #[test]
    fn corrections_are_told_beside_an_open_rule_too() {
        let rule = HttpRule {
            header_matches: vec![HeaderMatch {
                name: "X-Via".into(),
                value: Some("porin".into()),
                secret: None,
                mismatch: Mismatch::Replace,
            }],
            ..HttpRule::default()
        };
        let matcher = matcher(&L7Rules::Http(vec![rule])).allow_all();
        assert_eq!(matcher.judge(&requests()[0]).corrections().len(), 1);
    }

    #[test]
    fn what_a_proxy_is_told_becomes_a_matcher() {
        let told = L7Policy {
            parser: Parser::Tls,
            parser_name: None,
            unrestricted: true,
            rules: L7Rules::None,
            server_names: vec!["a.example".into()],
            listener: None,
        };
        let matcher = told.matcher(Semantics::Strict, &NoSecrets).unwrap();
        assert!(matcher.judge(&requests()[0]).is_allowed());
        assert!(
            !matcher
                .judge(&Request::Tls(TlsHello::new(None)))
                .is_allowed()
        );
    }

    #[test]
    fn matchers_are_shared_by_threads() {
        fn shared<T: Send + Sync + 'static>() {}
        shared::<L7Matcher>();
    }
}
