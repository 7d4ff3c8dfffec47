//! PL026 names-unlearned: names in `toFQDNs` that nobody will ever learn the addresses of.

use super::clause::Clause;
use super::code::Code;
use super::finding::Suggestion;
use super::registry::{Found, Run};
use super::side::{Pick, Side};
use crate::l7::L7Rules;
use crate::peers::Peer;

pub(super) fn run(run: &Run<'_>, found: &mut Vec<Found>) {
    let watching = |clause: &&Clause<'_>| matches!(clause.l7(), L7Rules::Dns(_)) && !clause.staged;
    let watched: Vec<_> = run.clauses.allows().filter(watching).collect();
    let mut said: Option<*const crate::rule::Spec> = None;
    for clause in run.clauses.allows().filter(|clause| names_somebody(clause)) {
        let spec = std::ptr::from_ref(clause.spec);
        if said == Some(spec) || watched.iter().any(|other| !other.excludes_subject(clause)) {
            continue;
        }
        said = Some(spec);
        let reason = "addresses of names are learned from DNS answers that a DNS rule lets through, and no policy here has one for these workloads, so no address will ever fit".to_owned();
        let advice = "allow egress to the DNS servers on port 53 with `rules: {dns: [{matchPattern: \"*\"}]}`";
        let place = (clause.document, clause.rule.location.clone());
        found.extend(Found::new(
            run,
            Code::NamesUnlearned,
            place,
            None,
            reason,
            Suggestion::words(advice),
        ));
    }
}

/// In a document of a Cilium kind: the rules of the others bring their DNS along.
fn names_somebody(clause: &Clause<'_>) -> bool {
    let Side::Picked(picks) = &*clause.side else {
        return false;
    };
    !clause.of.name.kind.is_kubernetes()
        && picks
            .iter()
            .any(|pick| matches!(pick, Pick::Other(Peer::Fqdn(_))))
}
