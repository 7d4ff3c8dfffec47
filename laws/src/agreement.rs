use porin_policy::{
    AuthMode, Direction, EndpointPolicy, L7Policy, Query, Redirect, Reference, Verdict,
};

use crate::same::alike;
use crate::{Broken, World};

/// Everything in which the reference, the compiled policy and the table differ about a world.
///
/// # Errors
/// If the world cannot be set up.
pub fn disagreements(world: &World) -> Result<Vec<Broken>, Broken> {
    let set = world.set()?;
    let everybody = world.registry()?.snapshot();
    let (slow, fast) = (
        world.reference(&set, &everybody),
        world.resolve(&set, &everybody),
    );
    Ok(match (slow, fast) {
        (Ok(slow), Ok(fast)) => compare(world, &slow, &fast),
        (Err(_), Err(_)) => Vec::new(),
        (Err(error), Ok(_)) => vec![Broken::of(format!("fast: resolved; reference: {error}"))],
        (Ok(_), Err(error)) => vec![Broken::of(format!("fast: {error}; reference: resolved"))],
    })
}

fn compare(world: &World, slow: &Reference<'_>, fast: &EndpointPolicy) -> Vec<Broken> {
    let enforced = Direction::ALL.into_iter().filter_map(|direction| {
        let (fast, slow) = (fast.enforced(direction), slow.enforced(direction));
        (fast != slow).then(|| {
            Broken::of(format!(
                "{direction} enforced: fast {fast}, reference {slow}"
            ))
        })
    });
    let answers = world.queries.iter().flat_map(|query| {
        let expected = slow_answer(slow, query);
        let found = [
            ("fast", fast_answer(fast, query)),
            ("map", map_answer(fast, query)),
        ];
        let unlike = found
            .into_iter()
            .filter(|(_, found)| !found.fits(&expected));
        let told: Vec<_> = unlike
            .map(|(engine, found)| {
                Broken::of(format!(
                    "{query}: {engine}: {found:?}; reference: {expected:?}"
                ))
            })
            .collect();
        told
    });
    enforced.chain(answers).collect()
}

/// An answer; an engine that cannot say what a proxy is told says nothing.
#[derive(Debug)]
struct Answer {
    verdict: Verdict,
    redirect: Option<Redirect>,
    auth: AuthMode,
    told: Option<Option<L7Policy>>,
}

impl Answer {
    fn fits(&self, expected: &Self) -> bool {
        let told = match (&self.told, &expected.told) {
            (Some(Some(one)), Some(Some(other))) => alike(one, other),
            (Some(one), Some(other)) => one.is_none() && other.is_none(),
            _ => true,
        };
        let rest = |answer: &Self| (answer.verdict, answer.redirect, answer.auth);
        told && rest(self) == rest(expected)
    }
}

fn slow_answer(reference: &Reference<'_>, query: &Query) -> Answer {
    let said = reference.check(query);
    Answer {
        verdict: said.verdict,
        redirect: said.redirect,
        auth: said.auth,
        told: Some(said.l7),
    }
}

fn fast_answer(policy: &EndpointPolicy, query: &Query) -> Answer {
    let decision = policy.check(query);
    Answer {
        verdict: decision.verdict(),
        redirect: decision.redirect(),
        auth: decision.auth(),
        told: Some(decision.l7()),
    }
}

fn map_answer(policy: &EndpointPolicy, query: &Query) -> Answer {
    let entry = policy.map_state().lookup(query).map(|(_, entry)| entry);
    let verdict = entry.map_or(Verdict::Deny, |entry| entry.action.verdict());
    Answer {
        verdict,
        redirect: entry.and_then(|entry| entry.action.redirect()),
        auth: entry.map_or(AuthMode::Disabled, |entry| entry.auth),
        told: None,
    }
}
