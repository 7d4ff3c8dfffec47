//! The other side of a rule, compiled.

use std::collections::BTreeMap;
use std::sync::Arc;

use ipnet::IpNet;
use porin_identity::{Requirement, Selector, SelectorKey, key, source};

use crate::peer::{CidrSelector, PeerSelector};
use crate::peers::{CidrPeer, CidrSource, Entity, Peer, Peers, ServicePeer, ServiceSource};
use crate::rule::{Action, PolicyKind, PolicyName, Rule};
use crate::scope::Scope;
use crate::service::{Backends, Service};
use crate::{NetworkPolicyReading, Options, Semantics};

/// The other side of a compiled rule.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum PeerSet {
    Nobody,
    Anybody,
    Picked(Vec<PeerSelector>),
}

/// What peers mean in one policy.
pub(crate) struct PeerCompiler<'a> {
    pub(crate) policy: &'a Arc<PolicyName>,
    pub(crate) kind: PolicyKind,
    pub(crate) scope: &'a Scope,
    /// The subject as written.
    pub(crate) subject: &'a Selector,
    pub(crate) options: &'a Options,
    pub(crate) services: &'a [Service],
}

impl PeerCompiler<'_> {
    /// The other side of a rule. One wildcard among the peers makes the whole rule speak of anybody;
    /// a rule that names neither peers nor ports speaks of nobody.
    pub(crate) fn peers(&self, rule: &Rule) -> PeerSet {
        let has_ports = rule.ports.is_some();
        let listed = match &rule.peers {
            Peers::Unspecified if has_ports || self.kind.is_kubernetes() => {
                return PeerSet::Anybody;
            }
            Peers::Unspecified => return PeerSet::Nobody,
            Peers::Unnamed => return self.unresolved(has_ports),
            Peers::Listed(listed) if listed.is_empty() => return PeerSet::Nobody,
            Peers::Listed(listed) => listed,
        };
        let mut picked: Vec<PeerSelector> = Vec::with_capacity(listed.len());
        for peer in listed {
            let Some(selectors) = self.selectors(peer, rule.action) else {
                return PeerSet::Anybody;
            };
            for selector in selectors {
                if !picked.contains(&selector) {
                    picked.push(selector);
                }
            }
        }
        if picked.is_empty() && !self.kind.is_kubernetes() {
            return self.unresolved(has_ports);
        }
        PeerSet::Picked(picked)
    }

    /// Peers that are named and lead to nobody. Upstream takes no selector at all for the wildcard.
    fn unresolved(&self, has_ports: bool) -> PeerSet {
        if has_ports && self.options.semantics == Semantics::Cilium {
            PeerSet::Anybody
        } else {
            PeerSet::Nobody
        }
    }

    /// The selectors of one peer; `None` is anybody.
    fn selectors(&self, peer: &Peer, action: Action) -> Option<Vec<PeerSelector>> {
        let labels = |selector: Selector| {
            (!selector.is_everything()).then(|| vec![PeerSelector::Labels(selector)])
        };
        match peer {
            Peer::Endpoints(written) => labels(self.scope.peer(written, self.subject)),
            Peer::Pods(pods) => labels(self.scope.pods(pods)),
            Peer::Nodes(written) => {
                let nodes = self.scope.nodes(written).into_iter();
                Some(nodes.map(PeerSelector::Labels).collect())
            }
            Peer::Entity(Entity::All) => None,
            Peer::Entity(entity) => Some(vec![PeerSelector::Entity(*entity)]),
            Peer::Cidr(cidr) => Some(vec![self.cidr(cidr)]),
            Peer::Fqdn(name) => Some(vec![PeerSelector::Fqdn(Box::new(name.clone()))]),
            Peer::Group(group) => {
                let key = SelectorKey::new(source::CIDRGROUP, &group.label);
                labels(Selector::from_parts([Requirement::exists(key)]))
            }
            Peer::Service(service) if action == Action::Deny => {
                // Upstream resolves no services here; what is meant can be denied all the same.
                match self.options.semantics {
                    Semantics::Cilium => Some(Vec::new()),
                    Semantics::Strict => Some(self.service(service)),
                }
            }
            Peer::Service(service) => Some(self.service(service)),
            Peer::Unknown => Some(Vec::new()),
        }
    }

    fn cidr(&self, cidr: &CidrPeer) -> PeerSelector {
        PeerSelector::Cidr(Box::new(CidrSelector {
            source: cidr.source.clone(),
            except: cidr.except.iter().map(IpNet::trunc).collect(),
            reach: self.options.block_reach(self.kind),
            zero_holds_all: self.zero_holds_all(),
        }))
    }

    /// Upstream a NetworkPolicy is read like the other kinds.
    fn zero_holds_all(&self) -> bool {
        let upstream = self.kind == PolicyKind::NetworkPolicy
            && self.options.network_policies == NetworkPolicyReading::Cilium;
        (self.kind.is_kubernetes() && !upstream) || self.options.cidr_match.pods
    }

    fn service(&self, peer: &ServicePeer) -> Vec<PeerSelector> {
        let meant = self
            .services
            .iter()
            .filter(|service| is_meant(peer, service));
        meant.flat_map(|service| self.backends(service)).collect()
    }

    fn backends(&self, service: &Service) -> Vec<PeerSelector> {
        let host = |address: &std::net::IpAddr| {
            PeerSelector::Cidr(Box::new(CidrSelector {
                source: CidrSource::Block(IpNet::from(*address)),
                except: Arc::default(),
                reach: self.options.cidr_match,
                zero_holds_all: self.options.cidr_match.pods,
            }))
        };
        match &service.backends {
            Backends::Addresses(addresses) => addresses.iter().map(host).collect(),
            Backends::Pods(labels) => {
                let place = [(key::NAMESPACE, &*service.namespace)];
                let own = labels.iter().map(|(key, value)| (&**key, &**value));
                let written = equal(own.chain(place));
                vec![PeerSelector::Labels(
                    self.scope.peer(&written, self.subject),
                )]
            }
        }
    }
}

fn equal<'a>(labels: impl Iterator<Item = (&'a str, &'a str)>) -> Selector {
    labels
        .map(|(key, value)| Requirement::equals(SelectorKey::new(source::K8S, key), value))
        .collect()
}

fn is_meant(peer: &ServicePeer, service: &Service) -> bool {
    let here = peer
        .namespace
        .as_deref()
        .is_none_or(|own| *own == *service.namespace);
    let named = match &peer.source {
        ServiceSource::Name(name) => *name == service.name,
        ServiceSource::Selector(selector) => labels_fit(selector, &service.labels),
    };
    here && named
}

/// The labels of a service have no source.
fn labels_fit(selector: &Selector, labels: &BTreeMap<Box<str>, Box<str>>) -> bool {
    use porin_identity::Operator::{DoesNotExist, Equals, Exists, In, NotIn};
    selector.requirements().iter().all(|term| {
        let found = labels.get(term.key.key());
        let among = |values: &[Arc<str>]| {
            found.is_some_and(|own| values.iter().any(|value| **value == **own))
        };
        match &term.operator {
            Equals(value) => found.is_some_and(|own| **value == **own),
            In(values) => among(values),
            NotIn(values) => !among(values),
            Exists => found.is_some(),
            DoesNotExist => found.is_none(),
        }
    })
}
