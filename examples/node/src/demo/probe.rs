//! One question to the world: may this one reach that one, and what was seen.

use std::fmt;

use porin::flow::{DropReason, Flow, FlowVerdict};

/// One of the two acts of the walk-through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Act {
    /// The eleven policies as the articles show them.
    AsWritten,
    /// The set that says what their prose promises.
    Corrected,
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AsWritten => "as-written",
            Self::Corrected => "corrected",
        })
    }
}

/// What a client asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    /// A page over TLS.
    Https(u16),
    /// A page.
    Http(u16),
    /// The answer to a query.
    Sql(u16),
    /// A TCP connection to a broker.
    Broker(u16),
}

impl What {
    /// The destination port.
    pub(crate) fn port(self) -> u16 {
        match self {
            Self::Https(port) | Self::Http(port) | Self::Sql(port) | Self::Broker(port) => port,
        }
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = match self {
            Self::Https(_) => "https",
            Self::Http(_) => "http",
            Self::Sql(_) => "sql",
            Self::Broker(_) => "broker",
        };
        write!(f, "{protocol} {}", self.port())
    }
}

/// What must come of a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Promise {
    /// The client gets its answer.
    Open,
    /// The policies in force drop it, and the flow names them.
    Closed,
    /// It is dropped for a cause of its own.
    Dropped(DropReason),
    /// What is running runs on.
    GoesOn,
    /// What is running is cut off by the policies in force.
    Stops,
}

impl fmt::Display for Promise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open => f.write_str("open"),
            Self::Closed => f.write_str("closed"),
            Self::Dropped(reason) => write!(f, "closed: {}", reason.name()),
            Self::GoesOn => f.write_str("goes on"),
            Self::Stops => f.write_str("stops"),
        }
    }
}

/// What came of a probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Seen {
    /// The client got its answer.
    Open,
    /// The packet was dropped.
    Dropped(DropReason),
    /// What was running runs on.
    GoesOn,
    /// What was running was cut off, and for this reason.
    Stops(DropReason),
    /// No answer, and no flow that tells why.
    Silent,
    /// The client failed by itself, for the reason that it gave.
    Failed(String),
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open => f.write_str("open"),
            Self::Dropped(reason) if by_policy(*reason) => f.write_str("closed"),
            Self::Dropped(reason) => write!(f, "closed: {}", reason.name()),
            Self::GoesOn => f.write_str("goes on"),
            Self::Stops(reason) if by_policy(*reason) => f.write_str("stops"),
            Self::Stops(reason) => write!(f, "stops: {}", reason.name()),
            Self::Silent => f.write_str("nothing"),
            Self::Failed(reason) => write!(f, "failed: {reason}"),
        }
    }
}

/// Whether a drop is the policies' own verdict: nothing allows it, or a rule denies it.
fn by_policy(reason: DropReason) -> bool {
    [DropReason::POLICY_DENIED, DropReason::POLICY_DENY].contains(&reason)
}

/// One line of the matrix.
#[derive(Debug, Clone)]
pub(crate) struct Probe {
    /// The act it belongs to.
    pub(crate) act: Act,
    /// Its name, unique in the act.
    pub(crate) id: String,
    /// Who asks.
    pub(crate) from: String,
    /// Who is asked.
    pub(crate) to: String,
    /// For what.
    pub(crate) what: What,
    /// Whether over IPv6.
    pub(crate) ipv6: bool,
    /// What it is about, where that is more than who asks whom for what.
    pub(crate) story: Option<&'static str>,
    /// What must come of it.
    pub(crate) promised: Promise,
}

impl Probe {
    /// What is tried, in words.
    pub(crate) fn tried(&self) -> String {
        let family = if self.ipv6 { " over IPv6" } else { "" };
        match self.story {
            Some(story) => format!("{}{family}, {story}", self.what),
            None => format!("{}{family}", self.what),
        }
    }
}

/// A probe that was made.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// What was asked.
    pub(crate) probe: Probe,
    /// What came of it.
    pub(crate) seen: Seen,
    /// The flow that tells why.
    pub(crate) flow: Option<Flow>,
    /// Every flow of the attempt, the deciding one among them.
    pub(crate) flows: Vec<Flow>,
}

impl Outcome {
    /// Whether what was promised was seen, with a flow that tells of it; of a drop by policy the
    /// flow must name the policies.
    pub(crate) fn passed(&self) -> bool {
        let Some(flow) = &self.flow else {
            return false;
        };
        let kept = self.probe.promised.to_string() == self.seen.to_string();
        let denied =
            flow.verdict == FlowVerdict::Dropped && flow.drop_reason.is_some_and(by_policy);
        kept && !(denied && flow.deciding_policies().is_empty())
    }

    /// The policies that the deciding flow names, as `NAMESPACE/NAME`.
    pub(crate) fn policies(&self) -> Vec<String> {
        let named = self.flow.iter().flat_map(Flow::deciding_policies);
        named
            .map(|policy| format!("{}/{}", policy.namespace, policy.name))
            .collect()
    }
}
