//! The other side of a rule, taken apart as far as it can be compared.

use porin_identity::{Operator, Requirement, Selector, SelectorKey, key, source};

use super::cover::covers_selector;
use crate::options::Options;
use crate::peers::{CidrPeer, Entity, Peer, Peers, PodPeer};
use crate::rule::{Action, Document, PolicyKind, Rule, Spec};
use crate::scope::scope_peer;

/// Whom a rule speaks of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Side {
    Nobody,
    Anybody,
    /// The union of these.
    Picked(Vec<Pick>),
}

/// One part of a side, scoped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Pick {
    /// Whoever has such labels, workload or not.
    Labels(Selector),
    /// Workloads with such labels.
    Pods(Selector),
    Nodes(Selector),
    /// Blocks; `inside` if they may speak of workloads and nodes too.
    Block {
        cidr: CidrPeer,
        inside: bool,
    },
    Entity(Entity),
    /// What only compares with its like: names, services, groups.
    Other(Peer),
}

impl Side {
    pub(super) fn of(document: &Document, spec: &Spec, rule: &Rule, options: &Options) -> Self {
        let kind = document.name.kind;
        let listed = match &rule.peers {
            Peers::Unspecified if kind.is_kubernetes() || rule.ports.is_some() => {
                return Self::Anybody;
            }
            Peers::Unspecified | Peers::Unnamed => return Self::Nobody,
            Peers::Listed(listed) => listed,
        };
        let mut picked: Vec<Pick> = Vec::with_capacity(listed.len());
        for peer in listed {
            let pick = match peer {
                Peer::Entity(Entity::All) => return Self::Anybody,
                // An allowance for whom nobody knows is for nobody, a denial for everybody.
                Peer::Unknown if rule.action == Action::Allow => continue,
                Peer::Unknown => return Self::Anybody,
                Peer::Entity(Entity::None) => continue,
                peer => pick(document, spec, peer, options),
            };
            match &pick {
                Pick::Labels(selector) if selector.is_everything() => return Self::Anybody,
                _ if picked.contains(&pick) => {}
                _ => picked.push(pick),
            }
        }
        match picked.is_empty() {
            true => Self::Nobody,
            false => Self::Picked(picked),
        }
    }
}

fn pick(document: &Document, spec: &Spec, peer: &Peer, options: &Options) -> Pick {
    match peer {
        Peer::Endpoints(written) => {
            Pick::Labels(scope_peer(written, &spec.subject, &document.name, options))
        }
        Peer::Pods(peer) => Pick::Pods(pods(peer, document.name.namespace.as_deref())),
        Peer::Nodes(selector) => Pick::Nodes(selector.clone()),
        Peer::Cidr(cidr) => Pick::Block {
            cidr: CidrPeer::clone(cidr),
            inside: speaks_of_insiders(document.name.kind, options),
        },
        Peer::Entity(entity) => Pick::Entity(*entity),
        other => Pick::Other(other.clone()),
    }
}

/// Whether blocks in documents of this kind may speak of workloads or nodes.
pub(super) fn speaks_of_insiders(kind: PolicyKind, options: &Options) -> bool {
    let reach = options.block_reach(kind);
    reach.pods || reach.nodes
}

/// The labels of the workloads that a peer of a Kubernetes kind picks.
pub(super) fn pods(peer: &PodPeer, own: Option<&str>) -> Selector {
    let namespace = SelectorKey::new(source::K8S, key::NAMESPACE);
    let place = match (&peer.namespaces, own) {
        (None, Some(own)) => vec![Requirement::equals(namespace, own)],
        (None, None) => vec![Requirement::exists(namespace)],
        (Some(selector), _) => {
            let terms = selector.requirements().iter().map(by_namespace_name);
            terms.chain([Requirement::exists(namespace)]).collect()
        }
    };
    let labels = peer.pods.iter().flat_map(Selector::requirements).cloned();
    labels.chain(place).collect()
}

/// A workload subject of a Kubernetes kind in the same words.
pub(super) fn pod_subject(subject: &Selector) -> Selector {
    let namespace = SelectorKey::new(source::K8S, key::NAMESPACE);
    let terms = subject.requirements().iter().map(by_namespace_name);
    terms.chain([Requirement::exists(namespace)]).collect()
}

