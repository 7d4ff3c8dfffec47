//! Allowances, taken apart as far as they can be compared.

use std::collections::HashMap;
use std::sync::Arc;

use porin_identity::Selector;

use super::cover::{covers_peers, covers_ports, covers_selector};
use super::finding::Related;
use crate::direction::Direction;
use crate::l7::L7Rules;
use crate::options::Options;
use crate::peer::{PeerSet, peer_set, scope_peer, scope_subject};
use crate::port_rule::PortRule;
use crate::rule::{Action, Document, Rule, Spec};

/// One element of `toPorts` of one allow rule, or the whole rule if it names no ports.
pub(super) struct Allow<'a> {
    /// Which document it stands in.
    pub(super) document: usize,
    pub(super) of: &'a Document,
    pub(super) spec: &'a Spec,
    pub(super) rule: &'a Rule,
    /// The element and its place.
    pub(super) element: Option<(usize, &'a PortRule)>,
    subject: Arc<Selector>,
    pub(super) peers: Arc<PeerSet>,
}

/// Every allowance that allows anything, in order, and who may stand beside whom.
pub(super) struct Allows<'a> {
    all: Vec<Allow<'a>>,
    /// The places of a namespace's own allowances; those without one guard every namespace.
    by_namespace: HashMap<(Option<&'a str>, Direction), Vec<usize>>,
}

impl<'a> Allows<'a> {
    pub(super) fn of(documents: &'a [Document], options: &Options) -> Self {
        let all = allows(documents, options);
        let mut by_namespace: HashMap<_, Vec<usize>> = HashMap::new();
        for (place, allow) in all.iter().enumerate() {
            let namespace = allow.of.name.namespace.as_deref();
            by_namespace
                .entry((namespace, allow.direction()))
                .or_default()
                .push(place);
        }
        Self { all, by_namespace }
    }

    pub(super) fn iter(&self) -> std::slice::Iter<'_, Allow<'a>> {
        self.all.iter()
    }

    /// Those of the same direction that may guard whom `allow` guards: its namespace's own, then
    /// the clusterwide ones.
    pub(super) fn beside(&self, allow: &Allow<'a>) -> impl Iterator<Item = &Allow<'a>> {
        let own = allow.of.name.namespace.as_deref();
        let listed = |namespace| self.by_namespace.get(&(namespace, allow.direction()));
        let clusterwide = listed(None).filter(|_| own.is_some());
        let places = listed(own).into_iter().chain(clusterwide).flatten();
        places.filter_map(|place| self.all.get(*place))
    }
}

fn allows<'a>(documents: &'a [Document], options: &Options) -> Vec<Allow<'a>> {
    let mut found = Vec::new();
    for (document, of) in documents.iter().enumerate() {
        for spec in &of.specs {
            let subject = Arc::new(scope_subject(&spec.subject, &of.name));
            for rule in spec
                .rules
                .iter()
                .filter(|rule| rule.action == Action::Allow)
            {
                let scope =
                    |written: &Selector| scope_peer(written, &spec.subject, &of.name, options);
                let peers = Arc::new(peer_set(&rule.peers, rule.ports.is_some(), scope));
                if *peers == PeerSet::Nobody {
                    continue;
                }
                let allow = |element| Allow {
                    document,
                    of,
                    spec,
                    rule,
                    element,
                    subject: Arc::clone(&subject),
                    peers: Arc::clone(&peers),
                };
                match &rule.ports {
                    None => found.push(allow(None)),
                    Some(elements) => found.extend(
                        elements
                            .iter()
                            .enumerate()
                            .map(|element| allow(Some(element))),
                    ),
                }
            }
        }
    }
    found
}

impl Allow<'_> {
    pub(super) fn direction(&self) -> Direction {
        self.rule.direction
    }

    pub(super) fn l7(&self) -> &L7Rules {
        self.element
            .map_or(&L7Rules::None, |(_, element)| &element.l7)
    }

    /// Whether its rule has no other element.
    pub(super) fn is_whole_rule(&self) -> bool {
        self.rule
            .ports
            .as_ref()
            .is_none_or(|elements| elements.len() == 1)
    }

    /// Whether both stand in one rule and element.
    pub(super) fn is(&self, other: &Self) -> bool {
        std::ptr::eq(self.rule, other.rule)
            && self.element.map(|(at, _)| at) == other.element.map(|(at, _)| at)
    }

    /// Whether this guards everybody whom `other` guards.
    pub(super) fn covers_subject(&self, other: &Self) -> bool {
        covers_selector(&self.subject, &other.subject)
    }

    /// Whether this allows every peer that `other` allows.
    pub(super) fn covers_peers(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.peers, &other.peers) || covers_peers(&self.peers, &other.peers)
    }

    /// Whether this allows every port that `other` allows.
    pub(super) fn covers_ports(&self, other: &Self) -> bool {
        covers_ports(
            self.element.map(|(_, element)| element),
            other.element.map(|(_, element)| element),
        )
    }

    pub(super) fn related(&self) -> Related {
        Related {
            location: self.rule.location.clone(),
            policy: self.of.name.clone(),
        }
    }
}
