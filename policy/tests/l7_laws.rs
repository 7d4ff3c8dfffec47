//! Laws of the L7 matchers.

#![allow(clippy::unwrap_used, reason = "a test")]

use porin_policy::{
    DnsQuery, DnsRule, HeaderRule, HttpRequest, HttpRule, KafkaRequest, KafkaRole, KafkaRule,
    L7Matcher, L7Rules, NoSecrets, Request, Semantics,
};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;

fn text(options: &'static [&'static str]) -> impl Strategy<Value = Option<Box<str>>> {
    of(select(options).prop_map(Into::into))
}

fn http() -> impl Strategy<Value = HttpRule> {
    let header = select(&["X-A", "X-A: 1", "X-B: .*", "X-B:1", "Host: a"][..]);
    (
        text(&["GET", "G.T", "GET|PUT"]),
        text(&["/a", "/a/.*", "/(a|b)", "/\\w+"]),
        text(&["a", "a|b.*"]),
        vec(header.prop_map(HeaderRule::from_text), 0..3),
    )
        .prop_map(|(method, path, host, headers)| HttpRule {
            method,
            path,
            host,
            headers,
            ..HttpRule::default()
        })
}

fn kafka() -> impl Strategy<Value = KafkaRule> {
    (
        of(select(&[KafkaRole::Produce, KafkaRole::Consume][..])),
        of(0_i16..2),
        text(&["cli"]),
        text(&["a", "b"]),
    )
        .prop_map(|(role, api_version, client_id, topic)| KafkaRule {
            role,
            api_version,
            client_id,
            topic,
            ..KafkaRule::default()
        })
}

fn dns() -> impl Strategy<Value = DnsRule> {
    (text(&["a.b", "A.c"]), text(&["*.b", "**.c", "a*", "*"])).prop_map(
        |(match_name, match_pattern)| DnsRule {
            match_name,
            match_pattern,
        },
    )
}

fn judged(rules: &L7Rules, semantics: Semantics, request: &Request<'_>) -> Option<usize> {
    let matcher = L7Matcher::new(rules, semantics, &NoSecrets).unwrap();
    let judgement = matcher.judge(request);
    assert_eq!(judgement.is_allowed(), judgement.rule().is_some());
    judgement.rule()
}

/// A rule behind the others takes nothing from anybody, and a rule alone passes what it is named for.
fn check<R: Clone>(
    rules: &[R],
    list: fn(Vec<R>) -> L7Rules,
    request: &Request<'_>,
) -> Result<(), TestCaseError> {
    let Some((last, before)) = rules.split_last() else {
        return Ok(());
    };
    for semantics in [Semantics::Cilium, Semantics::Strict] {
        let all = judged(&list(rules.to_vec()), semantics, request);
        let own = judged(&list(vec![last.clone()]), semantics, request).is_some();
        let fewer = match before.is_empty() {
            true => None,
            false => judged(&list(before.to_vec()), semantics, request),
        };
        prop_assert!(all.is_some() || !own && fewer.is_none());
        prop_assert!(all.is_none_or(|rule| rule < rules.len()));
    }
    Ok(())
}

const VALUES: &[&[u8]] = &[b"1", b"2"];

proptest! {
    #[test]
    fn an_http_rule_more_never_refuses(
        rules in vec(http(), 1..4),
        method in select(&["GET", "PUT"][..]),
        path in select(&["/a", "/a/b", "/b", "/"][..]),
        host in select(&["a", "bc", ""][..]),
        headers in vec((select(&["x-a", "X-B"][..]), select(VALUES)), 0..3),
    ) {
        let request = HttpRequest::new(method, path).host(host).headers(&headers);
        check(&rules, L7Rules::Http, &Request::Http(request))?;
    }

    #[test]
    fn a_kafka_rule_more_never_refuses(
        rules in vec(kafka(), 1..4),
        key in 0_i16..20,
        version in 0_i16..2,
        client in select(&["cli", ""][..]),
        topics in vec(select(&["a", "b", "c"][..]), 0..3),
    ) {
        let request = KafkaRequest::new(key, version).client_id(client).topics(&topics);
        check(&rules, L7Rules::Kafka, &Request::Kafka(request))?;
    }

    #[test]
    fn a_dns_rule_more_never_refuses(
        rules in vec(dns(), 1..4),
        name in select(&["a.b", "x.b.", "x.y.C", "ab", "", "d.d"][..]),
    ) {
        check(&rules, L7Rules::Dns, &Request::Dns(DnsQuery::new(name)))?;
    }

    /// Whatever stands in a rule: it compiles or is refused, and is then asked without a panic.
    #[test]
    fn any_expression_compiles_or_is_refused(
        path in "[a-c\\\\\\[\\](){}|*+?^$.:,0-9-]{0,16}",
        value in "[a-c0-9.]{0,6}",
    ) {
        let rule = HttpRule { path: Some(path.as_str().into()), ..HttpRule::default() };
        if let Ok(matcher) = L7Matcher::new(&L7Rules::Http(vec![rule]), Semantics::Strict, &NoSecrets) {
            let request = Request::Http(HttpRequest::new("GET", &value));
            prop_assert_eq!(matcher.judge(&request), matcher.judge(&request));
        } else {
            let plain = path.bytes().all(|byte| byte.is_ascii_alphanumeric());
            prop_assert!(!plain);
        }
    }
}
