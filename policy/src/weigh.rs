//! Who of several contributors wins.

use crate::contribution::{Contribution, Does, surviving};
use crate::rule::AuthMode;
use crate::{EntryAction, MapEntry, Parser, Protocol, Redirect, RuleCookie, Semantics, auth};

/// How the contributions of a lane are weighed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scale {
    pub(crate) semantics: Semantics,
    /// Whether some rule asks for authentication.
    pub(crate) asks: bool,
    /// Whether some rule passes.
    pub(crate) passes: bool,
}

impl Scale {
    /// The entry that a flow's contributions amount to; `covering` comes strongest first. `None`: no
    /// contribution, so default deny.
    ///
    /// Its precedence is that of the strongest contribution, even where that is a pass: what a pass
    /// leads to is as strong as the pass against whatever the pass skipped.
    pub(crate) fn weigh<'a>(
        self,
        covering: impl Iterator<Item = &'a Contribution> + Clone,
    ) -> Option<MapEntry> {
        let precedence = covering.clone().next()?.precedence;
        let mut rest = surviving(covering.clone());
        let denied = MapEntry {
            action: EntryAction::Deny,
            auth: AuthMode::Disabled,
            precedence,
            cookie: RuleCookie::NONE,
        };
        let Some(first) = rest.next() else {
            return Some(denied);
        };
        let (first, action) = match first.does {
            Does::Deny => (first, EntryAction::Deny),
            Does::Allow | Does::Pass => (first, EntryAction::Allow),
            Does::Inspect { parser, open } => {
                let chosen = self.chosen(first, surviving(covering.clone()));
                let unrestricted = open
                    || rest
                        .take_while(not_denied)
                        .any(|other| self.opens(first, parser, other));
                let parser = chosen.does.parser().unwrap_or(parser);
                let redirect = Redirect {
                    parser,
                    unrestricted,
                };
                (chosen, EntryAction::Redirect(redirect))
            }
        };
        let auth = if self.asks && action != EntryAction::Deny {
            let allowances: Vec<&Contribution> =
                surviving(covering).take_while(not_denied).collect();
            auth::required(&allowances, self.passes, self.semantics)
        } else {
            AuthMode::Disabled
        };
        Some(MapEntry {
            action,
            auth,
            precedence,
            cookie: first.cookie,
        })
    }

    /// Of several redirects that are equally strong the one that upstream takes: that of the peer's own
    /// entries unless theirs is narrower, and among those the narrowest.
    fn chosen<'a>(
        self,
        first: &'a Contribution,
        rest: impl Iterator<Item = &'a Contribution>,
    ) -> &'a Contribution {
        let equals: Vec<_> = rest
            .take_while(|other| other.precedence == first.precedence)
            .collect();
        if equals
            .iter()
            .all(|other| other.does.parser() == first.does.parser())
        {
            return first;
        }
        let narrowest = |any: bool| {
            let chain = equals.iter().filter(|other| other.any_peer == any);
            chain.max_by_key(|other| (other.level(), std::cmp::Reverse(other.order)))
        };
        let found = match (narrowest(false), narrowest(true)) {
            (Some(own), Some(any)) => {
                let own_first = match self.semantics {
                    Semantics::Cilium => own.level() <= any.level(),
                    Semantics::Strict => own.level() >= any.level(),
                };
                if own_first { Some(own) } else { Some(any) }
            }
            (own, any) => own.or(any),
        };
        found.copied().unwrap_or(first)
    }

    /// Whether `other` lets through what the redirect to `parser` would refuse.
    ///
    /// A rule of the same parser that fits everything does. A plain allowance does so only upstream:
    /// there the stream proxies look at all rules for the peer, the DNS proxy at those that were
    /// written for exactly its port.
    pub(crate) fn opens(self, first: &Contribution, parser: Parser, other: &Contribution) -> bool {
        let cilium = self.semantics == Semantics::Cilium;
        let of_group = !cilium || parser != Parser::Dns || other.group == first.group;
        match other.does {
            Does::Inspect { parser: same, open } => same == parser && open && of_group,
            Does::Allow if parser == Parser::Dns => cilium && of_group,
            Does::Allow => cilium && parser != Parser::Listener && reaches_proxies(other),
            Does::Deny | Does::Pass => false,
        }
    }
}

/// Only what reaches TCP concerns the stream proxies.
pub(crate) fn reaches_proxies(allowance: &Contribution) -> bool {
    allowance.told && matches!(allowance.key.protocol, Protocol::ANY | Protocol::TCP)
}

pub(crate) fn not_denied(contribution: &&Contribution) -> bool {
    contribution.does != Does::Deny
}
