//! What the selector of all CIDR groups does to the wildcard.
//!
//! Both have one text, and upstream has one selector for a text: it picks whom the one picks that is
//! met first. That shows where peers are listed, because a port name on egress has to be looked up
//! with each of them.

use porin_identity::Selector;

use super::choice::says_as;
use super::peers::{Reach, Who, names_all_groups};
use super::ports::Ports;
use super::statement::written_down;
use super::subject::Subject;
use super::verdict::Contribution;
use crate::peers::{CidrPeer, CidrSource};
use crate::{Direction, Query};

impl Subject<'_> {
    /// Whether the selector of all groups is met before the wildcard: ingress is met before egress,
    /// the stronger before the weaker.
    fn meets_groups_first(&self) -> bool {
        let directions = Direction::ALL.into_iter();
        let enforced = directions.filter(|direction| self.enforced(*direction));
        let mut met = enforced
            .flat_map(|direction| written_down(self, direction, None))
            .filter(|statement| statement.who == Who::Anybody);
        let first = met.next().and_then(|statement| statement.origin);
        !self.strict() && first.is_some_and(|origin| names_all_groups(origin.rule))
    }
}

/// Leaves of what everybody is told about names of ports on egress what reaches the peer. What says
/// no more than everybody is told is not written down for a peer, whoever everybody is.
pub(super) fn list(
    contributions: &mut Vec<Contribution<'_>>,
    query: &Query,
    subject: &Subject<'_>,
) {
    let listed = |one: &Contribution<'_>| {
        let by_name = matches!(one.settled.ports, Ports::Name { .. });
        by_name && query.direction == Direction::Egress
    };
    if !contributions.iter().any(listed) || !subject.meets_groups_first() {
        return;
    }
    let of_everybody = |one: &Contribution<'_>| one.settled.who == Who::Anybody;
    let (wild, others) = contributions
        .drain(..)
        .partition::<Vec<_>, _>(|one| listed(one) && of_everybody(one));
    let said = |one: &Contribution<'_>| listed(one) && wild.iter().any(|wild| says_as(wild, one));
    contributions.extend(others.into_iter().filter(|one| !said(one)));
    let groups = CidrPeer {
        source: CidrSource::Groups(Selector::everything()),
        except: Vec::new(),
    };
    let peer = subject.identities.labels(query.peer);
    if Who::Cidr(groups, Reach::Chosen).picks(peer, subject) {
        contributions.extend(wild);
    }
}
