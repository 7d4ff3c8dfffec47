//! Who of several contributors wins.

use std::cmp::Reverse;

use crate::contribution::{Contribution, Does, Inspection, surviving};
use crate::rule::AuthMode;
use crate::{EntryAction, MapEntry, Parser, Redirect, RuleCookie, Semantics, auth};

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
        let denied = MapEntry {
            action: EntryAction::Deny,
            auth: AuthMode::Disabled,
            precedence,
            cookie: RuleCookie::NONE,
        };
        let Some(first) = surviving(covering.clone()).next() else {
            return Some(denied);
        };
        let (first, action) = match first.does {
            Does::Deny => (first, EntryAction::Deny),
            Does::Allow | Does::Pass => (first, EntryAction::Allow),
            Does::Inspect(inspection) => {
                let chosen = self.chosen(first, surviving(covering.clone()));
                let inspection = chosen.does.inspection().unwrap_or(inspection);
                let told = surviving(covering.clone()).take_while(not_denied);
                let heard: Vec<_> = told
                    .filter(|other| self.hears(chosen, inspection, other))
                    .collect();
                let opens = |other: &Contribution| self.opens(inspection, other);
                let keeps = |other: &Contribution| {
                    let own = other.does.inspection();
                    own.is_some_and(|own| own.kept)
                };
                let redirect = Redirect {
                    parser: inspection.parser,
                    unrestricted: !inspection.kept
                        && !heard.iter().any(|other| keeps(other))
                        && heard.iter().any(|other| opens(other))
                        && heard.iter().any(|other| other.does.is_unnamed()),
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
    /// entries unless theirs is narrower, among those the narrowest, and of equally narrow ones the
    /// first by the name of the proxy.
    fn chosen<'a>(
        self,
        first: &'a Contribution,
        rest: impl Iterator<Item = &'a Contribution>,
    ) -> &'a Contribution {
        let equals: Vec<_> = rest
            .take_while(|other| other.precedence == first.precedence)
            .collect();
        // A DNS proxy, a listener or a parser with a name is not the same for all who ask for one.
        let one_for_all =
            |parser| matches!(parser, Some(Parser::Http | Parser::Kafka | Parser::Tls));
        let same = |other: &&Contribution| other.does.parser() == first.does.parser();
        if one_for_all(first.does.parser()) && equals.iter().all(same) {
            return first;
        }
        let narrowest = |any: bool| {
            let chain = equals.iter().filter(|other| other.any_peer == any);
            chain.max_by_key(|other| {
                let name = other.does.inspection().map(|inspection| inspection.name);
                (other.level(), Reverse(name), Reverse(other.order))
            })
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

    /// Whether the proxy of a redirect knows of another allowance.
    ///
    /// Upstream the stream proxies know all that is said about the flow, but for rules of a listener,
    /// which hold there alone; the DNS proxy knows what was written for exactly its port. Under Strict
    /// semantics only that counts which was written for a proxy.
    pub(crate) fn hears(
        self,
        redirect: &Contribution,
        inspection: Inspection,
        other: &Contribution,
    ) -> bool {
        match (other.does, self.semantics) {
            (Does::Deny | Does::Pass, _) => false,
            (Does::Inspect(own), _) if own.parser == Parser::Listener => false,
            (does, Semantics::Strict) => does.inspection().is_some(),
            _ if inspection.parser == Parser::Dns => other.group == redirect.group,
            _ => other.told,
        }
    }

    /// Whether an allowance that the proxy knows of lets every content through: one without rules for
    /// its parser does, under Strict semantics only one whose rules say so.
    fn opens(self, inspection: Inspection, other: &Contribution) -> bool {
        match other.does {
            _ if inspection.parser == Parser::Tls => true,
            Does::Inspect(own) if own.reads_as(inspection) => own.open,
            _ => self.semantics == Semantics::Cilium,
        }
    }
}

pub(crate) fn not_denied(contribution: &&Contribution) -> bool {
    contribution.does != Does::Deny
}
