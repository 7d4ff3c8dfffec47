use std::fmt;
use std::sync::Arc;

use crate::endpoint::EndpointPolicy;
use crate::rule::PolicyName;
use crate::{
    AuthMode, EntryAction, L7Policy, MapEntry, Query, Redirect, RuleCookie, RuleRef, Verdict,
};

/// The answer to a [`Query`], with its reason.
///
/// Its text is one line: what happens to whom, and why.
#[derive(Debug, Clone)]
pub struct Decision {
    policy: EndpointPolicy,
    query: Query,
    entry: Option<MapEntry>,
}

/// Why a decision is what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// A rule of a document asked for it.
    Rule(Arc<RuleRef>),
    /// No policy is enforced in this direction.
    NotEnforced,
    /// Policies select the subject, but none of them switched default deny on.
    DefaultAllow,
    /// The local host may always reach its endpoints.
    Localhost,
    /// No rule allows it, and these policies switched default deny on. With an empty list it is the
    /// enforcement mode, or that the subject's labels are not known yet.
    DefaultDeny {
        /// The policies, in the order of their names.
        policies: Arc<[PolicyName]>,
    },
}

impl Decision {
    pub(crate) fn new(policy: EndpointPolicy, query: Query, entry: Option<MapEntry>) -> Self {
        Self {
            policy,
            query,
            entry,
        }
    }

    /// What was asked.
    #[must_use]
    pub fn query(&self) -> &Query {
        &self.query
    }

    /// What happens.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        self.entry
            .map_or(Verdict::Deny, |entry| entry.action.verdict())
    }

    /// Where a redirected connection goes.
    #[must_use]
    pub fn redirect(&self) -> Option<Redirect> {
        self.entry.and_then(|entry| entry.action.redirect())
    }

    /// What the connection has to prove before it passes.
    #[must_use]
    pub fn auth(&self) -> AuthMode {
        self.entry.map_or(AuthMode::Disabled, |entry| entry.auth)
    }

    /// What a proxy is told about the flow; `None` unless it is redirected.
    #[must_use]
    pub fn l7(&self) -> Option<L7Policy> {
        self.policy.content(&self.query, self.entry?)
    }

    /// The decision that would be made if the staged rules were in force; `None` if none selects
    /// the subject.
    #[must_use]
    pub fn staged(&self) -> Option<Self> {
        Some(self.policy.staged()?.check(&self.query))
    }

    /// The number of what decided, as kernel events carry it; [`RuleCookie::NONE`] for default deny.
    #[must_use]
    pub fn cookie(&self) -> RuleCookie {
        self.entry.map_or(RuleCookie::NONE, |entry| entry.cookie)
    }

    /// The rule that decided, if one did.
    #[must_use]
    pub fn rule(&self) -> Option<&Arc<RuleRef>> {
        self.policy.rule(self.cookie())
    }

    /// The entry that decided; `None` for default deny.
    #[must_use]
    pub fn entry(&self) -> Option<MapEntry> {
        self.entry
    }

    /// Why.
    #[must_use]
    pub fn reason(&self) -> Reason {
        self.policy.reason(self.query.direction, self.cookie())
    }
}

impl PartialEq for Decision {
    fn eq(&self, other: &Self) -> bool {
        self.query == other.query && self.entry == other.entry && self.reason() == other.reason()
    }
}

impl Eq for Decision {}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.verdict())?;
        if let Some(EntryAction::Redirect(redirect)) = self.entry.map(|entry| entry.action) {
            write!(f, " to {redirect}")?;
        }
        if self.auth() != AuthMode::Disabled {
            write!(f, " once authenticated ({})", self.auth())?;
        }
        write!(f, " {}: {}", self.query, self.reason())
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rule(rule) => write!(f, "by {rule}"),
            Self::NotEnforced => f.write_str("no policy is enforced"),
            Self::DefaultAllow => f.write_str("no policy switches default deny on"),
            Self::Localhost => f.write_str("the local host reaches its endpoints"),
            Self::DefaultDeny { policies } if policies.is_empty() => {
                f.write_str("nothing allows it, and enforcement is always on")
            }
            Self::DefaultDeny { policies } => {
                f.write_str("nothing allows it; default deny by ")?;
                for (place, policy) in policies.iter().enumerate() {
                    write!(f, "{}{policy}", if place > 0 { ", " } else { "" })?;
                }
                Ok(())
            }
        }
    }
}
