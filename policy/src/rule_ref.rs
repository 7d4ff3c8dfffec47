use std::fmt;
use std::sync::Arc;

use crate::rule::{Action, Location, PolicyName, list_field};
use crate::{Direction, RuleCookie};

/// Which rule of which document: its name, its place in the document and its place in the file.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RuleRef {
    /// The policy.
    pub policy: Arc<PolicyName>,
    /// Which spec of the document, from zero: `spec`, then each of `specs`.
    pub spec: usize,
    /// The direction of the list it stands in.
    pub direction: Direction,
    /// Whether that list allows or denies.
    pub action: Action,
    /// Its place in the list, from zero.
    pub index: usize,
    /// Where it begins.
    pub location: Location,
}

impl RuleRef {
    /// The number that the rule's place asks for; FNV-1a over its text without the file.
    pub(crate) fn wanted_cookie(&self) -> RuleCookie {
        let text = format!(
            "{}#{}#{}#{}",
            self.policy,
            self.spec,
            self.list(),
            self.index
        );
        let hash = text.bytes().fold(0x811c_9dc5_u32, |hash, byte| {
            (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
        });
        RuleCookie::new(hash.max(RuleCookie::FIRST_RULE.get()))
    }

    /// Whether both stand at the same place of the same document, wherever its file is.
    pub(crate) fn same_place(&self, other: &Self) -> bool {
        let place = |rule: &Self| (rule.spec, rule.direction, rule.action, rule.index);
        self.policy == other.policy && place(self) == place(other)
    }

    fn list(&self) -> &'static str {
        list_field(self.direction, self.action)
    }
}

impl fmt::Display for RuleRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            policy,
            spec,
            index,
            location,
            ..
        } = self;
        write!(f, "{policy} ")?;
        if *spec > 0 {
            write!(f, "spec {spec} ")?;
        }
        write!(
            f,
            "{}[{index}] ({}:{})",
            self.list(),
            location.file(),
            location.line()
        )
    }
}
