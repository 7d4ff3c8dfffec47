//! Blocks of addresses outside of the cluster, and what each set of policies calls them.

use ipnet::IpNet;
use porin_identity::{IdentityId, Label, source};

use crate::{FqdnPeer, NamePattern, PolicySet};

/// A block with an identity of its own.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) block: IpNet,
    pub(super) identity: IdentityId,
    /// The DNS names that lead there.
    pub(super) names: Vec<Box<str>>,
}

/// Whether a DNS name fits what a rule speaks of.
pub(super) fn fits(peer: &FqdnPeer, name: &str) -> bool {
    match peer {
        FqdnPeer::Name(text) => NamePattern::exact(text).matches(name),
        FqdnPeer::Pattern(text) => NamePattern::fqdn(text).matches(name),
    }
}

/// The labels that a set gives a place: of the CIDR groups around it, and of the DNS names that its
/// rules speak of.
pub(super) fn labels(place: &Place, places: &[Place], set: &PolicySet) -> Vec<Label> {
    let around = places
        .iter()
        .filter(|other| other.block.contains(&place.block));
    let groups = around.flat_map(|other| set.block_labels(&other.block));
    let spoken_of = set.fqdns().into_iter().filter(|peer| {
        let mut names = place.names.iter();
        names.any(|name| fits(peer, name))
    });
    let names = spoken_of.filter_map(|peer| Label::new(source::FQDN, peer.text(), "").ok());
    groups.chain(names).collect()
}
