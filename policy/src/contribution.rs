//! What each rule contributes to the decision about a flow, and who of several contributors wins.

use crate::chain::PortKey;
use crate::level::Level;
use crate::ports::{Content, GroupId, PortGroup};
use crate::rule::Action;
use crate::{
    EntryAction, MapEntry, Parser, Precedence, Protocol, Redirect, RuleCookie, Semantics, Verdict,
};

/// One rule (or computed entry) on one aligned block of ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Contribution {
    pub(crate) key: PortKey,
    pub(crate) precedence: Precedence,
    pub(crate) does: Does,
    pub(crate) group: GroupId,
    pub(crate) any_peer: bool,
    /// The place of the rule among all that select the subject.
    pub(crate) order: u32,
    pub(crate) cookie: RuleCookie,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Does {
    Deny,
    Allow,
    /// Allow what the parser lets through; `open` if its rules let everything through.
    Inspect {
        parser: Parser,
        open: bool,
    },
}

impl Does {
    pub(crate) fn of(action: Action, content: &Content) -> Self {
        match (action, content) {
            (Action::Deny | Action::Pass, _) => Self::Deny,
            (Action::Allow, Content::Plain) => Self::Allow,
            (Action::Allow, Content::Rules { parser, open, .. }) => Self::Inspect {
                parser: *parser,
                open: *open,
            },
        }
    }

    pub(crate) fn verdict(self) -> Verdict {
        match self {
            Self::Deny => Verdict::Deny,
            Self::Allow => Verdict::Allow,
            Self::Inspect { .. } => Verdict::Redirect,
        }
    }

    /// The rank inside one tier and priority: 255 for a denial, 255 minus the listener priority
    /// for a redirect, 1 for a plain allowance.
    fn rank(self) -> u8 {
        match self {
            Self::Deny => 255,
            Self::Allow => 1,
            Self::Inspect { parser, .. } => {
                255 - match parser {
                    Parser::Http => 101,
                    Parser::Kafka => 106,
                    Parser::Other => 111,
                    Parser::Tls => 116,
                    Parser::Dns => 121,
                    Parser::Listener => 126,
                }
            }
        }
    }
}

impl Contribution {
    pub(crate) fn of_group(
        group: &PortGroup,
        level: Level,
        does: Does,
        cookie: RuleCookie,
        order: u32,
    ) -> impl Iterator<Item = Self> {
        let precedence = Precedence::compose(level.strength(), does.rank());
        let id = group.id;
        group.keys.iter().map(move |key| Self {
            key: *key,
            precedence,
            does,
            group: id,
            any_peer: false,
            order,
            cookie,
        })
    }

    /// An entry that no document asks for: everything is allowed.
    pub(crate) fn computed(cookie: RuleCookie) -> Self {
        Self {
            key: PortKey::ANY,
            precedence: Precedence::compose(Level::DEFAULT.strength(), Does::Allow.rank()),
            does: Does::Allow,
            group: GroupId::ALL,
            any_peer: false,
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

    /// Whether a proxy that inspects for another contribution learns that this one lets everything
    /// through. Only what reaches TCP concerns the stream proxies.
    fn lifts(&self) -> bool {
        let reaches = matches!(self.key.protocol, Protocol::ANY | Protocol::TCP);
        self.does == Does::Allow && reaches && !self.group.is_unseen_by_proxies()
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

/// The entry that a flow's contributions amount to; `covering` comes strongest first. `None`: no
/// contribution, so default deny.
pub(crate) fn weigh<'a>(
    mut covering: impl Iterator<Item = &'a Contribution>,
    semantics: Semantics,
) -> Option<MapEntry> {
    let first = covering.next()?;
    let action = match first.does {
        Does::Deny => EntryAction::Deny,
        Does::Allow => EntryAction::Allow,
        Does::Inspect { parser, open } => {
            let rest = covering.take_while(|other| other.does != Does::Deny);
            let mut rest = rest.filter(|other| opens(first, parser, other, semantics));
            let unrestricted = open || rest.next().is_some();
            EntryAction::Redirect(Redirect {
                parser,
                unrestricted,
            })
        }
    };
    Some(MapEntry {
        action,
        precedence: first.precedence,
        cookie: first.cookie,
    })
}

/// Whether `other` lets through what the redirect to `parser` would refuse.
///
/// A rule of the same parser that fits everything does. A plain allowance does so only upstream:
/// there the stream proxies look at all rules for the peer, the DNS proxy at those that were
/// written for exactly its port.
fn opens(first: &Contribution, parser: Parser, other: &Contribution, semantics: Semantics) -> bool {
    let of_group = parser != Parser::Dns || other.group == first.group;
    match (other.does, semantics) {
        (Does::Inspect { parser: same, open }, Semantics::Strict) => same == parser && open,
        (Does::Inspect { parser: same, open }, Semantics::Cilium) => {
            same == parser && open && of_group
        }
        (Does::Allow, Semantics::Cilium) if parser == Parser::Dns => of_group,
        (Does::Allow, Semantics::Cilium) => other.lifts(),
        (Does::Allow, Semantics::Strict) | (Does::Deny, _) => false,
    }
}
