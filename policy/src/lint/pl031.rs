//! PL031 authentication-lost: a proxy for everybody takes away what a rule asks of some.

use super::clause::Clause;
use super::code::Code;
use super::finding::Suggestion;
use super::registry::{Found, Run};
use crate::rule::AuthMode;

pub(super) fn run(run: &Run<'_>, found: &mut Vec<Found>) {
    let asking = run.clauses.allows().filter(|clause| {
        let asks = matches!(
            clause.rule.auth,
            Some(AuthMode::Required | AuthMode::AlwaysFail)
        );
        asks && clause.is_plain()
    });
    for asking in asking {
        let Some(proxied) = run
            .clauses
            .allows_beside(asking)
            .find(|other| takes(other, asking))
        else {
            continue;
        };
        let reason = format!(
            "{} sends the same peers through a proxy on some of these ports, and in Cilium that rule alone decides there, so no authentication is asked for; strict semantics ask",
            proxied.of.name
        );
        let advice = format!("ask for authentication in {} too", proxied.of.name);
        let place = (asking.document, asking.location().clone());
        let related = Some(proxied.related());
        found.extend(Found::new(
            run,
            Code::AuthenticationLost,
            place,
            related,
            reason,
            Suggestion::words(advice),
        ));
    }
}

/// Whether a redirect without a say about authentication covers some of the ports for more peers.
fn takes(proxied: &Clause<'_>, asking: &Clause<'_>) -> bool {
    !proxied.is_plain()
        && proxied.rule.auth.is_none()
        && proxied.covers_peers(asking)
        && asking.covers_ports(proxied)
        && !asking.covers_peers(proxied)
}
