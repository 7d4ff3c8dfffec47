//! Specs of the Cilium kinds.

use ipnet::IpNet;

use super::json::{Fields, Json, only};
use super::ports;
use super::selector::{any, group, selector};
use crate::direction::Direction;
use crate::group::AwsGroup;
use crate::peers::{CidrPeer, CidrSource, FqdnPeer, Peer, Peers, ServicePeer, ServiceSource};
use crate::rule::{Action, DefaultDeny, Guards, Rule, Spec, list_field};

pub(super) fn spec(spec: &Spec) -> Fields {
    let mut fields = Fields::default();
    let subject = match spec.guards {
        Guards::Endpoints => "endpointSelector",
        Guards::Nodes => "nodeSelector",
    };
    fields.put(subject, selector(&spec.subject, any));
    for direction in Direction::ALL {
        for action in [Action::Allow, Action::Deny] {
            let rules = spec.rules.iter();
            let rules = rules.filter(|rule| (rule.direction, rule.action) == (direction, action));
            let rules: Vec<Json> = rules.map(|one| rule(one).into()).collect();
            let mut empty = spec.empty_lists.iter();
            if !rules.is_empty()
                || empty.any(|list| (list.direction, list.action) == (direction, action))
            {
                fields.put(list_field(direction, action), rules);
            }
        }
    }
    default_deny(spec.default_deny, &mut fields);
    fields.filled("labels", spec.labels.iter().map(|label| label.as_str()));
    fields.some("description", spec.description.as_deref());
    fields.some("log", spec.log.as_deref().map(|log| only("value", log)));
    fields
}

fn default_deny(asked: DefaultDeny, fields: &mut Fields) {
    let mut directions = Fields::default();
    directions.some("ingress", asked.ingress);
    directions.some("egress", asked.egress);
    let directions = (!directions.is_empty()).then_some(directions);
    fields.some("enableDefaultDeny", directions);
}

fn rule(rule: &Rule) -> Fields {
    let mut fields = Fields::default();
    match &rule.peers {
        Peers::Unspecified => {}
        Peers::Unnamed => fields.put(&name(rule.direction, "Groups"), Vec::new()),
        Peers::Listed(listed) => peers(listed, rule.direction, &mut fields),
    }
    ports::ports(rule.ports.as_deref().unwrap_or_default(), &mut fields);
    let auth = rule.auth.map(|mode| only("mode", mode.name()));
    fields.some("authentication", auth);
    fields
}

/// `fromEndpoints`, `toEndpoints`.
fn name(direction: Direction, what: &str) -> String {
    match direction {
        Direction::Ingress => format!("from{what}"),
        Direction::Egress => format!("to{what}"),
    }
}

/// The elements of each peer field. The language has one of them in a rule.
fn peers(listed: &[Peer], direction: Direction, fields: &mut Fields) {
    if listed.is_empty() {
        fields.put(&name(direction, "Endpoints"), Vec::new());
    }
    let addresses = listed.iter().any(is_address);
    for what in [
        "Endpoints",
        "CIDR",
        "CIDRSet",
        "Entities",
        "Nodes",
        "Groups",
        "Services",
        "FQDNs",
    ] {
        let elements = listed.iter().filter_map(|one| peer(one, addresses));
        let elements = elements.filter(|(field, _)| *field == what);
        fields.filled(&name(direction, what), elements.map(|(_, element)| element));
    }
}

fn is_address(peer: &Peer) -> bool {
    matches!(peer, Peer::Cidr(cidr) if matches!(cidr.source, CidrSource::Address(_)))
}

/// The field of a peer without its beginning, and the element there. Pods are peers of the
/// Kubernetes kinds. Addresses without a prefix length stand in a list of texts, and what stands
/// beside them (`texts`) too.
fn peer(peer: &Peer, texts: bool) -> Option<(&'static str, Json)> {
    Some(match peer {
        Peer::Endpoints(by) => ("Endpoints", selector(by, any)),
        Peer::Cidr(cidr) => match &cidr.source {
            CidrSource::Address(address) => ("CIDR", address.to_string().into()),
            CidrSource::Block(block) if texts => ("CIDR", block.to_string().into()),
            _ => ("CIDRSet", cidr_set(cidr)),
        },
        Peer::Entity(entity) => ("Entities", entity.name().into()),
        Peer::Nodes(by) => ("Nodes", selector(by, any)),
        Peer::Group(peer) => ("Groups", groups(peer.aws.as_ref())),
        Peer::Service(peer) => ("Services", service(peer)),
        Peer::Fqdn(peer) => ("FQDNs", fqdn(peer)),
        Peer::Pods(_) | Peer::Unknown => return None,
    })
}

fn cidr_set(cidr: &CidrPeer) -> Json {
    let mut fields = Fields::default();
    match &cidr.source {
        CidrSource::Address(address) => fields.put("cidr", IpNet::from(*address).to_string()),
        CidrSource::Block(block) => fields.put("cidr", block.to_string()),
        CidrSource::Group(name) => fields.put("cidrGroupRef", &**name),
        CidrSource::Groups(by) => fields.put("cidrGroupSelector", selector(by, group)),
    }
    fields.filled("except", cidr.except.iter().map(ToString::to_string));
    fields.into()
}

fn groups(aws: Option<&AwsGroup>) -> Json {
    let mut fields = Fields::default();
    fields.some("aws", aws.map(AwsGroup::fields));
    fields.into()
}

fn service(peer: &ServicePeer) -> Json {
    let mut fields = Fields::default();
    let field = match &peer.source {
        ServiceSource::Name(name) => {
            fields.some("serviceName", (!name.is_empty()).then_some(name));
            "k8sService"
        }
        ServiceSource::Selector(by) => {
            fields.put("selector", selector(by, any));
            "k8sServiceSelector"
        }
    };
    fields.some("namespace", peer.namespace.as_deref());
    only(field, fields)
}

fn fqdn(peer: &FqdnPeer) -> Json {
    let mut fields = Fields::default();
    match peer {
        FqdnPeer::Name(name) => fields.put("matchName", name),
        FqdnPeer::Pattern(pattern) => {
            fields.some("matchPattern", (!pattern.is_empty()).then_some(pattern));
        }
    }
    fields.into()
}
