//! The four ways of deciding.

use std::fmt;

use porin::identity::{IdentityId, Snapshot};
use porin::policy::{
    Direction, EndpointPolicy, NamedPorts, PolicySet, PortNames, Query, Redirect, Reference,
    ResolveError, Resolver, Verdict,
};

use super::Fault;
use super::answer::Answer;
use super::kernel::{Batch, Kernel};
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

/// A subject in its world, to be asked about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Posed<'a> {
    pub(crate) set: &'a PolicySet,
    pub(crate) identities: &'a Snapshot,
    pub(crate) subject: IdentityId,
    /// The ports of every identity.
    pub(crate) named_ports: &'a NamedPorts,
    /// The ports of the subject's own workload.
    pub(crate) own_ports: &'a PortNames,
}

/// Questions about a subject whose policy is resolved.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) posed: Posed<'a>,
    pub(crate) policy: &'a EndpointPolicy,
    pub(crate) queries: &'a [Query],
}

/// The answers about each subject, in the order of its queries.
pub(crate) type Tables = Vec<Vec<Answer>>;

/// What an engine says about a subject.
pub(crate) struct Told {
    pub(crate) engine: Engine,
    /// Whether policy is enforced, and the answers in the order of the queries; or why there is no
    /// policy.
    pub(crate) policy: Result<Policy, ResolveError>,
}

pub(crate) struct Policy {
    pub(crate) ingress: bool,
    pub(crate) egress: bool,
    pub(crate) answers: Vec<Answer>,
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

    /// Whether nothing but the reference evaluator was chosen.
    pub(crate) fn only_reference(&self) -> bool {
        self.chosen == [Engine::Reference]
    }

    /// What every engine says.
    pub(crate) fn ask(&mut self, posed: &Posed<'_>, queries: &[Query]) -> Result<Vec<Told>, Fault> {
        let compiled = match self.only_reference() {
            true => None,
            false => Some(resolve(posed)),
        };
        let mut told = Vec::with_capacity(self.chosen.len());
        for engine in self.chosen.clone() {
            let policy = match (engine, &compiled) {
                (Engine::Reference, _) | (_, None) => reference(posed, queries),
                (_, Some(Err(error))) => Err(error.clone()),
                (Engine::Kernel, Some(Ok(policy))) => {
                    let answers = self.kernel(&[(policy, queries)])?;
                    Ok(Policy::of(policy, answers.into_iter().flatten().collect()))
                }
                (Engine::Fast, Some(Ok(policy))) => Ok(Policy::of(
                    policy,
                    all(queries, |query| fast(policy, query)),
                )),
                (Engine::Map, Some(Ok(policy))) => {
                    Ok(Policy::of(policy, all(queries, |query| map(policy, query))))
                }
            };
            told.push(Told { engine, policy });
        }
        Ok(told)
    }

    /// The answers of every engine about several subjects, in the order of each one's queries.
    pub(crate) fn ask_all(&mut self, asked: &[Asked<'_>]) -> Result<Vec<(Engine, Tables)>, Fault> {
        let mut told = Vec::with_capacity(self.chosen.len());
        for engine in self.chosen.clone() {
            let answers = match engine {
                Engine::Reference => {
                    let one = |asked: &Asked<'_>| {
                        let policy = reference(&asked.posed, asked.queries).map_err(Fault::of)?;
                        Ok(policy.answers)
                    };
                    asked.iter().map(one).collect::<Result<_, Fault>>()?
                }
                Engine::Fast => asked.iter().map(Asked::fast).collect(),
                Engine::Map => {
                    let one =
                        |asked: &Asked<'_>| all(asked.queries, |query| map(asked.policy, query));
                    asked.iter().map(one).collect()
                }
                Engine::Kernel => {
                    let batch = asked.iter().map(|asked| (asked.policy, asked.queries));
                    self.kernel(&batch.collect::<Vec<_>>())?
                }
            };
            told.push((engine, answers));
        }
        Ok(told)
    }

    fn kernel(&mut self, batch: &Batch<'_>) -> Result<Tables, Fault> {
        match &mut self.kernel {
            Some(kernel) => kernel.decide(batch),
            None => Err(Fault::of("the kernel's engine is not loaded")),
        }
    }
}

impl Asked<'_> {
    /// The answers of the compiled policy.
    pub(crate) fn fast(&self) -> Vec<Answer> {
        all(self.queries, |query| fast(self.policy, query))
    }
}

impl Policy {
    fn of(policy: &EndpointPolicy, answers: Vec<Answer>) -> Self {
        Self {
            ingress: policy.enforced(Direction::Ingress),
            egress: policy.enforced(Direction::Egress),
            answers,
        }
    }
}

fn all(queries: &[Query], answer: impl Fn(&Query) -> Answer) -> Vec<Answer> {
    queries.iter().map(answer).collect()
}

fn reference(posed: &Posed<'_>, queries: &[Query]) -> Result<Policy, ResolveError> {
    let reference = Reference::new(posed.set, posed.identities, posed.subject)?
        .named_ports(posed.named_ports)
        .own_ports(posed.own_ports);
    if let Some(conflict) = reference.conflict() {
        return Err(conflict);
    }
    let ask = |query: &Query| {
        let said = reference.check(query);
        Answer {
            auth: Some(said.auth),
            l7: Some(said.l7),
            ..short(said.verdict, said.redirect)
        }
    };
    Ok(Policy {
        ingress: reference.enforced(Direction::Ingress),
        egress: reference.enforced(Direction::Egress),
        answers: all(queries, ask),
    })
}

/// What every engine can say.
fn short(verdict: Verdict, redirect: Option<Redirect>) -> Answer {
    Answer {
        allowed: verdict != Verdict::Deny,
        redirect: redirect.map(|redirect| redirect.parser),
        auth: None,
        l7: None,
    }
}

fn resolve(posed: &Posed<'_>) -> Result<EndpointPolicy, ResolveError> {
    let mut resolver = Resolver::new(posed.set, posed.identities);
    for (identity, names) in posed.named_ports {
        resolver.set_named_ports(*identity, names.clone());
    }
    resolver.resolve_endpoint(posed.subject, posed.own_ports)
}

pub(crate) fn fast(policy: &EndpointPolicy, query: &Query) -> Answer {
    let decision = policy.check(query);
    Answer {
        auth: Some(decision.auth()),
        l7: Some(decision.l7()),
        ..short(decision.verdict(), decision.redirect())
    }
}

fn map(policy: &EndpointPolicy, query: &Query) -> Answer {
    match policy.map_state().lookup(query) {
        None => short(Verdict::Deny, None),
        Some((_, entry)) => Answer {
            auth: Some(entry.auth),
            ..short(entry.action.verdict(), entry.action.redirect())
        },
    }
}
