//! The four ways of deciding.

use std::fmt;

use porin::identity::Snapshot;
use porin::policy::{EndpointPolicy, EntryAction, PolicySet, Query, Redirect, Reference, Verdict};

use super::Fault;
use super::case::Answer;
use super::kernel::Kernel;
use crate::args::EngineChoice;
use crate::failure::Failure;

/// What decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Engine {
    Reference,
    Fast,
    Map,
    Kernel,
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reference => "reference",
            Self::Fast => "fast",
            Self::Map => "map",
            Self::Kernel => "kernel",
        })
    }
}

/// A policy to be asked, in every form that an engine needs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Resolved<'a> {
    pub(crate) set: &'a PolicySet,
    pub(crate) identities: &'a Snapshot,
    pub(crate) policy: &'a EndpointPolicy,
}

/// The engines that were chosen.
pub(crate) struct Engines {
    chosen: Vec<Engine>,
    kernel: Option<Kernel>,
}

impl Engines {
    /// Makes the engines ready. Without privileges, `all` goes on without the kernel and says so
    /// on standard error.
    pub(crate) fn new(choice: EngineChoice) -> Result<Self, Failure> {
        let (chosen, kernel) = match choice {
            EngineChoice::Reference => (vec![Engine::Reference], None),
            EngineChoice::Fast => (vec![Engine::Fast], None),
            EngineChoice::Map => (vec![Engine::Map], None),
            EngineChoice::Kernel => (vec![Engine::Kernel], Some(Kernel::load()?)),
            EngineChoice::All => {
                let mut chosen = vec![Engine::Reference, Engine::Fast, Engine::Map];
                let kernel = match Kernel::load() {
                    Ok(kernel) => Some(kernel),
                    Err(missing) => {
                        eprintln!("porin-lab: left out: {}", missing.report());
                        None
                    }
                };
                chosen.extend(kernel.is_some().then_some(Engine::Kernel));
                (chosen, kernel)
            }
        };
        Ok(Self { chosen, kernel })
    }

    /// The answers of every engine, in the order of the queries.
    pub(crate) fn decide(
        &mut self,
        resolved: &Resolved<'_>,
        queries: &[Query],
    ) -> Result<Vec<(Engine, Vec<Answer>)>, Fault> {
        let mut answers = Vec::with_capacity(self.chosen.len());
        for engine in &self.chosen {
            let all = match (engine, &mut self.kernel) {
                (Engine::Kernel, Some(kernel)) => kernel.decide(resolved, queries)?,
                (Engine::Reference, _) => reference(resolved, queries)?,
                (Engine::Fast, _) => queries.iter().map(|query| fast(resolved, query)).collect(),
                _ => queries.iter().map(|query| map(resolved, query)).collect(),
            };
            answers.push((*engine, all));
        }
        Ok(answers)
    }
}

fn answer(verdict: Verdict, redirect: Option<Redirect>) -> Answer {
    Answer {
        allowed: verdict != Verdict::Deny,
        redirect: redirect.map(|redirect| redirect.parser),
    }
}

fn reference(resolved: &Resolved<'_>, queries: &[Query]) -> Result<Vec<Answer>, Fault> {
    let Resolved {
        set,
        identities,
        policy,
    } = resolved;
    let reference = Reference::new(set, identities, policy.subject());
    let reference = reference.map_err(Fault::of)?;
    let ask = |query| {
        let said = reference.check(query);
        answer(said.verdict, said.redirect)
    };
    Ok(queries.iter().map(ask).collect())
}

fn fast(resolved: &Resolved<'_>, query: &Query) -> Answer {
    let decision = resolved.policy.check(query);
    answer(decision.verdict(), decision.redirect())
}

fn map(resolved: &Resolved<'_>, query: &Query) -> Answer {
    match resolved.policy.map_state().lookup(query) {
        None => answer(Verdict::Deny, None),
        Some((_, entry)) => match entry.action {
            EntryAction::Allow => answer(Verdict::Allow, None),
            EntryAction::Deny => answer(Verdict::Deny, None),
            EntryAction::Redirect(redirect) => answer(Verdict::Redirect, Some(redirect)),
        },
    }
}
