use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::chosen::{Chooser, Chosen};
use super::need;
use super::policy::{SuggestedPeers, SuggestedPolicy, policies};
use crate::ask::{Census, Party, Recorded, Unjudged};
use crate::{Direction, Protocol};

/// The least policies that allow recorded flows, and what is to be known about them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suggestion {
    /// The policies, by namespace and subject.
    pub policies: Vec<SuggestedPolicy>,
    /// What a reader should know before applying them.
    pub remarks: Vec<Remark>,
}

/// What is to be known about a [`Suggestion`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Remark {
    /// Flows that no policy can be made for.
    LeftOut {
        /// Why not.
        reason: Unjudged,
        /// How many.
        flows: usize,
    },
    /// Flows of port 0 or message type 0: the policy API takes that for every port.
    PortZero {
        /// How many.
        flows: usize,
    },
    /// The labels of a policy pick workloads besides those that were seen.
    Extra {
        /// The policy.
        policy: String,
        /// Whether they are its subjects; else its peers.
        guarded: bool,
        /// Who they are.
        parties: Vec<String>,
    },
    /// Nothing was recorded in a direction, so that it stays open.
    StaysOpen {
        /// The policy of the workloads that are meant.
        policy: String,
        /// The direction.
        direction: Direction,
    },
}

/// Suggests the least policies that allow recorded flows: exact ports, workloads by labels, what is
/// outside by address. Both sides of a flow need an allowance; `directions` says whose are made.
///
/// Labels are chosen so that they pick the workloads that were seen and, of those in the census, as
/// few others as possible; whom they pick besides is a remark. Removing any rule denies some flow.
///
/// ```
/// use porin_policy::ask::{Census, Recorded, RecordedEnd, suggest};
/// use porin_policy::{Direction, Options, PolicySet, World};
/// let end = |labels: &str| -> Result<_, Box<dyn std::error::Error>> {
///     Ok(RecordedEnd { labels: labels.parse()?, ..RecordedEnd::default() })
/// };
/// let place = "k8s:io.kubernetes.pod.namespace=shop,k8s:io.cilium.k8s.policy.cluster=default";
/// let flow = Recorded {
///     source: end(&format!("k8s:app=web,{place}"))?,
///     destination: end(&format!("k8s:app=db,{place}"))?,
///     port: 5432,
///     ..Recorded::default()
/// };
/// let mut census = Census::new(&World::default(), &[])?;
/// census.admit_recorded(&flow, &[])?;
/// let suggestion = suggest(&census, &[flow], &Direction::ALL);
/// let names: Vec<_> = suggestion.policies.iter().map(|policy| &*policy.name).collect();
/// assert_eq!(names, ["recorded-db", "recorded-web"]);
/// let mut set = PolicySet::new(Options::new());
/// set.load([("suggested.yaml", suggestion.to_yaml())])?;
/// assert_eq!(set.documents().count(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub fn suggest(census: &Census, flows: &[Recorded], directions: &[Direction]) -> Suggestion {
    let mut needs = BTreeSet::new();
    let mut left_out: BTreeMap<Unjudged, usize> = BTreeMap::new();
    let mut zero = 0;
    for flow in flows {
        let ends = ends(census, flow);
        let (from, to) = match ends {
            Ok(ends) => ends,
            Err(reason) => {
                *left_out.entry(reason).or_default() += 1;
                continue;
            }
        };
        if flow.port == 0 && flow.protocol != Protocol::ANY {
            zero += 1;
            continue;
        }
        let ends = [
            (&from, flow.source.address),
            (&to, flow.destination.address),
        ];
        need::add(
            &mut needs,
            census,
            ends,
            (flow.protocol, flow.port),
            directions,
        );
    }
    let chooser = Chooser::new(census);
    let policies = policies(&needs, &chooser);
    let left_out = left_out.into_iter();
    let mut remarks: Vec<_> = left_out
        .map(|(reason, flows)| Remark::LeftOut { reason, flows })
        .collect();
    if zero > 0 {
        remarks.push(Remark::PortZero { flows: zero });
    }
    for policy in &policies {
        remark(&mut remarks, census, policy, directions);
    }
    Suggestion { policies, remarks }
}

impl Suggestion {
    /// Whether the policies allow every flow that they were made of.
    #[must_use]
    pub fn covers_all(&self) -> bool {
        !self
            .remarks
            .iter()
            .any(|remark| matches!(remark, Remark::LeftOut { .. } | Remark::PortZero { .. }))
    }
}

fn ends(census: &Census, flow: &Recorded) -> Result<(Party, Party), Unjudged> {
    let from = census.end(&flow.source).ok_or(Unjudged::UnknownSource)?;
    let to = census
        .end(&flow.destination)
        .ok_or(Unjudged::UnknownDestination)?;
    if from.is_guarded() || to.is_guarded() {
        return Ok((from, to));
    }
    Err(Unjudged::NoSubject)
}

fn remark(
    remarks: &mut Vec<Remark>,
    census: &Census,
    policy: &SuggestedPolicy,
    directions: &[Direction],
) {
    let name = format!("{}/{}", policy.subject.namespace, policy.name);
    let peers = policy.rules.iter().filter_map(|rule| match &rule.peers {
        SuggestedPeers::Workloads(chosen) => Some(chosen),
        SuggestedPeers::Entities(_) | SuggestedPeers::Addresses(_) => None,
    });
    let subject = std::slice::from_ref(&policy.subject);
    for (guarded, chosen) in [
        (true, subject.iter().collect::<Vec<_>>()),
        (false, peers.flatten().collect()),
    ] {
        let parties = extra(census, &chosen);
        if !parties.is_empty() {
            remarks.push(Remark::Extra {
                policy: name.clone(),
                guarded,
                parties,
            });
        }
    }
    for direction in directions {
        if !policy.rules.iter().any(|rule| rule.direction == *direction) {
            remarks.push(Remark::StaysOpen {
                policy: name.clone(),
                direction: *direction,
            });
        }
    }
}

fn extra(census: &Census, chosen: &[&Chosen]) -> Vec<String> {
    let extra: BTreeSet<_> = chosen.iter().flat_map(|one| one.extra.iter()).collect();
    let meant = |party: &&Party| extra.contains(&party.identity);
    census
        .workloads()
        .filter(meant)
        .map(ToString::to_string)
        .collect()
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LeftOut { reason, flows } => write!(f, "{flows} flows left out: {reason}"),
            Self::PortZero { flows } => write!(
                f,
                "{flows} flows left out: a policy takes port or message type 0 for every one"
            ),
            Self::Extra {
                policy,
                guarded,
                parties,
            } => {
                let role = if *guarded { "guard" } else { "let in" };
                let parties = parties.join(", ");
                write!(
                    f,
                    "the labels of {policy} {role} {parties} too, not seen with these flows"
                )
            }
            Self::StaysOpen { policy, direction } => write!(
                f,
                "{direction} of whom {policy} guards stays open: nothing was recorded"
            ),
        }
    }
}
