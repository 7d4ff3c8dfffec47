//! Which of all that covers a flow decides.

use std::cmp::Reverse;

use super::merge::Settled;
use super::peers::Who;
use super::ports::{Level, Ports};
use super::statement::Stage;
use super::subject::Subject;
use crate::rule::Action;
use crate::{Direction, Query};

/// What covers a flow.
#[derive(Debug, Clone, Copy)]
pub(super) struct Contribution<'s> {
    pub(super) settled: &'s Settled,
    pub(super) level: Level,
    /// Whether it stands in the table for any peer, not for this one.
    pub(super) any_peer: bool,
}

/// Greater is stronger: by tier, priority, then what is asked for.
pub(super) type Precedence = (Reverse<Stage>, Reverse<(u16, usize)>, u16);

impl<'s> Contribution<'s> {
    pub(super) fn of(settled: &'s Settled, query: &Query, subject: &Subject<'_>) -> Option<Self> {
        let by_name = matches!(settled.ports, Ports::Name { .. });
        let of_each_peer = by_name && query.direction == Direction::Egress;
        Some(Self {
            settled,
            level: settled.ports.level(query, subject)?,
            any_peer: settled.who == Who::Anybody && !of_each_peer,
        })
    }

    pub(super) fn precedence(&self) -> Precedence {
        let Settled {
            stage,
            priority,
            terms,
            ..
        } = self.settled;
        (Reverse(*stage), Reverse(*priority), terms.rank())
    }

    pub(super) fn action(&self) -> Action {
        self.settled.terms.action
    }
}

/// The allowances that stand, strongest first; `None` if the flow is denied.
///
/// What a denial or a pass overrules does not stand, though something stronger allow the flow. In each
/// tier the strongest decides; one that passes the flow on, or none at all, leaves it to the
/// next tier. After the last one it is denied.
pub(super) fn standing<'c, 's>(
    contributions: &'c [Contribution<'s>],
) -> Option<Vec<&'c Contribution<'s>>> {
    let mut ordered: Vec<_> = contributions.iter().collect();
    ordered.sort_by_key(|one| Reverse(one.precedence()));
    for stage in [Stage::Admin, Stage::Normal, Stage::Baseline, Stage::Default] {
        let strongest = ordered.iter().find(|one| one.settled.stage == stage);
        match strongest.map(|one| one.action()) {
            Some(Action::Deny) => return None,
            Some(Action::Allow) => {
                ordered.retain(|one| one.settled.stage >= stage);
                return Some(unopposed(ordered));
            }
            Some(Action::Pass) | None => {}
        }
    }
    None
}

/// The allowances before the first denial, without those that are passed over.
fn unopposed<'c, 's>(ordered: Vec<&'c Contribution<'s>>) -> Vec<&'c Contribution<'s>> {
    let mut passed = None;
    let mut unopposed = Vec::new();
    for one in ordered {
        match one.action() {
            _ if passed == Some(one.settled.stage) => {}
            Action::Deny => break,
            Action::Pass => passed = Some(one.settled.stage),
            Action::Allow => unopposed.push(one),
        }
    }
    unopposed
}
