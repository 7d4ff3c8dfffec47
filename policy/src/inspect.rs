//! What the proxies are told about a flow.

use std::collections::BTreeSet;

use crate::contribution::{Contribution, surviving};
use crate::l7::{DnsRule, L7Rules};
use crate::lane::LanePolicy;
use crate::part::listener_name;
use crate::ports::Content;
use crate::weigh::not_denied;
use crate::{L7Policy, MapEntry, Parser, Semantics};

impl LanePolicy {
    /// The content rules of a redirected flow. `covering` is everything that covers it, strongest
    /// first, and `entry` what came of it.
    ///
    /// Upstream (Cilium 1.20) hands the stream proxies the rules of all ports and tiers with their
    /// precedence; a rule whose content does not fit is passed over, so that a plain allowance behind
    /// it lifts it. The DNS proxy knows the rules that were written for exactly its port.
    pub(crate) fn content(
        &self,
        covering: &[Contribution],
        entry: MapEntry,
        namespace: Option<&str>,
    ) -> Option<L7Policy> {
        let redirect = entry.action.redirect()?;
        let allowed: Vec<&Contribution> =
            surviving(covering.iter()).take_while(not_denied).collect();
        let first = allowed
            .iter()
            .copied()
            .find(|c| c.does.parser() == Some(redirect.parser) && c.cookie == entry.cookie)?;
        let own = self.content_of(first)?;
        let listener = |content: &Content| {
            let one = content.listener.as_ref();
            one.map(|one| listener_name(one, namespace))
        };
        let listener_of_own = listener(own);
        let inspection = first.does.inspection()?;
        let knows = |other: &Contribution| match self.content_of(other) {
            Some(content) if content.parser == Parser::Listener => {
                listener(content) == listener_of_own
            }
            _ => self.scale.hears(first, inspection, other),
        };
        let heard = allowed.iter().filter(|other| knows(other));
        let heard: Vec<_> = heard.map(|other| self.content_of(other)).collect();
        let (rules, open) = self.rules(own, &heard);
        Some(L7Policy {
            parser: own.parser,
            parser_name: own.parser_name.clone(),
            unrestricted: open,
            rules: if open { L7Rules::None } else { rules },
            server_names: server_names(&heard),
            listener: listener_of_own,
        })
    }

    fn content_of(&self, contribution: &Contribution) -> Option<&Content> {
        self.parts
            .get(contribution.part as usize)?
            .content
            .as_deref()
    }

    /// The rules of all that the proxy knows of, and whether something lets everything through. `None`
    /// stands for an allowance without rules, which does so upstream, like one that is for another
    /// parser.
    fn rules(&self, own: &Content, heard: &[Option<&Content>]) -> (L7Rules, bool) {
        let reads = |content: &Content| {
            (content.parser, &content.parser_name) == (own.parser, &own.parser_name)
        };
        let mut rules = L7Rules::None;
        let mut open = matches!(own.parser, Parser::Tls | Parser::Listener);
        for content in heard {
            match content {
                Some(content) if reads(content) => {
                    rules.unite(&content.rules);
                    open |= self.opens(&mut rules, content);
                }
                _ => open |= self.scale.semantics == Semantics::Cilium,
            }
        }
        (rules, open)
    }

    /// Whether rules let everything through outright. For the DNS proxy that is a rule like the
    /// others.
    fn opens(&self, rules: &mut L7Rules, content: &Content) -> bool {
        let eased = self.eased && matches!(content.parser, Parser::Http | Parser::Dns);
        let open = content.open || eased;
        if !open || content.parser != Parser::Dns || content.rules.is_empty() {
            return open;
        }
        rules.unite(&L7Rules::Dns(vec![DnsRule {
            match_name: None,
            match_pattern: Some("*".into()),
        }]));
        false
    }
}

/// The server names of all that the proxy knows of, in order; one that allows every name lifts them.
fn server_names(heard: &[Option<&Content>]) -> Vec<Box<str>> {
    let named = |content: &Option<&Content>| content.is_some_and(|c| !c.server_names.is_empty());
    if !heard.iter().all(named) {
        return Vec::new();
    }
    let names: BTreeSet<_> = heard
        .iter()
        .flatten()
        .flat_map(|c| &c.server_names)
        .collect();
    names.into_iter().cloned().collect()
}
