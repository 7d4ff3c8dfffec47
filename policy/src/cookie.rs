use std::fmt;

/// The number under which kernel tables and events name the rule that decided.
///
/// Numbers below 16 are decisions that no rule of a document made. The others are derived from the
/// rule's place (kind, namespace, name, spec, list, index), so that a rule keeps its number over
/// revisions, restarts and nodes; [`PolicySet::rule`](crate::PolicySet::rule) leads back to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct RuleCookie(u32);

impl RuleCookie {
    /// Nothing decided: no entry covered the packet.
    pub const NONE: Self = Self(0);
    /// No policy is enforced in this direction.
    pub const NOT_ENFORCED: Self = Self(1);
    /// Policies select the subject, but none of them switched default deny on.
    pub const DEFAULT_ALLOW: Self = Self(2);
    /// The local host may always reach its own endpoints.
    pub const LOCALHOST: Self = Self(3);
    /// The first number a rule can have.
    pub const FIRST_RULE: Self = Self(16);

    /// The cookie with a number, as read from a table or an event.
    #[must_use]
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }

    /// Whether a rule of a document is meant.
    #[must_use]
    pub const fn is_rule(self) -> bool {
        self.0 >= Self::FIRST_RULE.0
    }
}

impl fmt::Display for RuleCookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
