//! Rules that are tried before they are enforced.

use crate::Direction;
use crate::rule::{Action, PolicyKind, Rule};

/// The annotation that stages.
pub(crate) const STAGED: &str = "policy.porin.dev/staged";

/// Which rules of a document are staged: they take no part in what is enforced, and every decision
/// tells what it would be with them.
///
/// An author stages a document with the annotation `policy.porin.dev/staged`: `"true"` for the whole,
/// or the rules by their lists and places, as in `"ingress[0], egressDeny[2]"`.
/// [`Options::staged_namespaces`](crate::Options::staged_namespaces) stages all of a namespace.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Staging {
    /// Everything is enforced.
    #[default]
    Enforced,
    /// Nothing is.
    Whole,
    /// All but these rules are.
    Rules(Vec<StagedRule>),
}

/// A rule by its place, in every spec of the document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StagedRule {
    /// The direction of the list.
    pub direction: Direction,
    /// Whether it is a list of denials; never set for the kinds that have one list for all.
    pub denies: bool,
    /// The place in the list, from zero.
    pub index: usize,
}

impl Staging {
    /// Whether a rule of a document of this kind is only tried.
    pub fn holds(&self, kind: PolicyKind, rule: &Rule) -> bool {
        let denies = !kind.is_kubernetes() && rule.action == Action::Deny;
        match self {
            Self::Enforced => false,
            Self::Whole => true,
            Self::Rules(rules) => rules.contains(&StagedRule {
                direction: rule.direction,
                denies,
                index: rule.index,
            }),
        }
    }
}
