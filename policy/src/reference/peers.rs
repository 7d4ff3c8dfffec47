//! Who the other side of a rule is.

use ipnet::IpNet;
use porin_identity::{
    Family, Label, Labels, Operator, Requirement, Selector, SelectorKey, key, source,
};

use super::scope;
use super::subject::Subject;
use crate::peers::{
    CidrPeer, CidrSource, Entity, FqdnPeer, Peer, Peers, ServicePeer, ServiceSource,
};
use crate::rule::{Action, Document, PolicyKind, Rule, Spec};
use crate::{Backends, IpBlocks, Options, Service};

/// What stands before the name of a group in the label of its blocks.
const GROUP_NAME: &str = "io.cilium.policy.cidrgroupname/";

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
    /// The world.
    Outside,
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
    if picked.contains(&Who::Anybody) {
        return vec![Who::Anybody];
    }
    picked
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
        Peer::Cidr(cidr) if is_everybody(cidr) && !subject.strict() => vec![Who::Anybody],
        Peer::Cidr(cidr) => vec![Who::Cidr(cidr.clone(), reach(document.name.kind, options))],
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

fn of_labels(selector: Selector) -> Who {
    if selector.is_everything() {
        Who::Anybody
    } else {
        Who::Labels(selector)
    }
}

/// The selector of all groups, which upstream takes for the selector of everybody.
fn is_everybody(cidr: &CidrPeer) -> bool {
    let all = matches!(&cidr.source, CidrSource::Groups(selector) if selector.is_everything());
    all && cidr.except.is_empty()
}

fn reach(kind: PolicyKind, options: &Options) -> Reach {
    match (kind, options.ip_blocks) {
        (PolicyKind::NetworkPolicy, IpBlocks::SkipPods) => Reach::Outside,
        _ if kind.is_kubernetes() => Reach::Everywhere,
        _ => Reach::Chosen,
    }
}

/// An entity is any of some labels, and each of them is a selector of its own.
fn entity_labels(entity: Entity, options: &Options) -> Vec<Who> {
    let reserved = |name: &&str| {
        let key = SelectorKey::new(source::RESERVED, name);
        Selector::from_parts([Requirement::equals(key, "")])
    };
    let cluster = |source: &str| SelectorKey::new(source, key::CLUSTER);
    let parts = [
        "host",
        "remote-node",
        "init",
        "ingress",
        "health",
        "unmanaged",
        "kube-apiserver",
    ];
    let mut names: Vec<&str> = match entity {
        Entity::All => return vec![Who::Anybody],
        Entity::Cluster | Entity::ClusterMesh => parts.to_vec(),
        _ => vec![entity.name()],
    };
    names.extend(match entity {
        Entity::World => &["world-ipv4", "world-ipv6", "aggregate-world"][..],
        Entity::RemoteNode => &["aggregate-remote-node"],
        Entity::Cluster => &["aggregate-cluster"],
        Entity::ClusterMesh => &["aggregate-cluster", "aggregate-cluster-mesh"],
        _ => &[],
    });
    let place = match entity {
        Entity::Cluster => Some(Requirement::equals(
            cluster(source::K8S),
            &options.cluster_name,
        )),
        Entity::ClusterMesh => Some(Requirement::exists(cluster(source::ANY))),
        _ => None,
    };
    let place = place.map(|place| Selector::from_parts([place]));
    names
        .iter()
        .map(reserved)
        .chain(place)
        .map(Who::Labels)
        .collect()
}

fn is_meant(peer: &ServicePeer, service: &Service) -> bool {
    let inside = peer
        .namespace
        .as_ref()
        .is_none_or(|own| *own == service.namespace);
    inside
        && match &peer.source {
            ServiceSource::Name(name) => *name == service.name,
            ServiceSource::Selector(selector) => {
                let labels = service.labels.iter();
                let labels: Labels = labels
                    .filter_map(|(key, value)| Label::new(source::K8S, key, value).ok())
                    .collect();
                selector.matches(&labels)
            }
        }
}

