//! What each rule contributes to the decision about a flow.

use crate::chain::PortKey;
use crate::level::Level;
use crate::part::Part;
use crate::ports::Content;
use crate::rule::{Action, AuthMode};
use crate::{Parser, Precedence, RuleCookie, Verdict};

/// One rule (or computed entry) on one aligned block of ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Contribution {
    pub(crate) key: PortKey,
    pub(crate) precedence: Precedence,
    pub(crate) does: Does,
    /// The mode of authentication that its author wrote.
    pub(crate) auth: Option<AuthMode>,
    pub(crate) any_peer: bool,
    /// Which part of the lane it comes from.
    pub(crate) part: u32,
    /// The written port, as a number in the lane.
    pub(crate) group: u32,
    /// Whether the proxies are told of what it allows.
    pub(crate) told: bool,
    /// The place of the rule among all that select the subject.
    pub(crate) order: u32,
    pub(crate) cookie: RuleCookie,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Does {
    Deny,
    Allow,
    /// Skips the rest of its tier.
    Pass,
    /// Allow what the parser lets through.
    Inspect(Inspection),
}

/// What a proxy is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Inspection {
    pub(crate) parser: Parser,
    /// A listener, or a parser that the policy names, as a number in the lane: the lower, the earlier
    /// by name. 0 if the proxy has no name.
    pub(crate) name: u32,
    /// Whether the rules let everything through.
    pub(crate) open: bool,
    /// Whether every server name may be asked for.
    pub(crate) unnamed: bool,
    /// Whether the flow has to go to the proxy even if nothing can be refused there.
    pub(crate) kept: bool,
}

impl Inspection {
    /// Whether the same proxy reads for both.
    pub(crate) fn reads_as(self, other: Self) -> bool {
        (self.parser, self.name) == (other.parser, other.name)
    }
}

impl Does {
    /// What a part does. Where nothing is denied by default (`eased`), HTTP and DNS rules cannot deny
    /// either. `name` is the number of the proxy's name.
    pub(crate) fn of(part: &Part, eased: bool, name: u32) -> Self {
        match (part.action, &part.content) {
            (Action::Deny, _) => Self::Deny,
            (Action::Pass, _) => Self::Pass,
            (Action::Allow, None) => Self::Allow,
            (Action::Allow, Some(content)) => Self::Inspect(Inspection {
                parser: content.parser,
                name,
                open: content.is_open(eased),
                unnamed: content.server_names.is_empty(),
                kept: content.is_kept(),
            }),
        }
    }

    /// What happens to a flow that it decides; `None` for a pass, which leaves it to others.
    pub(crate) fn verdict(self) -> Option<Verdict> {
        match self {
            Self::Deny => Some(Verdict::Deny),
            Self::Allow => Some(Verdict::Allow),
            Self::Inspect(_) => Some(Verdict::Redirect),
            Self::Pass => None,
        }
    }

    /// What a proxy is asked to do, if one is.
    pub(crate) fn inspection(self) -> Option<Inspection> {
        match self {
            Self::Inspect(inspection) => Some(inspection),
            Self::Deny | Self::Allow | Self::Pass => None,
        }
    }

    /// Whether it allows every server name.
    pub(crate) fn is_unnamed(self) -> bool {
        self.inspection()
            .is_none_or(|inspection| inspection.unnamed)
    }

    /// Who reads the content, if anybody does.
    pub(crate) fn parser(self) -> Option<Parser> {
        self.inspection().map(|inspection| inspection.parser)
    }
}

/// The rank inside one tier and priority: 255 for a denial, 255 minus the listener priority for a
/// redirect, 1 for a plain allowance, 0 for a pass.
pub(crate) fn rank(action: Action, content: Option<&Content>) -> u8 {
    match (action, content) {
        (Action::Deny, _) => 255,
        (Action::Pass, _) => 0,
        (Action::Allow, None) => 1,
        (Action::Allow, Some(content)) => {
            u8::try_from(255_u16.saturating_sub(content.priority).max(2)).unwrap_or(u8::MAX)
        }
    }
}

impl Contribution {
    /// An entry that no document asks for, about every packet.
    pub(crate) fn computed(does: Does, level: Level, cookie: RuleCookie) -> Self {
        let rank = match does {
            Does::Deny => 255,
            Does::Allow | Does::Inspect(_) => 1,
            Does::Pass => 0,
        };
        Self {
            key: PortKey::ANY,
            precedence: Precedence::compose(level.strength(), rank),
            does,
            auth: None,
            any_peer: false,
            part: u32::MAX,
            group: u32::MAX,
            told: true,
            order: u32::MAX,
            cookie,
        }
    }

    /// Strongest first. Between equals the broader comes first, so that a policy table needs no
    /// entry for the narrower.
    pub(crate) fn rank(&self) -> impl Ord + use<> {
        let strength = std::cmp::Reverse(self.precedence);
        (strength, !self.any_peer, self.key.prefix_len(), self.order)
    }

    /// The tier, the higher the stronger.
    pub(crate) fn tier(&self) -> u32 {
        Level::tier_of(self.precedence.level())
    }

    /// How narrow its key is: -1 for any protocol, else the bits of the port.
    pub(crate) fn level(&self) -> i16 {
        if self.key.protocol.is_any() {
            -1
        } else {
            i16::from(self.key.port.bits())
        }
    }
}

/// Merges two lists that are sorted by rank into one.
pub(crate) fn merged<'a>(
    one: &'a [Contribution],
    other: &'a [Contribution],
) -> impl Iterator<Item = &'a Contribution> + Clone {
    let (mut one, mut other) = (one.iter().peekable(), other.iter().peekable());
    std::iter::from_fn(move || match (one.peek(), other.peek()) {
        (Some(a), Some(b)) if a.rank() <= b.rank() => one.next(),
        (Some(_), None) => one.next(),
        _ => other.next(),
    })
}

/// What is left of a flow's contributions, strongest first, when each pass has skipped the rest of
/// its tier.
pub(crate) fn surviving<'a>(
    covering: impl Iterator<Item = &'a Contribution>,
) -> impl Iterator<Item = &'a Contribution> {
    let mut skipped = None;
    covering.filter(move |c| {
        if skipped == Some(c.tier()) {
            return false;
        }
        if c.does == Does::Pass {
            skipped = Some(c.tier());
            return false;
        }
        true
    })
}
