use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use porin_identity::{Labels, Operator, Requirement, Selector, SelectorKey, key, source};

use super::obstacle::Obstacle;
use crate::compile::CompiledRule;
use crate::peer::{CidrSelector, PeerSelector, entity_labels};
use crate::peer_set::PeerSet;
use crate::peers::Entity;
use crate::port_rule::Port;
use crate::ports::{GroupId, PortGroup};
use crate::rule::Action;
use crate::{Options, PortNames, Protocol, Query, RuleRef};

/// A rule that would have allowed the flow, and the one thing in its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NearMiss {
    /// The rule.
    pub rule: Arc<RuleRef>,
    /// What is in its way.
    pub obstacle: Obstacle,
}

/// What was asked, with all that is known about the other side.
pub(crate) struct Asked<'a> {
    pub(crate) query: &'a Query,
    pub(crate) peer: Option<&'a Labels>,
    pub(crate) addresses: &'a [IpAddr],
    /// The port names of whoever accepts the connection.
    pub(crate) names: Option<&'a PortNames>,
    pub(crate) options: &'a Options,
}

impl Asked<'_> {
    /// The one thing in the way of a rule of the asked direction that does not cover the question.
    pub(crate) fn obstacle(&self, rule: &CompiledRule) -> Option<Obstacle> {
        if rule.action != Action::Allow {
            return None;
        }
        match (self.peer_fits(rule), self.port_fits(rule)) {
            (true, false) => self.port_obstacle(rule),
            (false, true) => self.peer_obstacle(rule),
            (true, true) if rule.staged => Some(Obstacle::Staged),
            (true, true) | (false, false) => None,
        }
    }

    /// The same about a rule of the other direction.
    pub(crate) fn misplaced(&self, rule: &CompiledRule) -> Option<Obstacle> {
        let named = matches!(rule.peers, PeerSet::Picked(_));
        let fits = rule.action == Action::Allow && self.peer_fits(rule) && self.port_fits(rule);
        (named && fits).then(|| Obstacle::Direction {
            wanted: self.query.direction.other(),
        })
    }

    fn peer_fits(&self, rule: &CompiledRule) -> bool {
        match (&rule.peers, self.peer) {
            (PeerSet::Anybody, _) => true,
            (PeerSet::Nobody, _) | (PeerSet::Picked(_), None) => false,
            (PeerSet::Picked(picked), Some(labels)) => picked.iter().any(|peer| {
                peer.passes_for_wildcard(self.options.semantics) || peer.picks(labels, self.options)
            }),
        }
    }

    fn port_fits(&self, rule: &CompiledRule) -> bool {
        let Query { protocol, port, .. } = *self.query;
        rule.ports.iter().any(|group| {
            let numbered = group.keys.iter().any(|key| key.covers(protocol, port));
            numbered || (group.id.protocol == protocol && self.is_named(&group.id))
        })
    }

    /// Whether a port name leads to the asked port, or to a range around it.
    fn is_named(&self, id: &GroupId) -> bool {
        let Port::Name(name) = &id.port else {
            return false;
        };
        let number = self.names.and_then(|names| names.get(name, id.protocol));
        number.is_some_and(|number| (number..=id.end.max(number)).contains(&self.query.port))
    }

    fn port_obstacle(&self, rule: &CompiledRule) -> Option<Obstacle> {
        let of_another = |group: &&PortGroup| {
            let mut keys = group.keys.iter();
            let numbered = keys.any(|key| key.port.covers(self.query.port));
            group.id.protocol.has_ports() && (numbered || self.is_named(&group.id))
        };
        if self.query.protocol.has_ports() {
            let fitting = rule.ports.iter().filter(of_another);
            let mut wanted: Vec<Protocol> = fitting.map(|group| group.id.protocol).collect();
            wanted.dedup();
            if !wanted.is_empty() {
                let found = self.query.protocol;
                return Some(Obstacle::Protocol { wanted, found });
            }
        }
        let mut wanted: Vec<String> = rule
            .ports
            .iter()
            .map(|group| group.id.to_string())
            .collect();
        wanted.dedup();
        (!wanted.is_empty()).then_some(Obstacle::Port { wanted })
    }

    /// Of several peers the one that misses by a label says most.
    fn peer_obstacle(&self, rule: &CompiledRule) -> Option<Obstacle> {
        let (PeerSet::Picked(picked), Some(labels)) = (&rule.peers, self.peer) else {
            return None;
        };
        let found = picked.iter().find_map(|peer| match peer {
            PeerSelector::Labels(selector) => label_obstacle(selector, labels),
            PeerSelector::Fqdn(name) => {
                let label = Requirement::exists(SelectorKey::new(source::FQDN, name.text()));
                label_obstacle(&Selector::from_parts([label]), labels)
            }
            _ => None,
        });
        found.or_else(|| {
            picked.iter().find_map(|peer| match peer {
                PeerSelector::Cidr(cidr) => self.block_obstacle(cidr, labels),
                PeerSelector::Entity(wanted) => entity_obstacle(*wanted, labels),
                _ => None,
            })
        })
    }

    fn block_obstacle(&self, cidr: &CidrSelector, labels: &Labels) -> Option<Obstacle> {
        let block = cidr.block()?;
        if !is_outside(labels) {
            let covered = |address: &IpAddr| {
                let except = cidr.except.iter().any(|except| except.contains(address));
                block.contains(address) && !except
            };
            let managed = self.addresses.iter().any(covered);
            return managed.then_some(Obstacle::Managed { block });
        }
        let own = narrowest(labels);
        let inside = |block: &IpNet| own.is_some_and(|own| block.contains(&own));
        Some(match cidr.except.iter().find(|except| inside(except)) {
            Some(except) if inside(&block) => Obstacle::Except {
                block,
                except: *except,
            },
            _ => Obstacle::Cidr {
                wanted: block,
                found: own,
            },
        })
    }
}

