//! Why a decision is what it is, and what little would have made it another.

use std::fmt;
use std::sync::Arc;

use porin_identity::{Labels, Operator, Requirement, Selector, key, source};

use crate::compile::CompiledRule;
use crate::decision::Decision;
use crate::peer::PeerSelector;
use crate::peer_set::PeerSet;
use crate::port_rule::Port;
use crate::ports::GroupId;
use crate::rule::Action;
use crate::{Options, Protocol, Query, Reason, RuleRef, Verdict};

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

/// A rule that would have allowed the flow, and the one thing in its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NearMiss {
    /// The rule.
    pub rule: Arc<RuleRef>,
    /// What is in its way.
    pub obstacle: Obstacle,
}

/// The one thing that keeps a rule from a flow.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Obstacle {
    /// The rule looks for the peer in another namespace.
    Namespace {
        /// Where the rule looks.
        wanted: String,
        /// Where the peer lives.
        found: String,
    },
    /// One term of the rule's peer selector does not hold.
    Label {
        /// The term.
        wanted: String,
        /// The peer's label of that key, if it has one.
        found: Option<String>,
    },
    /// The rule speaks of the peer, on other ports.
    Port {
        /// The ports as written.
        wanted: Vec<String>,
    },
}

impl NearMiss {
    /// Looks for the one thing in the way of a rule that does not cover a question.
    pub(crate) fn find(
        rule: &CompiledRule,
        named: &Arc<RuleRef>,
        query: &Query,
        peer: Option<&Labels>,
        options: &Options,
    ) -> Option<Self> {
        if rule.action != Action::Allow {
            return None;
        }
        let covers = rule.ports.iter().flat_map(|group| &group.keys);
        let port_fits = covers
            .into_iter()
            .any(|key| key.covers(query.protocol, query.port));
        let obstacle = match (&rule.peers, peer) {
            (PeerSet::Anybody, _) if !port_fits => port_obstacle(rule)?,
            (PeerSet::Picked(picked), Some(labels)) => {
                let peer_fits = picked
                    .iter()
                    .any(|selector| selector.picks(labels, options));
                match (peer_fits, port_fits) {
                    (true, false) => port_obstacle(rule)?,
                    (false, true) => picked
                        .iter()
                        .find_map(|peer| label_obstacle(peer, labels))?,
                    (true, true) | (false, false) => return None,
                }
            }
            _ => return None,
        };
        Some(Self {
            rule: Arc::clone(named),
            obstacle,
        })
    }
}

fn port_obstacle(rule: &CompiledRule) -> Option<Obstacle> {
    let wanted: Vec<String> = rule
        .ports
        .iter()
        .map(|group| group.id.to_string())
        .collect();
    (!wanted.is_empty()).then_some(Obstacle::Port { wanted })
}

/// The only term that does not hold, if it is only one.
fn label_obstacle(peer: &PeerSelector, labels: &Labels) -> Option<Obstacle> {
    let PeerSelector::Labels(selector) = peer else {
        return None;
    };
    let mut failing = selector
        .requirements()
        .iter()
        .filter(|term| !term.matches(labels));
    let (Some(term), None) = (failing.next(), failing.next()) else {
        return None;
    };
    if !identifies(selector, term) {
        return None;
    }
    let wanted = match &term.operator {
        Operator::Equals(namespace) if term.key.covers(source::K8S, key::NAMESPACE) => {
            let found = labels.namespace()?.to_owned();
            return Some(Obstacle::Namespace {
                wanted: namespace.to_string(),
                found,
            });
        }
        _ => term.to_string(),
    };
    let found = labels
        .iter()
        .find(|label| term.key.covers(label.source(), label.key()));
    Some(Obstacle::Label {
        wanted,
        found: found.map(ToString::to_string),
    })
}

/// Whether a term says who is meant. One that only says where counts if another says who: a rule
/// for all of a namespace is no near miss of everybody elsewhere.
fn identifies(selector: &Selector, term: &Requirement) -> bool {
    let who = |term: &Requirement| ![key::NAMESPACE, key::CLUSTER].contains(&term.key.key());
    who(term) || selector.requirements().iter().any(who)
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.decision)?;
        match &self.peer {
            Some(labels) => write!(f, "\n  peer {} is {labels}", self.decision.query().peer)?,
            None => write!(f, "\n  nobody knows peer {}", self.decision.query().peer)?,
        }
        for Candidate { verdict, origin } in &self.weaker {
            write!(f, "\n  weaker: {verdict} {origin}")?;
        }
        for miss in &self.near_misses {
            write!(f, "\n  near miss: {miss}")?;
        }
        Ok(())
    }
}

impl fmt::Display for NearMiss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.rule, self.obstacle)
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Namespace { wanted, found } => {
                write!(
                    f,
                    "would match in namespace `{found}`; it looks in `{wanted}`"
                )
            }
            Self::Label {
                wanted,
                found: Some(found),
            } => {
                write!(
                    f,
                    "would match a peer with `{wanted}`; this one has `{found}`"
                )
            }
            Self::Label {
                wanted,
                found: None,
            } => {
                write!(
                    f,
                    "would match a peer with `{wanted}`; this one has no such label"
                )
            }
            Self::Port { wanted } => write!(f, "would match on {}", wanted.join(", ")),
        }
    }
}

impl fmt::Display for GroupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.protocol, &self.port, self.end) {
            (Protocol::ANY, ..) => f.write_str("every port"),
            (protocol, Port::Number(0), 0) => write!(f, "{protocol}"),
            (protocol, Port::Number(first), last) if last > *first => {
                write!(f, "{protocol}/{first}-{last}")
            }
            (protocol, port, _) => write!(f, "{protocol}/{port}"),
        }
    }
}
