//! Whom the wildcard picks where its peers are listed.
//!
//! Upstream knows a selector by its text, and `cidrGroupSelector: {}` has the text of the wildcard:
//! of the two the one that is met first says who is picked by both. Where an entry holds for any peer,
//! nobody is listed, and it makes no difference. A port name on egress means a number with each peer:
//! there it does.

use std::cmp::Reverse;

use crate::Semantics;
use crate::compile::Trial;
use crate::draft::Matched;
use crate::lane::LanePolicy;
use crate::peer::PeerSelector;
use crate::peer_set::PeerSet;

/// The selector that has taken the place of the wildcard by being met first, if one has. Ingress is
/// met before egress, and stronger rules before weaker ones; `ingress` is resolved.
pub(crate) fn taken_by<'a>(
    ingress: &LanePolicy,
    [inward, outward]: &[Vec<Matched<'a>>; 2],
    trial: Trial,
    semantics: Semantics,
) -> Option<&'a PeerSelector> {
    let first = |lanes: &[Matched<'a>]| first(lanes, trial, semantics);
    let inward = match ingress.enforced {
        true if ingress.ends_with_everybody(!inward.is_empty()) => first(inward).or(Some(None)),
        true => first(inward),
        false => None,
    };
    inward.or_else(|| first(outward))?
}

/// What is met first in one direction: the selector in the wildcard's place, or, as `Some(None)`, the
/// wildcard.
fn first<'a>(
    lanes: &[Matched<'a>],
    trial: Trial,
    semantics: Semantics,
) -> Option<Option<&'a PeerSelector>> {
    let rules = lanes.iter().flat_map(|(_, lane)| lane.rules_in(trial));
    let with_ports = rules.filter(|rule| !rule.ports.is_empty());
    let met = with_ports.filter_map(|rule| {
        let met = match &rule.peers {
            PeerSet::Anybody => None,
            PeerSet::Picked(picked) => {
                let mut picked = picked.iter();
                Some(picked.find(|peer| peer.passes_for_wildcard(semantics))?)
            }
            PeerSet::Nobody => return None,
        };
        Some((Reverse(rule.level), met))
    });
    met.min_by_key(|(level, _)| *level).map(|(_, met)| met)
}
