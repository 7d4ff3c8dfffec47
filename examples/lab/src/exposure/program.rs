//! Port maps for programs.

use porin::policy::Reason;
use porin::policy::ask::{Exposure, Grant, Party, PortClass, Reach};
use serde::Serialize;

use crate::answer::RulePlace;
use crate::content::Content;

/// The port map of one workload.
#[derive(Debug, Serialize)]
pub(super) struct Shown {
    workload: String,
    inbound: ShownReach,
    outbound: ShownReach,
}

#[derive(Debug, Serialize)]
struct ShownReach {
    /// Whether whoever comes is let through, because no policy denies by default.
    default_open: bool,
    grants: Vec<ShownGrant>,
}

#[derive(Debug, Serialize)]
struct ShownPorts {
    class: String,
    protocol: String,
    /// `null` for every protocol and every other one.
    ports: Option<[u16; 2]>,
}

#[derive(Debug, Serialize)]
struct ShownGrant {
    ports: Vec<ShownPorts>,
    peers: Vec<String>,
    /// Whether whoever no selector picks is let through too.
    anybody: bool,
    /// Of anybody, those that are denied some of these ports.
    except: Vec<String>,
    verdict: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<Content>,
    #[serde(skip_serializing_if = "Option::is_none")]
    authentication: Option<String>,
    reason: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<RulePlace>,
    #[serde(skip_serializing_if = "Option::is_none")]
    staged: Option<String>,
    /// The peers whose own policies let nothing of it through.
    stopped: Vec<String>,
}

impl From<&Exposure> for Shown {
    fn from(map: &Exposure) -> Self {
        Self {
            workload: map.subject.to_string(),
            inbound: ShownReach::from(&map.inbound),
            outbound: ShownReach::from(&map.outbound),
        }
    }
}

impl From<&Reach> for ShownReach {
    fn from(reach: &Reach) -> Self {
        Self {
            default_open: reach.open.is_some(),
            grants: reach.grants.iter().map(ShownGrant::from).collect(),
        }
    }
}

impl From<&PortClass> for ShownPorts {
    fn from(class: &PortClass) -> Self {
        let (first, last) = class.ports();
        let protocol = class.protocol();
        Self {
            class: class.to_string(),
            protocol: protocol.to_string(),
            ports: (!protocol.is_any()).then_some([first, last]),
        }
    }
}

impl From<&Grant> for ShownGrant {
    fn from(grant: &Grant) -> Self {
        let rule = match &grant.reason {
            Reason::Rule(rule) => Some(RulePlace::from(&**rule)),
            _ => None,
        };
        Self {
            ports: grant.classes.iter().map(ShownPorts::from).collect(),
            peers: names(&grant.peers),
            anybody: grant.is_for_anybody(),
            except: names(&grant.except),
            verdict: grant.outcome.verdict.to_string(),
            content: grant.outcome.l7.as_ref().map(Content::from),
            authentication: Content::mode(grant.outcome.auth),
            reason: grant.reason.to_string(),
            rule,
            staged: grant.staged.map(|staged| staged.to_string()),
            stopped: names(&grant.stopped),
        }
    }
}

pub(super) fn names(parties: &[Party]) -> Vec<String> {
    parties.iter().map(ToString::to_string).collect()
}
