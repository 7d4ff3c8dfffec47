//! Specs of NetworkPolicy.

use super::document::peer_field;
use super::json::{Fields, Json, only};
use super::ports;
use super::selector::{plain, selector};
use crate::direction::Direction;
use crate::peers::{CidrPeer, CidrSource, Peer, Peers};
use crate::port_rule::PortRule;
use crate::rule::{Rule, Spec};

pub(super) fn spec(spec: &Spec) -> Fields {
    let mut fields = Fields::default();
    fields.put("podSelector", selector(&spec.subject, plain));
    for direction in Direction::ALL {
        let rules = spec.rules.iter();
        let rules = rules.filter(|rule| rule.direction == direction);
        fields.filled(direction.name(), rules.map(rule));
    }
    if let Some(types) = spec.policy_types {
        let names = [("Ingress", types.ingress), ("Egress", types.egress)];
        let names = names.into_iter().filter(|(_, listed)| *listed);
        fields.filled("policyTypes", names.map(|(name, _)| name));
    }
    fields
}

fn rule(rule: &Rule) -> Fields {
    let mut fields = Fields::default();
    if let Peers::Listed(peers) = &rule.peers {
        let peers = peers.iter().filter_map(peer);
        fields.filled(peer_field(rule.direction), peers);
    }
    let ports = rule.ports.iter().flatten();
    let ports = ports.flat_map(|element: &PortRule| &element.ports);
    fields.filled("ports", ports.map(ports::network));
    fields
}

fn peer(peer: &Peer) -> Option<Json> {
    match peer {
        Peer::Pods(peer) => {
            let mut fields = Fields::default();
            let pods = peer.pods.as_ref().map(|by| selector(by, plain));
            fields.some("podSelector", pods);
            let namespaces = peer.namespaces.as_ref();
            let namespaces = namespaces.map(|by| selector(by, super::cluster::namespace));
            fields.some("namespaceSelector", namespaces);
            Some(fields.into())
        }
        Peer::Cidr(cidr) => ip_block(cidr),
        _ => None,
    }
}

fn ip_block(cidr: &CidrPeer) -> Option<Json> {
    let CidrSource::Block(block) = &cidr.source else {
        return None;
    };
    let mut fields = Fields::default();
    fields.put("cidr", block.to_string());
    fields.filled("except", cidr.except.iter().map(ToString::to_string));
    Some(only("ipBlock", fields))
}
