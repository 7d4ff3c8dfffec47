//! PL014 block-of-workloads: blocks speak of addresses outside of the cluster.

use ipnet::IpNet;

use super::code::Code;
use super::finding::Suggestion;
use super::people::People;
use super::pl010::peer_place;
use super::registry::{Found, PeerAt, Run};
use crate::peers::{CidrPeer, Peer};
use crate::rule::Action;

/// So many are named.
const NAMED: usize = 3;

pub(super) fn run(run: &Run<'_>, found: &mut Vec<Found>) {
    let Some(people) = &run.people else { return };
    for at in run.peers() {
        let Peer::Cidr(cidr) = at.peer else { continue };
        if !run.options.block_reach(at.of.name.kind).pods {
            found.extend(report(run, people, &at, cidr));
        }
    }
}

fn report(run: &Run<'_>, people: &People<'_>, at: &PeerAt<'_>, cidr: &CidrPeer) -> Option<Found> {
    // The block of all addresses means the internet.
    let block = cidr.block().filter(|block| block.prefix_len() > 0)?;
    let left_out = |address: &std::net::IpAddr| {
        cidr.except
            .iter()
            .any(|hole: &IpNet| hole.contains(address))
    };
    let mut names: Vec<String> = people
        .inside(block)
        .filter(|(address, _)| !left_out(address))
        .map(|(_, workload)| format!("`{}` in namespace {}", workload.name, workload.namespace))
        .collect();
    names.dedup();
    let more = names.len().saturating_sub(NAMED);
    names.truncate(NAMED);
    if names.is_empty() {
        return None;
    }
    let named = names.join(", ");
    let others = if more > 0 {
        format!(" and {more} more")
    } else {
        String::new()
    };
    let effect = match at.rule.action {
        Action::Deny => "they are not denied",
        Action::Allow | Action::Pass => "they are not allowed",
    };
    let reason = format!(
        "{block} holds addresses of {named}{others}, but a block speaks only of what lies outside of the cluster: {effect} by this rule"
    );
    let advice = "name workloads by their labels; leave their range out of the block, or have blocks match pods (`policy-cidr-match-mode`)";
    let location = peer_place(run, at.document, at.spec, at.rule, at.place);
    let place = (at.document, location);
    Found::new(
        run,
        Code::BlockOfWorkloads,
        place,
        None,
        reason,
        Suggestion::words(advice),
    )
}
