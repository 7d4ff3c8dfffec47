//! PL021 group-selector: a selector of CIDR groups that picks more than groups.

use porin_identity::Selector;

use super::code::Code;
use super::finding::Suggestion;
use super::pl010::peer_place;
use super::registry::{Found, Run};
use super::side::is_negative;
use crate::peers::{CidrSource, Peer};

pub(super) fn run(run: &Run<'_>, found: &mut Vec<Found>) {
    for peer in run.peers() {
        let Peer::Cidr(cidr) = peer.peer else {
            continue;
        };
        let CidrSource::Groups(selector) = &cidr.source else {
            continue;
        };
        let Some(reason) = wider_than_groups(selector) else {
            continue;
        };
        let location = peer_place(run, peer.document, peer.spec, peer.rule, peer.place);
        let advice = "name the groups by `cidrGroupRef`, or ask for a label that they carry";
        let place = (peer.document, location);
        found.extend(Found::new(
            run,
            Code::GroupSelector,
            place,
            None,
            reason,
            Suggestion::words(advice),
        ));
    }
}

fn wider_than_groups(selector: &Selector) -> Option<String> {
    let terms = selector.requirements();
    if selector.is_everything() {
        return Some("an empty selector of groups is everybody in Cilium, workloads and nodes too; strict semantics take it for every group".to_owned());
    }
    terms.iter().all(|term| is_negative(&term.operator)).then(|| {
        format!("`{selector}` asks only for what is not there: in Cilium all of the world fits that stands in no group; strict semantics want a group")
    })
}
