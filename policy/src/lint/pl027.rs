//! PL027 name-pattern: a star that is glued to a domain fits the domains of strangers.

use super::code::Code;
use super::edit::{Editor, element_list, quote, rule_node};
use super::finding::Suggestion;
use super::registry::{Found, Run};
use crate::l7::L7Rules;
use crate::peers::{FqdnPeer, Peer};
use crate::rule::{Rule, Spec};
use crate::yaml::Node;

pub(super) fn run(run: &Run<'_>, found: &mut Vec<Found>) {
    for peer in run.peers() {
        let Peer::Fqdn(FqdnPeer::Pattern(pattern)) = peer.peer else {
            continue;
        };
        let at = (peer.document, peer.spec, peer.rule);
        found.extend(report(run, at, pattern, |rule| {
            rule.get("toFQDNs")?.item(peer.place)?.get("matchPattern")
        }));
    }
    for clause in run.clauses.iter() {
        let Some((element, port_rule)) = clause.element else {
            continue;
        };
        let at = (clause.document, clause.spec, clause.rule);
        if let L7Rules::Dns(rules) = clause.l7() {
            for (place, rule) in rules.iter().enumerate() {
                let pattern = rule.match_pattern.as_deref().unwrap_or_default();
                found.extend(report(run, at, pattern, |rule| {
                    let rules = element_list(rule)?.item(element)?.get("rules")?;
                    rules.get("dns")?.item(place)?.get("matchPattern")
                }));
            }
        }
        for (place, name) in port_rule.server_names.iter().enumerate() {
            found.extend(report(run, at, name, |rule| {
                let element = element_list(rule)?.item(element)?;
                element.get("serverNames")?.item(place)
            }));
        }
    }
}

fn report<'a>(
    run: &Run<'a>,
    (index, spec, rule): (usize, &Spec, &Rule),
    pattern: &str,
    look: impl for<'n> Fn(&'n Node<'a>) -> Option<&'n Node<'a>>,
) -> Option<Found> {
    let domain = glued(pattern)?;
    let document = run.documents.get(index)?;
    let instead = format!("*.{domain}");
    let found = run.trees.with(document, |tree| {
        let node = look(rule_node(tree, document, spec, rule)?)?;
        let editor = Editor::of(document);
        Some((
            editor.location(node.start),
            editor.replace(node, quote(&instead)),
        ))
    });
    let (location, edits) = match found {
        Some((location, edit)) => (location, vec![edit]),
        None => (rule.location.clone(), Vec::new()),
    };
    let reason = format!(
        "`{pattern}` fits `other{domain}` too, which anybody may register, and no name below `{domain}`"
    );
    let advice = format!(
        "write `{instead}` for the names right below, `**.{domain}` for all below, and `{domain}` beside it if that is meant"
    );
    let suggestion = Suggestion { advice, edits };
    Found::new(
        run,
        Code::NamePattern,
        (index, location),
        None,
        reason,
        suggestion,
    )
}

/// The domain behind a star without a dot between them, if it is one that people register.
fn glued(pattern: &str) -> Option<&str> {
    let domain = pattern.trim_start_matches('*');
    let plain = domain
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-'));
    let begins = domain
        .bytes()
        .next()
        .is_some_and(|byte| byte.is_ascii_alphanumeric());
    let labels = domain.trim_end_matches('.').split('.').count();
    (domain.len() < pattern.len() && plain && begins && labels == 2).then_some(domain)
}

#[cfg(test)]
mod tests {
    use super::glued;

    #[test]
    fn only_a_star_at_a_registered_domain_is_glued() {
        assert_eq!(glued("*example.com"), Some("example.com"));
        for pattern in [
            "*",
            "*.example.com",
            "**.example.com",
            "*-cdn.example.com",
            "a*.example.com",
            "*cdn.example.com",
            "example.com",
        ] {
            assert_eq!(glued(pattern), None, "{pattern}");
        }
    }
}
