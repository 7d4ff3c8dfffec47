use porin_policy::{
    DnsQuery, HttpRequest, KafkaMatcher, KafkaRequest, KafkaRule, L7Error, L7Matcher, L7Rules,
    NoSecrets, Request, Semantics, ServerNames, TlsHello,
};

use crate::script::Script;
use crate::{Broken, http, names};

/// Rules about content judge requests as their own documentation says. A text spells rules and
/// requests, one on each line: its first letter says what a line holds, the rest is that.
///
/// | letter | what |
/// |---|---|
/// | `r` | another HTTP rule |
/// | `m`, `p`, `h` | method, path, host of the last HTTP rule |
/// | `t` | a header line that it asks for |
/// | `f`, `l`, `a`, `d`, `c` | a header match (name, value): fails, logs, adds, deletes, changes |
/// | `k` | a Kafka rule: `p`, `c` or the number of a kind; version; client; topic |
/// | `n`, `w` | a DNS rule with a name, with a pattern |
/// | `s` | a server name |
/// | `G` | an HTTP request: method, path, host |
/// | `H` | a header of every HTTP request: name, value |
/// | `K` | a Kafka request: kind, version, client, topics |
/// | `Q` | a name that is asked for |
///
/// Blanks stand between parts, and `-` for one that is absent.
///
/// # Errors
/// What is judged otherwise.
pub fn content_is_judged(text: &str) -> Result<(), Broken> {
    let script = Script::read(text);
    names::check(&script)?;
    http::check(&script)?;
    kafka(&script)?;
    matchers(&script)
}

/// The order of rules and of topics does not count, nor how often one stands there, and a rule more
/// never refuses.
fn kafka(script: &Script<'_>) -> Result<(), Broken> {
    let passes = |rules: &[KafkaRule], request: &KafkaRequest<'_>| {
        KafkaMatcher::new(rules).judge(request).is_some()
    };
    let backward: Vec<_> = script.kafka.iter().rev().cloned().collect();
    for parts in &script.kafka_requests {
        let request = KafkaRequest::new(parts.key, parts.version).client_id(parts.client);
        let twice: Vec<_> = parts
            .topics
            .iter()
            .rev()
            .chain(&parts.topics)
            .copied()
            .collect();
        let asked = request.topics(&parts.topics);
        let found = passes(&script.kafka, &asked);
        let turned = passes(&backward, &request.topics(&twice));
        let fewer = script
            .kafka
            .split_last()
            .is_some_and(|(_, fewer)| passes(fewer, &asked));
        let alone = script
            .kafka
            .iter()
            .any(|rule| passes(std::slice::from_ref(rule), &asked));
        if found != turned || !found && (fewer || alone) {
            return Err(Broken::of(format!(
                "{:?} and {asked:?}: {found}, turned round {turned}, without the last {fewer}, one alone {alone}",
                script.kafka
            )));
        }
    }
    Ok(())
}

/// A matcher of a list asks the list, lets nothing of another protocol pass, and everything where an
/// open rule stands beside it.
fn matchers(script: &Script<'_>) -> Result<(), Broken> {
    let lists = [
        L7Rules::Http(script.http.clone()),
        L7Rules::Kafka(script.kafka.clone()),
        L7Rules::Dns(script.dns.clone()),
    ];
    for (of, rules) in lists.iter().enumerate() {
        let matcher: Result<L7Matcher, L7Error> =
            L7Matcher::new(rules, Semantics::Strict, &NoSecrets);
        let Ok(matcher) = matcher else { continue };
        let matcher = matcher.server_names(ServerNames::new(&script.servers));
        let open = matcher.clone().allow_all();
        let empty = [
            script.http.is_empty(),
            script.kafka.is_empty(),
            script.dns.is_empty(),
        ]
        .get(of)
            == Some(&true);
        for (kind, request) in requests(script) {
            let (judgement, beside) = (matcher.judge(&request), open.judge(&request));
            let hello = kind == TLS;
            let foreign = kind != of && !hello && !empty && judgement.is_allowed();
            let shut = empty && !hello && !judgement.is_allowed();
            let kept = match hello {
                true => beside == judgement,
                false => beside.is_allowed() && beside.rule() == judgement.rule(),
            };
            if foreign || shut || !kept || judgement.rule().is_some() && !judgement.is_allowed() {
                return Err(Broken::of(format!(
                    "{rules:?} and {request:?}: {judgement:?}, beside an open rule {beside:?}"
                )));
            }
        }
    }
    Ok(())
}

/// Where the hello stands among the kinds of requests.
const TLS: usize = 3;

fn requests<'s>(script: &'s Script<'_>) -> impl Iterator<Item = (usize, Request<'s>)> {
    let http = script.http_requests.iter().map(|[method, path, host]| {
        let request = HttpRequest::new(method, path).host(host);
        Request::Http(request.headers(&script.headers))
    });
    let kafka = script.kafka_requests.iter().map(|parts| {
        let request = KafkaRequest::new(parts.key, parts.version).client_id(parts.client);
        Request::Kafka(request.topics(&parts.topics))
    });
    let dns = script
        .names
        .iter()
        .map(|name| Request::Dns(DnsQuery::new(name)));
    let hello = std::iter::once(None).chain(script.names.iter().map(|name| Some(*name)));
    let hello = hello.map(|name| Request::Tls(TlsHello::new(name)));
    let of = |kind| move |request| (kind, request);
    http.map(of(0))
        .chain(kafka.map(of(1)))
        .chain(dns.map(of(2)))
        .chain(hello.map(of(TLS)))
}
