//! When one selector, peer or port certainly covers another, judged by their texts alone.
//!
//! "No" means "not certainly": lint would rather miss a finding than report a wrong one.

use porin_identity::{Operator, Requirement, Selector, SelectorKey, source};

use crate::peer::{PeerSelector, PeerSet};
use crate::peers::{CidrPeer, Entity};
use crate::port_rule::{Port, PortProtocol, PortRule, PortSpec};

/// Whether `wide` selects whatever `narrow` selects: each of its terms follows from one of theirs.
pub(super) fn covers_selector(wide: &Selector, narrow: &Selector) -> bool {
    wide.requirements().iter().all(|asked| {
        narrow
            .requirements()
            .iter()
            .any(|given| implies(given, asked))
    })
}

fn implies(given: &Requirement, asked: &Requirement) -> bool {
    use Operator::{DoesNotExist, Equals, Exists, In, NotIn};
    if !same_key(&given.key, &asked.key) {
        return false;
    }
    match (&given.operator, &asked.operator) {
        (Equals(value), Equals(wanted)) => value == wanted,
        (Equals(value), In(wanted)) => wanted.contains(value),
        (Equals(value), NotIn(unwanted)) => !unwanted.contains(value),
        (In(values), In(wanted)) => values.iter().all(|value| wanted.contains(value)),
        (In(values), NotIn(unwanted)) => !values.iter().any(|value| unwanted.contains(value)),
        (NotIn(values), NotIn(unwanted)) => unwanted.iter().all(|value| values.contains(value)),
        (Equals(_) | In(_) | Exists, Exists) | (DoesNotExist, DoesNotExist | NotIn(_)) => true,
        _ => false,
    }
}

/// Workloads carry labels of source k8s; a key without a source finds those.
fn same_key(a: &SelectorKey, b: &SelectorKey) -> bool {
    let any_or_k8s = |key: &SelectorKey| key.is_any() || key.source() == source::K8S;
    a.key() == b.key() && (a.source() == b.source() || any_or_k8s(a) && any_or_k8s(b))
}

/// Whether `wide` picks everybody whom `narrow` picks.
pub(super) fn covers_peers(wide: &PeerSet, narrow: &PeerSet) -> bool {
    match (wide, narrow) {
        (PeerSet::Anybody, _) | (_, PeerSet::Nobody) => true,
        (PeerSet::Picked(wide), PeerSet::Picked(narrow)) => narrow
            .iter()
            .all(|peer| wide.iter().any(|candidate| covers_peer(candidate, peer))),
        (PeerSet::Nobody, _) | (PeerSet::Picked(_), PeerSet::Anybody) => false,
    }
}

fn covers_peer(wide: &PeerSelector, narrow: &PeerSelector) -> bool {
    use PeerSelector::{Cidr, Entity as Named, Labels};
    match (wide, narrow) {
        (Named(Entity::All), _) => true,
        (Labels(wide), Labels(narrow)) => covers_selector(wide, narrow),
        (Cidr(wide), Cidr(narrow)) => covers_block(wide, narrow),
        (Named(wide), Named(narrow)) => covers_entity(*wide, *narrow),
        (Named(Entity::World), Cidr(_)) => true,
        (Named(Entity::Cluster | Entity::ClusterMesh), Labels(narrow)) => is_in_cluster(narrow),
        _ => false,
    }
}

/// A peer selector of the own cluster is scoped to it and so names the key.
fn is_in_cluster(selector: &Selector) -> bool {
    let cluster = |term: &Requirement| {
        term.key.key() == porin_identity::key::CLUSTER
            && matches!(term.operator, Operator::Equals(_))
    };
    selector.requirements().iter().any(cluster)
}

fn covers_entity(wide: Entity, narrow: Entity) -> bool {
    match wide {
        Entity::World => matches!(
            narrow,
            Entity::World | Entity::WorldIpv4 | Entity::WorldIpv6
        ),
        Entity::ClusterMesh | Entity::Cluster => {
            let part = matches!(
                narrow,
                Entity::Cluster
                    | Entity::Host
                    | Entity::RemoteNode
                    | Entity::Init
                    | Entity::Ingress
                    | Entity::Health
                    | Entity::Unmanaged
                    | Entity::KubeApiserver
            );
            part || wide == narrow
        }
        _ => wide == narrow,
    }
}

