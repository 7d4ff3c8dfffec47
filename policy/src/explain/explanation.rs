use std::fmt;

use porin_identity::Labels;

use super::near_miss::NearMiss;
use crate::decision::Decision;
use crate::{Reason, Verdict};

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
    /// What it asks for.
    pub verdict: Verdict,
    /// Where it comes from.
    pub origin: Reason,
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.decision)?;
        match &self.peer {
            Some(labels) => write!(f, "\n  peer {} is {labels}", self.decision.query().peer)?,
            None => write!(f, "\n  nobody knows peer {}", self.decision.query().peer)?,
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
        write!(f, "{} {}", self.verdict, self.origin)
    }
}
