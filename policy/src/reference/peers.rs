//! Who the other side of a rule is.

use porin_identity::{Requirement, Selector, SelectorKey, source};

use super::entities::entity_labels;
use super::scope;
use super::services::{backends, is_meant};
use super::subject::Subject;
use crate::peers::{CidrPeer, CidrSource, Entity, FqdnPeer, Peer, Peers};
use crate::rule::{Action, Document, PolicyKind, Rule, Spec};
use crate::{IpBlocks, NetworkPolicyReading, Options};

/// One selector of the other side. Equal selectors of different rules are the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Who {
    Anybody,
    Labels(Selector),
    /// Nodes, the own one among them.
    Nodes(Selector),
    Cidr(CidrPeer, Reach),
    Fqdn(FqdnPeer),
}

/// Whom a block can pick at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// The world, and what [`Options::cidr_match`](crate::Options::cidr_match) adds to it.
    Chosen,
    /// The world and nodes.
    NotPods,
    /// Everybody with an address.
    Everywhere,
}

/// The selectors of a rule; none at all is nobody.
pub(super) fn who(
    document: &Document,
    spec: &Spec,
    rule: &Rule,
    subject: &Subject<'_>,
) -> Vec<Who> {
    let kubernetes = document.name.kind.is_kubernetes();
    let has_ports = rule.ports.is_some();
    // Upstream takes ports without anybody to use them for ports that everybody may use.
    let open = !kubernetes && !subject.strict() && has_ports;
    let everybody = |whether: bool| Vec::from_iter(whether.then_some(Who::Anybody));
    let listed = match &rule.peers {
        Peers::Unspecified => return everybody(kubernetes || has_ports),
        Peers::Unnamed => return everybody(open),
        Peers::Listed(listed) if listed.is_empty() => return Vec::new(),
        Peers::Listed(listed) => listed,
    };
    let picked: Vec<Who> = listed
        .iter()
        .flat_map(|peer| one(document, spec, rule, peer, subject))
        .collect();
    if picked.is_empty() {
        return everybody(open);
    }
    if picked.contains(&Who::Anybody) && !names_all_groups(rule) {
        return vec![Who::Anybody];
    }
    picked
}

/// Whether a rule names the selector of all groups, which upstream takes for that of everybody.
pub(super) fn names_all_groups(rule: &Rule) -> bool {
    let all = |peer: &Peer| matches!(peer, Peer::Cidr(cidr) if is_of_all_groups(cidr));
    matches!(&rule.peers, Peers::Listed(listed) if listed.iter().any(all))
}

fn one(
    document: &Document,
    spec: &Spec,
    rule: &Rule,
    peer: &Peer,
    subject: &Subject<'_>,
) -> Vec<Who> {
    let options = subject.options();
    match peer {
        Peer::Endpoints(written) => {
            vec![of_labels(scope::endpoints(
                document, spec, written, options,
            ))]
        }
        Peer::Pods(pods) => vec![Who::Labels(scope::pods(document, pods, options))],
        Peer::Nodes(written) if document.name.kind.is_kubernetes() => {
            let scoped = scope::in_own_cluster(written.clone(), written, options);
            vec![Who::Nodes(scoped)]
        }
        Peer::Nodes(written) => vec![Who::Labels(scope::nodes(written, options))],
        Peer::Cidr(cidr) if is_of_all_groups(cidr) && !subject.strict() => vec![Who::Anybody],
        Peer::Cidr(cidr) => {
            let reach = reach(document.name.kind, options);
            vec![Who::Cidr(CidrPeer::clone(cidr), reach)]
        }
        Peer::Entity(entity) => entity_labels(*entity, options),
        Peer::Fqdn(fqdn) => vec![Who::Fqdn(fqdn.clone())],
        Peer::Group(group) => {
            let key = SelectorKey::new(source::CIDRGROUP, &group.label);
            vec![Who::Labels(Selector::from_parts([Requirement::exists(
                key,
            )]))]
        }
        // Upstream forgets to look up the services that a denial names.
        Peer::Service(_) if rule.action == Action::Deny && !subject.strict() => Vec::new(),
        Peer::Service(service) => {
            let meant = subject
                .set
                .services()
                .iter()
                .filter(|found| is_meant(service, found));
            meant
                .flat_map(|found| backends(document, spec, found, options))
                .collect()
        }
        Peer::Unknown => Vec::new(),
    }
}

pub(super) fn of_labels(selector: Selector) -> Who {
    if selector.is_everything() {
        Who::Anybody
    } else {
        Who::Labels(selector)
    }
}

fn is_of_all_groups(cidr: &CidrPeer) -> bool {
    let all = matches!(&cidr.source, CidrSource::Groups(selector) if selector.is_everything());
    all && cidr.except.is_empty()
}

fn reach(kind: PolicyKind, options: &Options) -> Reach {
    let upstream = options.network_policies == NetworkPolicyReading::Cilium;
    match kind {
        PolicyKind::NetworkPolicy if upstream => Reach::Chosen,
        PolicyKind::NetworkPolicy if options.ip_blocks == IpBlocks::SkipPods => Reach::NotPods,
        _ if kind.is_kubernetes() => Reach::Everywhere,
        _ => Reach::Chosen,
    }
}

impl Who {
    /// Whether nobody can ever be picked, so that rules for it never conflict.
    pub(super) fn is_none(&self) -> bool {
        matches!(self, Self::Labels(selector)
            if entity_labels(Entity::None, &Options::new()).contains(&Self::Labels(selector.clone())))
    }
}
