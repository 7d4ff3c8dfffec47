//! Whom a selector picks.

use ipnet::IpNet;
use porin_identity::{Family, Labels, Operator, Requirement, SelectorKey, source};

use super::peers::{Reach, Who};
use super::subject::Subject;
use crate::Options;
use crate::peers::{CidrPeer, CidrSource};

/// What stands before the name of a group in the label of its blocks.
const GROUP_NAME: &str = "io.cilium.policy.cidrgroupname/";

impl Who {
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
        CidrSource::Address(address) => inside(&IpNet::from(*address)),
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
        Reach::NotPods => world || node,
        Reach::Chosen if world => true,
        Reach::Chosen => {
            if node {
                mode.nodes
            } else {
                mode.pods
            }
        }
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
        Reach::Everywhere | Reach::NotPods => true,
        Reach::Chosen => options.cidr_match.pods,
    } && options.families.speaks(family);
    let addressed = || labels.blocks().any(|own| Family::of(&own.addr()) == family);
    labels.reserved(options.families.world_name(family)) || (every && addressed())
}

/// A label `k=v` of a group is the key `k+v` on its blocks, since they can lie in several groups.
fn group_fits(term: &Requirement, labels: &Labels) -> bool {
    let (source, key) = (term.key.source(), term.key.key());
    let has = |value: &str| {
        let key = SelectorKey::new(source, &format!("{key}+{value}"));
        Requirement::exists(key).matches(labels)
    };
    match &term.operator {
        Operator::Equals(value) => has(value),
        Operator::In(values) => values.iter().any(|value| has(value)),
        Operator::NotIn(values) => !values.iter().any(|value| has(value)),
        Operator::Exists | Operator::DoesNotExist => term.matches(labels),
    }
}
