//! Specs of AdminNetworkPolicy, BaselineAdminNetworkPolicy and ClusterNetworkPolicy.

use porin_identity::{Requirement, Selector, SelectorKey, check_label_key, key};

use super::document::peer_field;
use super::json::{Fields, Json, only};
use super::ports;
use super::selector::{plain, selector, terms};
use crate::direction::Direction;
use crate::peers::{CidrSource, FqdnPeer, Peer, Peers, PodPeer};
use crate::rule::{Action, PolicyKind, Rule, Spec, Tier};

/// The most blocks or names of one peer.
const MOST: usize = 25;

pub(super) fn spec(spec: &Spec, kind: PolicyKind) -> Fields {
    let mut fields = Fields::default();
    if kind == PolicyKind::ClusterNetworkPolicy {
        let tier = match spec.tier {
            Tier::Baseline => "Baseline",
            Tier::Admin | Tier::Normal => "Admin",
        };
        fields.put("tier", tier);
    }
    if kind != PolicyKind::BaselineAdminNetworkPolicy {
        fields.put("priority", spec.priority);
    }
    fields.put("subject", subject(&spec.subject));
    for direction in Direction::ALL {
        let rules = spec.rules.iter();
        let rules = rules.filter(|rule| rule.direction == direction);
        fields.filled(direction.name(), rules.map(|one| rule(one, kind)));
    }
    fields
}

/// The key of a namespace label without its prefix.
pub(super) fn namespace(key: &SelectorKey) -> (String, Option<String>) {
    let plain = key.key().strip_prefix(key::NAMESPACE_LABELS_PREFIX);
    (plain.unwrap_or(key.key()).to_owned(), None)
}

/// Terms about pods and about their namespaces stand apart.
fn subject(subject: &Selector) -> Json {
    let of_namespace = |term: &&Requirement| {
        let key = term.key.key().strip_prefix(key::NAMESPACE_LABELS_PREFIX);
        key.is_some_and(|key| check_label_key(key).is_ok())
    };
    let all = || subject.requirements().iter();
    let namespaces = terms(all().filter(of_namespace), namespace);
    if all().all(|term| of_namespace(&term)) {
        return only("namespaces", namespaces);
    }
    let mut fields = Fields::default();
    fields.put("namespaceSelector", namespaces);
    let pods = all().filter(|term| !of_namespace(term));
    fields.put("podSelector", terms(pods, plain));
    only("pods", fields)
}

fn rule(rule: &Rule, kind: PolicyKind) -> Fields {
    let of_cluster = kind == PolicyKind::ClusterNetworkPolicy;
    let mut fields = Fields::default();
    fields.some("name", rule.name.as_ref());
    let action = match rule.action {
        Action::Allow if of_cluster => "Accept",
        Action::Allow => "Allow",
        Action::Deny => "Deny",
        Action::Pass => "Pass",
    };
    fields.put("action", action);
    if let Peers::Listed(listed) = &rule.peers {
        fields.put(peer_field(rule.direction), peers(listed));
    }
    let specs = rule.ports.iter().flatten();
    let specs = specs.flat_map(|element| &element.ports);
    match of_cluster {
        true => fields.filled("protocols", specs.map(ports::cluster)),
        false => fields.filled("ports", specs.map(ports::admin)),
    }
    fields
}

/// Blocks, and names, that follow one another share an element as long as they fit.
fn peers(listed: &[Peer]) -> Vec<Json> {
    let mut elements = Vec::new();
    let mut rest = listed;
    while let Some((first, more)) = rest.split_first() {
        let Some((field, text)) = text_of(first) else {
            elements.push(peer(first));
            rest = more;
            continue;
        };
        let mut texts = vec![text];
        rest = more;
        while let Some((next, more)) = rest.split_first()
            && let Some((also, text)) = text_of(next)
            && also == field
            && texts.len() < MOST
            && !texts.contains(&text)
        {
            texts.push(text);
            rest = more;
        }
        let texts: Vec<Json> = texts.into_iter().map(Json::from).collect();
        elements.push(only(field, texts));
    }
    elements
}

/// The field and the text of what stands in a list of texts.
fn text_of(peer: &Peer) -> Option<(&'static str, String)> {
    match peer {
        Peer::Cidr(cidr) => match &cidr.source {
            CidrSource::Address(address) => Some(("networks", address.to_string())),
            CidrSource::Block(block) => Some(("networks", block.to_string())),
            CidrSource::Group(_) | CidrSource::Groups(_) => None,
        },
        Peer::Fqdn(FqdnPeer::Name(name)) => Some(("domainNames", name.to_string())),
        Peer::Fqdn(FqdnPeer::Pattern(pattern)) => {
            let pattern = pattern.strip_prefix('*').unwrap_or(pattern);
            Some(("domainNames", pattern.to_owned()))
        }
        _ => None,
    }
}

fn peer(peer: &Peer) -> Json {
    match peer {
        Peer::Pods(PodPeer {
            pods: None,
            namespaces: Some(by),
        }) => only("namespaces", selector(by, namespace)),
        Peer::Pods(PodPeer { pods, namespaces }) => {
            let mut fields = Fields::default();
            let everything = Selector::everything();
            let namespaces = namespaces.as_ref().unwrap_or(&everything);
            fields.put("namespaceSelector", selector(namespaces, namespace));
            let pods = pods.as_ref().unwrap_or(&everything);
            fields.put("podSelector", selector(pods, plain));
            only("pods", fields)
        }
        Peer::Nodes(by) => only("nodes", selector(by, plain)),
        // No release knows a field of this name either.
        _ => only("unknownPeer", Fields::default()),
    }
}
