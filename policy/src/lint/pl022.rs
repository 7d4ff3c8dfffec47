//! PL022 unnamed-peers: peers that are named by a field, and by nothing in it.

use super::code::Code;
use super::finding::Suggestion;
use super::prune::Pruning;
use super::registry::{Found, Run};
use crate::peers::{Peer, Peers};
use crate::rule::{Action, Rule};

pub(super) fn run(run: &Run<'_>, found: &mut Vec<Found>) {
    for (index, document) in run.documents.iter().enumerate() {
        for spec in &document.specs {
            for rule in &spec.rules {
                let Some(reason) = nobody_or_everybody(rule) else {
                    continue;
                };
                let mut pruning = Pruning::default();
                // A denial that goes would let through what Cilium denies.
                if rule.action == Action::Allow {
                    pruning.rule(index, document, spec, rule);
                }
                let suggestion = Suggestion {
                    advice: "name the peers; for everybody, leave the field out or write the entity `all`".to_owned(),
                    edits: pruning.edits(run),
                };
                let place = (index, rule.location.clone());
                found.extend(Found::new(
                    run,
                    Code::UnnamedPeers,
                    place,
                    None,
                    reason,
                    suggestion,
                ));
            }
        }
    }
}

fn nobody_or_everybody(rule: &Rule) -> Option<String> {
    let verb = match rule.action {
        Action::Deny => "denies",
        Action::Allow | Action::Pass => "allows",
    };
    match (&rule.peers, rule.ports.is_some()) {
        (Peers::Unnamed, true) => Some(format!(
            "the only list of peers is empty: in Cilium this rule {verb} everybody on its ports, in strict semantics nobody"
        )),
        (Peers::Listed(peers), has_ports)
            if rule.action == Action::Deny
                && !peers.is_empty()
                && peers.iter().all(|peer| matches!(peer, Peer::Service(_))) =>
        {
            Some(match has_ports {
                true => "Cilium does not look services up in denials, and so denies everybody on these ports; strict semantics deny nobody".to_owned(),
                false => "services are not looked up in denials, so this rule denies nobody".to_owned(),
            })
        }
        _ => None,
    }
}
