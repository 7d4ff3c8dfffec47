//! What a proxy is told about a flow.

use std::collections::BTreeSet;

use super::join::add;
use super::subject::Subject;
use super::terms::{Reader, Terms};
use super::verdict::Contribution;
use crate::l7::{HttpRule, KafkaRule, L7Rules, Mismatch};
use crate::port_rule::TlsRules;
use crate::rule::Action;
use crate::{L7Policy, Parser, Redirect};

/// What the proxy is told if the winner redirects the flow. `standing`: what covers the flow,
/// strongest first.
pub(super) fn told(
    winner: &Contribution<'_>,
    standing: &[&Contribution<'_>],
    subject: &Subject<'_>,
) -> Option<(L7Policy, Redirect)> {
    let terms = &winner.settled.terms;
    let reader = terms.reader.as_ref()?;
    let heard = heard(winner, reader, standing, subject);
    let unlimited = heard.iter().any(|terms| terms.names.is_empty());
    let names: BTreeSet<_> = heard
        .iter()
        .flat_map(|terms| &terms.names)
        .cloned()
        .collect();
    let opens = |terms: &&Terms| opens(terms, reader, subject.strict());
    let rules = heard
        .iter()
        .filter(|terms| terms.reader.as_ref() == Some(reader))
        .fold(L7Rules::None, |rules, terms| add(rules, &terms.content));
    let unrestricted = matches!(reader.parser, Parser::Tls | Parser::Listener)
        || rules == L7Rules::None
        || heard.iter().copied().any(|terms| opens(&terms));
    let policy = L7Policy {
        parser: reader.parser,
        parser_name: reader.name.clone(),
        unrestricted,
        server_names: if unlimited {
            Vec::new()
        } else {
            names.into_iter().collect()
        },
        listener: terms.listener.clone(),
        rules: if unrestricted { L7Rules::None } else { rules },
    };
    let redirect = Redirect {
        parser: reader.parser,
        unrestricted: terms.listener.is_none()
            && terms.tls == TlsRules::default()
            && heard.iter().all(|terms| terms.tls == TlsRules::default())
            && policy.server_names.is_empty()
            && (policy.unrestricted || never_refuses(&policy.rules)),
    };
    Some((policy, redirect))
}

/// The allowances that the proxy knows of.
///
/// A proxy goes from the strongest to the weakest, past those whose content does not fit, until
/// something denies. The DNS proxy knows the group of the one written port only. Under
/// [`Semantics::Strict`](crate::Semantics::Strict) only those count that were written for a proxy.
fn heard<'s>(
    winner: &Contribution<'s>,
    reader: &Reader,
    standing: &[&Contribution<'s>],
    subject: &Subject<'_>,
) -> Vec<&'s Terms> {
    let strict = subject.strict();
    let group = |one: &Contribution<'_>| (one.settled.stage, one.settled.ports.clone());
    let mut heard = Vec::new();
    let mut passed = None;
    for one in standing {
        let terms = &one.settled.terms;
        let known = match reader.parser {
            _ if strict => terms.reader.is_some(),
            Parser::Dns => group(one) == group(winner),
            _ => one.settled.ports.told_to_proxies(),
        };
        let elsewhere = terms.listener.is_some() && terms.listener != winner.settled.terms.listener;
        match one.action() {
            _ if passed == Some(one.settled.stage) => {}
            Action::Deny => break,
            Action::Pass => passed = Some(one.settled.stage),
            Action::Allow if known && !elsewhere => heard.push(terms),
            Action::Allow => {}
        }
    }
    heard
}

/// Whether an allowance lets everything through, as far as the parser can tell.
fn opens(terms: &Terms, reader: &Reader, strict: bool) -> bool {
    if terms.reader.as_ref() != Some(reader) || !terms.has_content() {
        let named = terms.reader.as_ref() == Some(reader) && terms.content != L7Rules::None;
        return !strict || named;
    }
    match &terms.content {
        L7Rules::None | L7Rules::Dns(_) => false,
        L7Rules::Http(rules) => rules.contains(&HttpRule::default()),
        L7Rules::Kafka(rules) => rules.contains(&KafkaRule::default()),
        L7Rules::Other { rules, .. } => rules.iter().any(|rule| rule.is_empty()),
    }
}

/// Whether one of the rules fits whatever comes, without being the empty rule.
fn never_refuses(rules: &L7Rules) -> bool {
    match rules {
        L7Rules::Http(rules) => rules.iter().any(|rule| {
            let HttpRule {
                method,
                path,
                host,
                headers,
                header_matches,
            } = rule;
            let mut matches = header_matches.iter();
            let fails = matches.any(|header| header.mismatch == Mismatch::Fail);
            method.is_none() && path.is_none() && host.is_none() && headers.is_empty() && !fails
        }),
        L7Rules::Dns(rules) => rules.iter().any(|rule| {
            let pattern = rule.match_pattern.as_deref().unwrap_or_default();
            let stars = pattern.strip_suffix('.').unwrap_or(pattern);
            !stars.is_empty() && stars.chars().all(|star| star == '*')
        }),
        L7Rules::None | L7Rules::Kafka(_) | L7Rules::Other { .. } => false,
    }
}
