//! Conditions on flows, and lists of them.

use std::fmt;

use porin_identity::{IdentityId, Selector};
use porin_policy::Direction;

use super::pod::PodPattern;
use crate::drop_reason::DropReason;
use crate::endpoint::Endpoint;
use crate::event::FlowVerdict;
use crate::flow::Flow;

/// A condition on flows: Hubble's `flow.FlowFilter`.
///
/// Inside one field any value may match; every field that has values must match. A filter without
/// values matches every flow.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct Filter {
    /// Any of these verdicts.
    pub verdicts: Vec<FlowVerdict>,
    /// Any of these reasons, of flows that were dropped.
    pub drop_reasons: Vec<DropReason>,
    /// Any of these directions of the connection.
    pub directions: Vec<Direction>,
    /// What is asked of the sender.
    pub source: Side,
    /// What is asked of the receiver.
    pub destination: Side,
}

/// The part of a [`Filter`] that speaks of one end.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct Side {
    /// Any of these ports; TCP, UDP and SCTP only.
    pub ports: Vec<u16>,
    /// Any of these selectors, on the labels of the end.
    pub labels: Vec<Selector>,
    /// Any of these instances or namespaces.
    pub pods: Vec<PodPattern>,
    /// Any of these identities.
    pub identities: Vec<IdentityId>,
}

impl Filter {
    /// Whether the flow fulfils every field.
    #[must_use]
    pub fn matches(&self, flow: &Flow) -> bool {
        let ports = flow.ports();
        any(&self.verdicts, |verdict| *verdict == flow.verdict)
            && any(&self.drop_reasons, |reason| {
                flow.verdict == FlowVerdict::Dropped
                    && flow.drop_reason.unwrap_or_default() == *reason
            })
            && any(&self.directions, |direction| {
                flow.direction == Some(*direction)
            })
            && self
                .source
                .matches(flow.source.as_deref(), ports.map(|(source, _)| source))
            && self
                .destination
                .matches(flow.destination.as_deref(), ports.map(|(_, to)| to))
    }
}

impl Side {
    fn matches(&self, end: Option<&Endpoint>, port: Option<u16>) -> bool {
        let nobody = Endpoint::default();
        let labels = end.map_or(&nobody.labels, |end| &end.labels);
        any(&self.ports, |wanted| port == Some(*wanted))
            && any(&self.labels, |selector| selector.matches(labels))
            && any(&self.pods, |pattern| {
                end.is_some_and(|end| pattern.matches(end))
            })
            && any(&self.identities, |identity| {
                end.is_some_and(|end| end.identity == *identity)
            })
    }
}

/// No value asks for nothing.
fn any<T>(wanted: &[T], fits: impl Fn(&T) -> bool) -> bool {
    wanted.is_empty() || wanted.iter().any(fits)
}

/// Filters that let flows through and filters that hold them back.
///
/// A flow passes if `allow` is empty or one of it matches, and none of `deny` matches.
///
/// ```
/// use porin_flow::{Filters, Flow};
///
/// let filters = Filters::from_args(["--verdict", "DROPPED", "--to-port", "5432"])?;
/// assert_eq!(filters.allow.len(), 1);
/// assert!(!filters.matches(&Flow::default()));
///
/// // A flag for either end makes two filters, one per end.
/// assert_eq!(Filters::from_args(["-n", "shop"])?.allow.len(), 2);
/// # Ok::<(), porin_flow::FilterError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Filters {
    /// Alternatives to pass by.
    pub allow: Vec<Filter>,
    /// Alternatives to be held back by.
    pub deny: Vec<Filter>,
}

impl Filters {
    /// Whether the flow passes.
    #[must_use]
    pub fn matches(&self, flow: &Flow) -> bool {
        any(&self.allow, |filter| filter.matches(flow))
            && !self.deny.iter().any(|filter| filter.matches(flow))
    }
}

impl fmt::Display for Filters {
    /// One word per list, for logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} allowing, {} denying",
            self.allow.len(),
            self.deny.len()
        )
    }
}
