//! PL018 claimed-identity: what the client chooses proves nothing about it.

use super::clause::Clause;
use super::code::Code;
use super::edit::{Editor, element_list, rule_node};
use super::finding::Suggestion;
use super::registry::{Found, Run};
use crate::l7::{HttpRule, L7Rules, Mismatch};

/// What header names begin with, in lower case, by which proxies tell servers who a client is.
const CLAIMS: [&str; 14] = [
    "x-user",
    "x-username",
    "x-remote-user",
    "remote-user",
    "x-forwarded-user",
    "x-forwarded-email",
    "x-forwarded-groups",
    "x-forwarded-for",
    "x-real-ip",
    "x-auth-request-",
    "x-authenticated-",
    "x-client-id",
    "x-role",
    "x-admin",
];

pub(super) fn run(run: &Run<'_>, found: &mut Vec<Found>) {
    for clause in run.clauses.iter() {
        match clause.l7() {
            L7Rules::Kafka(rules) => {
                for (at, rule) in rules.iter().enumerate() {
                    if let Some(id) = &rule.client_id {
                        let claim = format!("client id `{id}`");
                        found.extend(report(run, clause, (at, "clientID"), &claim));
                    }
                }
            }
            L7Rules::Http(rules) => {
                for (at, rule) in rules.iter().enumerate() {
                    if let Some((field, name)) = claimed(rule) {
                        let claim = format!("header `{name}`");
                        found.extend(report(run, clause, (at, field), &claim));
                    }
                }
            }
            _ => {}
        }
    }
}

/// The first header that says who the client is, and the field that it stands in.
fn claimed(rule: &HttpRule) -> Option<(&'static str, &str)> {
    let plain = rule.headers.iter().filter(|header| header.value.is_some());
    let plain = plain.map(|header| ("headers", &*header.name));
    let matched = rule.header_matches.iter().filter(|header| {
        header.value.is_some() && header.secret.is_none() && header.mismatch == Mismatch::Fail
    });
    let matched = matched.map(|header| ("headerMatches", &*header.name));
    plain.chain(matched).find(|(_, name)| {
        let name = name.to_ascii_lowercase();
        CLAIMS.iter().any(|claim| name.starts_with(claim))
    })
}

fn report<'a>(
    run: &Run<'a>,
    clause: &Clause<'a>,
    (at, field): (usize, &'static str),
    claim: &str,
) -> Option<Found> {
    let document = run.documents.get(clause.document)?;
    let (element, port_rule) = clause.element?;
    let kind = port_rule.l7.field()?;
    let location = run.trees.with(document, |tree| {
        let rule = rule_node(tree, document, clause.spec, clause.rule)?;
        let rules = element_list(rule)?.item(element)?.get("rules")?.get(kind)?;
        Some(Editor::of(document).location(rules.item(at)?.get(field)?.start))
    });
    let place = (
        clause.document,
        location.unwrap_or_else(|| clause.location().clone()),
    );
    let reason = format!(
        "the {claim} is chosen by the client: it tells well-meaning clients apart and keeps nobody out"
    );
    let advice = "give those who may do more an identity of their own and name that as the peer; or require authentication";
    Found::new(
        run,
        Code::ClaimedIdentity,
        place,
        None,
        reason,
        Suggestion::words(advice),
    )
}
