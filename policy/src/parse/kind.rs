//! Which language an object is written in.

use super::at::{At, Reader};
use super::error::{ParseError, ParseErrorKind};
use crate::rule::PolicyKind;

/// The kinds of objects that a file may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Policy(PolicyKind),
    CidrGroup,
    /// A list, and what its items are if they do not say it themselves.
    List(Option<Listed>),
}

/// What the items of a list are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Listed {
    Policies(PolicyKind),
    CidrGroups,
}

impl From<Listed> for Kind {
    fn from(listed: Listed) -> Self {
        match listed {
            Listed::Policies(kind) => Self::Policy(kind),
            Listed::CidrGroups => Self::CidrGroup,
        }
    }
}

const CILIUM: &str = "cilium.io/v2";
const CILIUM_ALPHA: &str = "cilium.io/v2alpha1";
const NETWORKING: &str = "networking.k8s.io/v1";
const POLICY_ALPHA1: &str = "policy.networking.k8s.io/v1alpha1";
const POLICY_ALPHA2: &str = "policy.networking.k8s.io/v1alpha2";

/// `apiVersion` and `kind` of a policy.
pub(crate) fn api_of(kind: PolicyKind) -> (&'static str, &'static str) {
    let version = match kind {
        PolicyKind::CiliumNetworkPolicy | PolicyKind::CiliumClusterwideNetworkPolicy => CILIUM,
        PolicyKind::NetworkPolicy => NETWORKING,
        PolicyKind::AdminNetworkPolicy | PolicyKind::BaselineAdminNetworkPolicy => POLICY_ALPHA1,
        PolicyKind::ClusterNetworkPolicy => POLICY_ALPHA2,
    };
    (version, kind.name())
}

/// `apiVersion` and `kind` of everything that is read, but for lists.
pub(super) fn known_kinds() -> [(&'static str, &'static str); 7] {
    let [cnp, ccnp, netpol, anp, banp, kcnp] = PolicyKind::ALL.map(api_of);
    [
        cnp,
        ccnp,
        (CILIUM, "CiliumCIDRGroup"),
        netpol,
        anp,
        banp,
        kcnp,
    ]
}

/// Reads `apiVersion` and `kind`. An item of a list may leave both out; it is what the list says then.
pub(super) fn kind(
    reader: &Reader<'_>,
    at: &At<'_>,
    assumed: Option<Listed>,
) -> Result<Kind, ParseError> {
    let api_version = reader.text_of(at, "apiVersion")?;
    let kind = reader.text_of(at, "kind")?;
    if let (None, None, Some(listed)) = (api_version, kind, assumed) {
        return Ok(listed.into());
    }
    let (api_version, kind) = (api_version.unwrap_or_default(), kind.unwrap_or_default());
    if (api_version, kind) == ("v1", "List") {
        return Ok(Kind::List(None));
    }
    let single = kind.strip_suffix("List");
    match (listed(api_version, single.unwrap_or(kind)), single) {
        (Some(listed), None) => Ok(listed.into()),
        (Some(listed), Some(_)) => Ok(Kind::List(Some(listed))),
        (None, _) => {
            let at = at.get("kind").unwrap_or(*at);
            let (api_version, kind) = (api_version.to_owned(), kind.to_owned());
            Err(reader.error(&at, ParseErrorKind::Kind { api_version, kind }))
        }
    }
}

fn listed(api_version: &str, kind: &str) -> Option<Listed> {
    if matches!(api_version, CILIUM | CILIUM_ALPHA) && kind == "CiliumCIDRGroup" {
        return Some(Listed::CidrGroups);
    }
    let mut kinds = PolicyKind::ALL.into_iter();
    let found = kinds.find(|known| api_of(*known) == (api_version, kind));
    found.map(Listed::Policies)
}