fn covers_block(wide: &CidrPeer, narrow: &CidrPeer) -> bool {
    let (Some(all), Some(part)) = (wide.block(), narrow.block()) else {
        return wide.source == narrow.source
            && wide.except.iter().all(|hole| narrow.except.contains(hole));
    };
    let left_out = |hole: &ipnet::IpNet| {
        let apart = !hole.contains(&part) && !part.contains(hole);
        apart || narrow.except.iter().any(|own| own.contains(hole))
    };
    all.contains(&part) && wide.except.iter().all(left_out)
}

/// Whether `wide` has every port of `narrow`; no element is every port and protocol.
pub(super) fn covers_ports(wide: Option<&PortRule>, narrow: Option<&PortRule>) -> bool {
    match (wide, narrow) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(wide), Some(narrow)) => {
            let covered = |port: &PortSpec| {
                wide.ports
                    .iter()
                    .any(|candidate| covers_port(candidate, port))
            };
            !narrow.ports.is_empty() && narrow.ports.iter().all(covered)
        }
    }
}

/// Whether a port stands in both.
pub(super) fn ports_meet(a: Option<&PortRule>, b: Option<&PortRule>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => a
            .ports
            .iter()
            .any(|one| b.ports.iter().any(|other| port_meets(one, other))),
        (Some(only), None) | (None, Some(only)) => !only.ports.is_empty(),
        (None, None) => true,
    }
}

fn covers_port(wide: &PortSpec, narrow: &PortSpec) -> bool {
    let (Some((first, last)), Some((from, to))) = (range(wide), range(narrow)) else {
        return wide == narrow;
    };
    (wide.protocol == PortProtocol::Any || wide.protocol == narrow.protocol)
        && first <= from
        && to <= last
}

fn port_meets(a: &PortSpec, b: &PortSpec) -> bool {
    let (Some((first, last)), Some((from, to))) = (range(a), range(b)) else {
        return a == b;
    };
    let any = a.protocol == PortProtocol::Any || b.protocol == PortProtocol::Any;
    (any || a.protocol == b.protocol) && first <= to && from <= last
}

/// First and last port. Zero is every port, and with an end it is so for Cilium. `None` for names,
/// which stand for other numbers at every workload.
fn range(port: &PortSpec) -> Option<(u16, u16)> {
    let Port::Number(first) = port.port else {
        return None;
    };
    Some(match port.end_port {
        _ if first == 0 => (0, u16::MAX),
        Some(end) if end > first => (first, end),
        _ => (first, first),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selector(terms: &[(&str, &str)]) -> Selector {
        terms
            .iter()
            .filter_map(|(key, value)| Requirement::parse_label(key, value).ok())
            .collect()
    }

    #[test]
    fn a_selector_covers_those_with_more_terms() {
        let app = selector(&[("app", "a")]);
        let both = selector(&[("k8s:app", "a"), ("tier", "x")]);
        assert!(covers_selector(&app, &both) && !covers_selector(&both, &app));
        assert!(covers_selector(&Selector::everything(), &app));
        assert!(!covers_selector(&app, &selector(&[("app", "b")])));
        assert!(!covers_selector(&selector(&[("reserved:app", "a")]), &app));
    }

    #[test]
    fn a_block_covers_what_its_holes_leave() {
        let peer = |block: &str, except: &[&str]| CidrPeer {
            source: crate::peers::CidrSource::Block(
                crate::parse::parse_block(block).unwrap_or_default(),
            ),
            except: except
                .iter()
                .filter_map(|text| crate::parse::parse_block(text))
                .collect(),
        };
        assert!(covers_block(
            &peer("10.0.0.0/8", &["10.9.0.0/16"]),
            &peer("10.1.0.0/16", &[])
        ));
        assert!(!covers_block(
            &peer("10.0.0.0/8", &["10.1.2.0/24"]),
            &peer("10.1.0.0/16", &[])
        ));
        assert!(covers_block(
            &peer("10.0.0.0/8", &["10.1.2.0/24"]),
            &peer("10.1.0.0/16", &["10.1.0.0/20"])
        ));
        assert!(!covers_block(
            &peer("10.1.0.0/16", &[]),
            &peer("10.0.0.0/8", &[])
        ));
    }
}
