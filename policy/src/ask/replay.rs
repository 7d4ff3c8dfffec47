//! What a policy set would have made of recorded flows.

use super::model::{Connection, Model, Sides};
use super::recorded::{Recorded, Unjudged};
use crate::{Decision, Direction, Verdict};

/// A recorded flow, judged again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replayed {
    /// The flow.
    pub connection: Connection,
    /// Whose policy judged; `None` for both.
    pub direction: Option<Direction>,
    /// What was recorded.
    pub was: Verdict,
    /// What would happen.
    pub now: Verdict,
    /// What would happen with the staged rules in force; `None` if there are none.
    pub staged: Option<Verdict>,
    /// What the policies that were asked say.
    pub sides: Sides,
    /// What becomes of the flow.
    pub fate: Fate,
}

/// What becomes of a recorded flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Fate {
    /// The same as before.
    Same,
    /// It was denied, and would be allowed, or judged by its content.
    Allowed,
    /// It was allowed, and would be denied.
    Denied,
    /// It would go to a proxy, which judges its content, or no longer.
    Rerouted,
}

impl Fate {
    const fn of(was: Verdict, now: Verdict) -> Self {
        match (was, now) {
            (Verdict::Deny, Verdict::Deny)
            | (Verdict::Allow, Verdict::Allow)
            | (Verdict::Redirect, Verdict::Redirect) => Self::Same,
            (Verdict::Deny, _) => Self::Allowed,
            (_, Verdict::Deny) => Self::Denied,
            _ => Self::Rerouted,
        }
    }

    /// In one word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Allowed => "allowed",
            Self::Denied => "denied",
            Self::Rerouted => "rerouted",
        }
    }
}

impl Model {
    /// Judges a recorded flow by this set. The flow has to be in the census:
    /// [`Census::admit_recorded`](super::Census::admit_recorded).
    ///
    /// The policy that judged then is asked; the other side's had its own record.
    ///
    /// # Errors
    /// Why nobody can say.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use porin_policy::{Direction, Options, PolicySet, Verdict, World};
    /// use porin_policy::ask::{Census, Fate, Model, Recorded, RecordedEnd, Unjudged};
    /// let end = |labels: &str| -> Result<_, Box<dyn std::error::Error>> {
    ///     Ok(RecordedEnd { labels: labels.parse()?, ..RecordedEnd::default() })
    /// };
    /// let flow = Recorded {
    ///     source: end("k8s:app=web,k8s:io.kubernetes.pod.namespace=shop")?,
    ///     destination: end("k8s:app=db,k8s:io.kubernetes.pod.namespace=shop")?,
    ///     port: 5432,
    ///     direction: Some(Direction::Ingress),
    ///     verdict: Verdict::Deny,
    ///     ..Recorded::default()
    /// };
    /// let set = PolicySet::new(Options::new());
    /// let mut census = Census::new(&World::default(), &[&set])?;
    /// census.admit_recorded(&flow, &[&set])?;
    /// let model = Model::new(&set, &Arc::new(census))?;
    /// assert_eq!(model.replay(&flow).map(|replayed| replayed.fate), Ok(Fate::Allowed));
    /// let stranger = Recorded { source: RecordedEnd::default(), ..flow };
    /// assert_eq!(model.replay(&stranger), Err(Unjudged::UnknownSource));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn replay(&self, flow: &Recorded) -> Result<Replayed, Unjudged> {
        let census = self.census();
        let connection = Connection {
            from: census.end(&flow.source).ok_or(Unjudged::UnknownSource)?,
            to: census
                .end(&flow.destination)
                .ok_or(Unjudged::UnknownDestination)?,
            protocol: flow.protocol,
            port: flow.port,
        };
        let sides = self.sides(&connection).of(flow.direction);
        if sides.iter().next().is_none() {
            return Err(Unjudged::NoSubject);
        }
        let now = sides.verdict();
        Ok(Replayed {
            connection,
            direction: flow.direction,
            was: flow.verdict,
            now,
            staged: sides.staged(),
            fate: Fate::of(flow.verdict, now),
            sides,
        })
    }
}

impl Sides {
    /// What one side says alone; both for `None`.
    fn of(self, direction: Option<Direction>) -> Self {
        let keep = |side: Option<Decision>, own: Direction| {
            side.filter(|_| direction.is_none_or(|asked| asked == own))
        };
        Self {
            egress: keep(self.egress, Direction::Egress),
            ingress: keep(self.ingress, Direction::Ingress),
        }
    }
}
