//! What policies make of a flow, and which of two outcomes lets more through.

use crate::lint::covers;
use crate::{AuthMode, Decision, L7Policy, Redirect, Verdict};

/// What one side makes of a flow, whatever the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// What happens to it.
    pub verdict: Verdict,
    /// Where it goes, if it is redirected.
    pub redirect: Option<Redirect>,
    /// What it has to prove.
    pub auth: AuthMode,
    /// What its content must look like, if somebody looks.
    pub l7: Option<L7Policy>,
}

/// How much one outcome lets through against another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Breadth {
    /// The same.
    Same,
    /// All that the other does, and more.
    Wider,
    /// Only what the other does, and not all of it.
    Narrower,
    /// Something that the other does not, for all that can be told; maybe less elsewhere.
    Unlike,
}

impl Breadth {
    /// Both of two things that have to hold together.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Same, one) | (one, Self::Same) => one,
            (Self::Wider, Self::Wider) => Self::Wider,
            (Self::Narrower, Self::Narrower) => Self::Narrower,
            _ => Self::Unlike,
        }
    }

    const fn of(covers_old: bool, is_covered: bool) -> Self {
        match (covers_old, is_covered) {
            (true, true) => Self::Same,
            (true, false) => Self::Wider,
            (false, true) => Self::Narrower,
            (false, false) => Self::Unlike,
        }
    }
}

impl From<&Decision> for Outcome {
    fn from(decision: &Decision) -> Self {
        Self {
            verdict: decision.verdict(),
            redirect: decision.redirect(),
            auth: decision.auth(),
            l7: decision.l7(),
        }
    }
}

impl Outcome {
    /// Whether nothing at all gets through.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.verdict == Verdict::Deny || self.auth == AuthMode::AlwaysFail
    }

    /// How much this lets through against what was `before`.
    ///
    /// Content rules are compared rule by rule; where nothing says that the old ones cover the new
    /// ones, the new ones count as unlike.
    #[must_use]
    pub fn against(&self, before: &Self) -> Breadth {
        match (before.is_closed(), self.is_closed()) {
            (true, true) => return Breadth::Same,
            (true, false) => return Breadth::Wider,
            (false, true) => return Breadth::Narrower,
            (false, false) => {}
        }
        let auth = Breadth::of(self.auth <= before.auth, before.auth <= self.auth);
        let content = Breadth::of(lets_through(self, before), lets_through(before, self));
        auth.and(content)
    }

    /// Nobody looks at the content, or whoever does lets everything through.
    fn is_unrestricted(&self) -> bool {
        let redirected = self.redirect.is_some_and(|redirect| !redirect.unrestricted);
        let named = |l7: &L7Policy| !l7.server_names.is_empty();
        !redirected && !self.l7.as_ref().is_some_and(named)
    }
}

/// Whether `wide` certainly lets every content through that `narrow` does.
fn lets_through(wide: &Outcome, narrow: &Outcome) -> bool {
    if wide.is_unrestricted() {
        return true;
    }
    match (&wide.l7, &narrow.l7) {
        _ if narrow.is_unrestricted() => false,
        (Some(wide), Some(narrow)) => content_covers(wide, narrow),
        _ => wide.redirect == narrow.redirect && wide.l7 == narrow.l7,
    }
}

fn content_covers(wide: &L7Policy, narrow: &L7Policy) -> bool {
    let names = wide.server_names.is_empty()
        || (!narrow.server_names.is_empty()
            && narrow
                .server_names
                .iter()
                .all(|name| wide.server_names.contains(name)));
    let reader = |l7: &L7Policy| (l7.parser, l7.parser_name.clone(), l7.listener.clone());
    let rules = wide.unrestricted
        || (!narrow.unrestricted
            && reader(wide) == reader(narrow)
            && (wide.rules == narrow.rules || covers(&wide.rules, &narrow.rules)));
    names && rules
}