/// Every namespace carries its name as a label (`kubernetes.io/metadata.name`).
fn by_namespace_name(term: &Requirement) -> Requirement {
    let name = term.key.key().strip_prefix(key::NAMESPACE_LABELS_PREFIX);
    match name {
        Some("kubernetes.io/metadata.name") => Requirement::new(
            SelectorKey::new(source::K8S, key::NAMESPACE),
            term.operator.clone(),
        ),
        _ => term.clone(),
    }
}

/// Whether `wide` picks everybody whom `narrow` picks.
pub(super) fn covers_side(wide: &Side, narrow: &Side) -> bool {
    match (wide, narrow) {
        (Side::Anybody, _) | (_, Side::Nobody) => true,
        (Side::Picked(wide), Side::Picked(narrow)) => narrow
            .iter()
            .all(|pick| wide.iter().any(|candidate| covers_pick(candidate, pick))),
        (Side::Nobody, _) | (Side::Picked(_), Side::Anybody) => false,
    }
}

fn covers_pick(wide: &Pick, narrow: &Pick) -> bool {
    use Pick::{Block, Entity as Named, Labels, Nodes, Other, Pods};
    match (wide, narrow) {
        (Named(Entity::All), _) => true,
        (Labels(wide), Labels(narrow) | Pods(narrow))
        | (Pods(wide), Pods(narrow))
        | (Nodes(wide), Nodes(narrow)) => covers_selector(wide, narrow),
        (Pods(wide), Labels(narrow)) => picks_pods(narrow) && covers_selector(wide, narrow),
        (
            Block { cidr, inside },
            Block {
                cidr: part,
                inside: also,
            },
        ) => (*inside || !also) && covers_block(cidr, part),
        (Named(wide), Named(narrow)) => covers_entity(*wide, *narrow),
        (Named(Entity::World), Block { inside, .. }) => !inside,
        (Named(Entity::Cluster | Entity::ClusterMesh), Labels(narrow) | Pods(narrow)) => {
            is_in_cluster(narrow)
        }
        (Other(wide), Other(narrow)) => wide == narrow,
        _ => false,
    }
}

/// Only workloads have a namespace.
fn picks_pods(selector: &Selector) -> bool {
    let somewhere = |term: &Requirement| {
        term.key.covers(source::K8S, key::NAMESPACE) && !is_negative(&term.operator)
    };
    selector.requirements().iter().any(somewhere)
}

/// Whether absence satisfies it.
pub(super) fn is_negative(operator: &Operator) -> bool {
    matches!(operator, Operator::NotIn(_) | Operator::DoesNotExist)
}

/// A peer selector of the own cluster is scoped to it and so names the key.
fn is_in_cluster(selector: &Selector) -> bool {
    let cluster = |term: &Requirement| {
        term.key.key() == key::CLUSTER && matches!(term.operator, Operator::Equals(_))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_covers_what_its_holes_leave() {
        let peer = |block: &str, except: &[&str]| CidrPeer {
            source: crate::CidrSource::Block(crate::parse::parse_block(block).unwrap_or_default()),
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

    #[test]
    fn pods_and_labels_compare_where_both_are_workloads() {
        let selector = |text: &str| text.parse::<Selector>().unwrap_or_default();
        let peer = PodPeer {
            pods: Some(selector("k8s:app=a")),
            namespaces: Some(selector(
                "k8s:io.cilium.k8s.namespace.labels.kubernetes.io/metadata.name=shop",
            )),
        };
        let pods = Pick::Pods(pods(&peer, Some("other")));
        let shop = Pick::Labels(selector("k8s:io.kubernetes.pod.namespace=shop"));
        let anywhere = Pick::Labels(selector("k8s:app=a"));
        assert!(covers_pick(&shop, &pods) && covers_pick(&anywhere, &pods));
        let same = Pick::Labels(selector("app=a,k8s:io.kubernetes.pod.namespace=shop"));
        assert!(covers_pick(&pods, &same) && !covers_pick(&pods, &anywhere));
    }
}