impl NearMiss {
    pub(crate) fn new(rule: &Arc<RuleRef>, obstacle: Obstacle) -> Self {
        Self {
            rule: Arc::clone(rule),
            obstacle,
        }
    }
}

fn is_outside(labels: &Labels) -> bool {
    let mut names = entity_labels(Entity::World).iter();
    names.any(|name| labels.reserved(name))
}

fn narrowest(labels: &Labels) -> Option<IpNet> {
    labels.blocks().max_by_key(IpNet::prefix_len)
}

/// The only term that does not hold, if it is only one.
fn label_obstacle(selector: &Selector, labels: &Labels) -> Option<Obstacle> {
    let mut failing = selector
        .requirements()
        .iter()
        .filter(|term| !term.matches(labels));
    let (Some(term), None) = (failing.next(), failing.next()) else {
        return None;
    };
    if !identifies(selector, term) {
        return None;
    }
    if let Operator::Equals(wanted) = &term.operator {
        let wanted = wanted.to_string();
        if term.key.covers(source::K8S, key::NAMESPACE) {
            let found = labels.namespace()?.to_owned();
            return Some(Obstacle::Namespace { wanted, found });
        }
        if term.key.covers(source::K8S, key::CLUSTER) {
            let found = labels.get(source::K8S, key::CLUSTER)?.to_owned();
            return Some(Obstacle::Cluster { wanted, found });
        }
    }
    let found = labels
        .iter()
        .find(|label| term.key.covers(label.source(), label.key()));
    Some(Obstacle::Label {
        wanted: term.to_string(),
        found: found.map(ToString::to_string),
    })
}

/// Whether a term says who is meant. One that only says where counts if another says who: a rule
/// for all of a namespace is no near miss of everybody elsewhere.
fn identifies(selector: &Selector, term: &Requirement) -> bool {
    let who = |term: &Requirement| ![key::NAMESPACE, key::CLUSTER].contains(&term.key.key());
    who(term) || selector.requirements().iter().any(who)
}

/// One entity is taken for another; workloads are no entities, but those of other clusters are
/// near `cluster`.
fn entity_obstacle(wanted: Entity, labels: &Labels) -> Option<Obstacle> {
    let is = |entity: &Entity| {
        entity_labels(*entity)
            .iter()
            .any(|name| labels.reserved(name))
    };
    let single = [
        Entity::Host,
        Entity::KubeApiserver,
        Entity::RemoteNode,
        Entity::Health,
        Entity::Ingress,
        Entity::Init,
        Entity::Unmanaged,
        Entity::WorldIpv4,
        Entity::WorldIpv6,
        Entity::World,
    ];
    let found = match (single.into_iter().find(is), wanted) {
        (Some(found), _) => found,
        (None, Entity::Cluster) if labels.namespace().is_some() => Entity::ClusterMesh,
        (None, _) => return None,
    };
    Some(Obstacle::Entity { wanted, found })
}

impl fmt::Display for NearMiss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.rule, self.obstacle)
    }
}

impl fmt::Display for GroupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.protocol, &self.port, self.end) {
            (Protocol::ANY, ..) => f.write_str("every port"),
            (protocol, Port::Number(0), 0) => write!(f, "{protocol}"),
            (protocol, Port::Number(first), last) if last > *first => {
                write!(f, "{protocol}/{first}-{last}")
            }
            (protocol, port, _) => write!(f, "{protocol}/{port}"),
        }
    }
}
