//! Which of the contributions to a decision decided, and why the others did not.

use super::explanation::{Candidate, Weaker};
use super::near_miss::NearMiss;
use super::obstacle::Obstacle;
use crate::contribution::{Contribution, Does, surviving};
use crate::rule::Tier;
use crate::{Decision, EndpointPolicy, Reason, Verdict};

/// What covers the flow and did not decide, strongest first, and of it the allowances that only
/// their tier keeps from deciding.
pub(crate) fn weaker(
    policy: &EndpointPolicy,
    decision: &Decision,
) -> (Vec<Candidate>, Vec<NearMiss>) {
    let query = decision.query();
    let all = policy.candidates(query);
    let (mut candidates, mut misses) = (Vec::new(), Vec::new());
    let Some(decided) = surviving(all.iter()).next() else {
        return (candidates, misses);
    };
    let mut skipped = None;
    for one in &all {
        if one == decided {
            continue;
        }
        let origin = policy.reason(query.direction, one.cookie);
        let because = match one.does {
            _ if skipped == Some(one.tier()) => Weaker::Skipped,
            Does::Pass => Weaker::Passes,
            _ => against(one, decided),
        };
        if one.does == Does::Pass {
            skipped = Some(one.tier());
        }
        let denied = decision.verdict() == Verdict::Deny && one.does != Does::Deny;
        if let (Reason::Rule(rule), Weaker::Tier, true) = (&origin, because, denied) {
            let (wanted, found) = (tier(one), tier(decided));
            misses.push(NearMiss::new(rule, Obstacle::Tier { wanted, found }));
        }
        // The default deny at the end covers everything and says nothing about this flow.
        if !matches!(origin, Reason::DefaultDeny { .. }) {
            candidates.push(Candidate {
                verdict: one.does.verdict(),
                origin,
                because,
            });
        }
    }
    (candidates, misses)
}

fn against(one: &Contribution, decided: &Contribution) -> Weaker {
    if one.tier() != decided.tier() {
        Weaker::Tier
    } else if one.precedence.level() != decided.precedence.level() {
        Weaker::Priority
    } else if one.precedence != decided.precedence {
        Weaker::Action
    } else {
        Weaker::Alike
    }
}

/// What is computed for all counts to the last tier.
fn tier(one: &Contribution) -> Tier {
    match one.tier() {
        3 => Tier::Admin,
        2 => Tier::Normal,
        _ => Tier::Baseline,
    }
}
