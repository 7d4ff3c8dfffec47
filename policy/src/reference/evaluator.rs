//! One subject, asked step by step.

use porin_identity::{IdentityId, Snapshot};

use super::clash::listener_without_namespace;
use super::merge::settle;
use super::statement::statements;
use super::subject::Subject;
use super::verdict::Contribution;
use crate::{
    AuthMode, Direction, L7Policy, NamedPorts, PolicySet, PortNames, Query, Redirect, ResolveError,
    Verdict,
};

/// The slow and obvious evaluator of one subject.
#[derive(Debug, Clone, Copy)]
pub struct Reference<'a> {
    subject: Subject<'a>,
}

/// What the reference evaluator says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// What happens.
    pub verdict: Verdict,
    /// Where a redirected connection goes.
    pub redirect: Option<Redirect>,
    /// What the connection has to prove; [`AuthMode::Disabled`] if nothing is asked.
    pub auth: AuthMode,
    /// What the proxy is told about a redirected connection.
    pub l7: Option<L7Policy>,
}

impl Answer {
    fn plain(verdict: Verdict) -> Self {
        Self {
            verdict,
            redirect: None,
            auth: AuthMode::Disabled,
            l7: None,
        }
    }
}

impl<'a> Reference<'a> {
    /// An evaluator for one subject.
    ///
    /// # Errors
    /// [`ResolveError::UnknownIdentity`] if the identity is not in the snapshot.
    pub fn new(
        set: &'a PolicySet,
        identities: &'a Snapshot,
        subject: IdentityId,
    ) -> Result<Self, ResolveError> {
        match identities.labels(subject) {
            Some(labels) => Ok(Self {
                subject: Subject {
                    set,
                    identities,
                    id: subject,
                    labels,
                    named: None,
                    own: None,
                },
            }),
            None => Err(ResolveError::UnknownIdentity { identity: subject }),
        }
    }

    /// The same with the named ports of all identities: egress rules mean those of the peer, ingress
    /// rules those of the subject.
    #[must_use]
    pub fn named_ports(mut self, named: &'a NamedPorts) -> Self {
        self.subject.named = Some(named);
        self
    }

    /// The same with the ports of the subject itself, where not all workloads of its identity agree.
    #[must_use]
    pub fn own_ports(mut self, own: &'a PortNames) -> Self {
        self.subject.own = Some(own);
        self
    }

    /// Whether policy is enforced on the subject in a direction.
    #[must_use]
    pub fn enforced(&self, direction: Direction) -> bool {
        self.subject.enforced(direction)
    }

    /// Why the policy cannot be computed at all; answers mean nothing then.
    #[must_use]
    pub fn conflict(&self) -> Option<ResolveError> {
        Direction::ALL.into_iter().find_map(|direction| {
            if !self.enforced(direction) {
                return None;
            }
            let clash = listener_without_namespace(&self.subject, direction).or_else(|| {
                let all = statements(&self.subject, direction, None);
                settle(all, &self.subject).1
            });
            Some(clash?.error(&self.subject, direction))
        })
    }

    /// Answers a question.
    #[must_use]
    pub fn check(&self, query: &Query) -> Answer {
        let subject = &self.subject;
        if !subject.enforced(query.direction) {
            return Answer::plain(Verdict::Allow);
        }
        let covering = statements(subject, query.direction, Some(query));
        let (settled, _) = settle(covering, subject);
        let mut contributions: Vec<_> = settled
            .iter()
            .filter_map(|settled| Contribution::of(settled, query, subject))
            .collect();
        super::wildcard::list(&mut contributions, query, subject);
        let Some(standing) = super::verdict::standing(&contributions) else {
            return Answer::plain(Verdict::Deny);
        };
        let passes = subject.passes(query.direction);
        let Some(choice) = super::choice::choose(&standing, passes, subject.strict()) else {
            return Answer::plain(Verdict::Deny);
        };
        let Some((l7, redirect)) = super::content::told(choice.winner, &standing, subject) else {
            let auth = choice.auth;
            let plain = Answer::plain(Verdict::Allow);
            return Answer { auth, ..plain };
        };
        Answer {
            verdict: Verdict::Redirect,
            redirect: Some(redirect),
            auth: choice.auth,
            l7: Some(l7),
        }
    }
}