fn backends(document: &Document, spec: &Spec, service: &Service, options: &Options) -> Vec<Who> {
    match &service.backends {
        Backends::Pods(labels) => {
            let place = (key::NAMESPACE, &*service.namespace);
            let labels = labels.iter().map(|(key, value)| (&**key, &**value));
            let terms = labels
                .chain([place])
                .map(|(key, value)| Requirement::equals(SelectorKey::new(source::K8S, key), value));
            let pods = Selector::from_parts(terms);
            vec![of_labels(scope::endpoints(document, spec, &pods, options))]
        }
        Backends::Addresses(addresses) => {
            let block = |address: &std::net::IpAddr| CidrPeer {
                source: CidrSource::Block(IpNet::from(*address)),
                except: Vec::new(),
            };
            addresses
                .iter()
                .map(|address| Who::Cidr(block(address), Reach::Chosen))
                .collect()
        }
    }
}

impl Who {
    /// Whether nobody can ever be picked, so that rules for it never conflict.
    pub(super) fn is_none(&self) -> bool {
        matches!(self, Self::Labels(selector)
            if entity_labels(Entity::None, &Options::new()).contains(&Self::Labels(selector.clone())))
    }

    /// Whether it picks an identity, by its labels; `None` if nobody knows it.
    pub(super) fn picks(&self, labels: Option<&Labels>, subject: &Subject<'_>) -> bool {
        let Some(labels) = labels else {
            return *self == Self::Anybody;
        };
        match self {
            Self::Anybody => true,
            Self::Labels(selector) => selector.matches(labels),
            Self::Nodes(selector) => {
                let node = labels.reserved("host") || labels.reserved("remote-node");
                node && selector.matches(labels)
            }
            Self::Cidr(cidr, reach) => cidr_picks(cidr, *reach, labels, subject),
            Self::Fqdn(fqdn) => labels.has_key(source::FQDN, fqdn.text()),
        }
    }
}

/// An exception is a condition: whoever lies inside is not picked.
fn cidr_picks(cidr: &CidrPeer, reach: Reach, labels: &Labels, subject: &Subject<'_>) -> bool {
    let inside = |block: &IpNet| lies_in(block, reach, labels, subject.options());
    let source = match &cidr.source {
        CidrSource::Block(block) => inside(block),
        CidrSource::Group(name) => {
            labels.has_key(source::CIDRGROUP, &format!("{GROUP_NAME}{name}"))
        }
        CidrSource::Groups(selector) => {
            let mut groups = labels
                .iter()
                .filter(|label| label.source() == source::CIDRGROUP);
            let member = groups.any(|label| label.key().starts_with(GROUP_NAME));
            let mut terms = selector.requirements().iter();
            (member || !subject.strict()) && terms.all(|term| group_fits(term, labels))
        }
    };
    is_eligible(reach, labels, subject) && source && !cidr.except.iter().any(inside)
}

fn is_eligible(reach: Reach, labels: &Labels, subject: &Subject<'_>) -> bool {
    let named = |names: &[&str]| {
        names
            .iter()
            .any(|name| subject.names_reserved(labels, name))
    };
    let world = named(&["world", "world-ipv4", "world-ipv6"]);
    let node = named(&["host", "remote-node"]);
    let mode = subject.options().cidr_match;
    match reach {
        Reach::Everywhere => true,
        Reach::Outside => world,
        Reach::Chosen => world || (node && mode.nodes) || (!world && !node && mode.pods),
    }
}

/// A block of length zero is the world of its family. Where pods and nodes count too, every address
/// of that family lies in it.
fn lies_in(block: &IpNet, reach: Reach, labels: &Labels, options: &Options) -> bool {
    let family = Family::of(&block.addr());
    if block.prefix_len() > 0 {
        return labels.blocks().any(|own| block.trunc().contains(&own));
    }
    let every = match reach {
        Reach::Everywhere => true,
        Reach::Outside => false,
        Reach::Chosen => options.cidr_match.pods && options.families.speaks(family),
    };
    let addressed = || labels.blocks().any(|own| Family::of(&own.addr()) == family);
    labels.reserved(options.families.world_name(family)) || (every && addressed())
}

/// A label `k=v` of a group is the key `k+v` on its blocks, since they can lie in several groups.
fn group_fits(term: &Requirement, labels: &Labels) -> bool {
    let key = term.key.key();
    let has = |value: &str| labels.has_key(source::CIDRGROUP, &format!("{key}+{value}"));
    match &term.operator {
        Operator::Equals(value) => has(value),
        Operator::In(values) => values.iter().any(|value| has(value)),
        Operator::NotIn(values) => !values.iter().any(|value| has(value)),
        Operator::Exists => labels.has_key(source::CIDRGROUP, key),
        Operator::DoesNotExist => !labels.has_key(source::CIDRGROUP, key),
    }
}
