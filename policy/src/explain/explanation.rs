use std::fmt;

use porin_identity::Labels;

use super::near_miss::NearMiss;
use crate::decision::Decision;
use crate::{AuthMode, Reason, Verdict};

/// A decision with everything that bears on it. Its text has several lines, the decision first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// The decision.
    pub decision: Decision,
    /// The labels of the other side; `None` if nobody knows them.
    pub peer: Option<Labels>,
    /// Whatever else covers the flow and is weaker, strongest first.
    pub weaker: Vec<Candidate>,
    /// Rules that would allow the flow but for one thing. Empty unless the flow is denied by default.
    pub near_misses: Vec<NearMiss>,
}

/// Something that covers the flow and did not decide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// What it asks for; `None` for a pass, which asks to skip the rest of its tier.
    pub verdict: Option<Verdict>,
    /// Where it comes from.
    pub origin: Reason,
    /// Why it did not decide.
    pub because: Weaker,
}

/// Why a [`Candidate`] did not decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Weaker {
    /// It is a pass: it leaves the decision to others.
    Passes,
    /// A pass skips it.
    Skipped,
    /// What decided belongs to a stronger tier.
    Tier,
    /// What decided goes first inside of the tier.
    Priority,
    /// At equal strength a denial goes before a redirect, and that before an allowance.
    Action,
    /// It asks for the same, or its content rules are joined with those of what decided.
    Alike,
}

impl Weaker {
    /// Why, in a few words.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Passes => "passes on",
            Self::Skipped => "skipped by a pass",
            Self::Tier => "weaker tier",
            Self::Priority => "weaker priority",
            Self::Action => "weaker action",
            Self::Alike => "alike",
        }
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.decision)?;
        match &self.peer {
            Some(labels) => write!(f, "\n  peer {} is {labels}", self.decision.query().peer)?,
            None => write!(f, "\n  nobody knows peer {}", self.decision.query().peer)?,
        }
        if self.decision.auth() != AuthMode::Disabled {
            write!(f, "\n  authentication: {}", self.decision.auth())?;
        }
        if let Some(staged) = self.decision.staged() {
            write!(f, "\n  staged: {} {}", staged.verdict(), staged.reason())?;
        }
        for candidate in &self.weaker {
            write!(f, "\n  weaker: {candidate}")?;
        }
        for miss in &self.near_misses {
            write!(f, "\n  near miss: {miss}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.verdict {
            Some(verdict) => write!(f, "{verdict} {} ({})", self.origin, self.because.name()),
            None => write!(f, "passed {}", self.origin),
        }
    }
}
