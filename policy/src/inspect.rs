//! What the proxies are told about a flow.

use crate::contribution::{Contribution, Does, surviving};
use crate::l7::{DnsRule, L7Rules};
use crate::lane::LanePolicy;
use crate::part::listener_name;
use crate::ports::Content;
use crate::weigh::{not_denied, reaches_proxies};
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
        let mut told = L7Policy {
            parser: own.parser,
            parser_name: own.parser_name.clone(),
            unrestricted: false,
            rules: L7Rules::None,
            server_names: own.server_names.clone(),
            listener: own
                .listener
                .as_ref()
                .map(|one| listener_name(one, namespace)),
        };
        match own.parser {
            Parser::Listener => told.unrestricted = true,
            Parser::Tls => {
                told.unrestricted = true;
                self.add_names(&mut told.server_names, &allowed);
            }
            Parser::Http | Parser::Kafka | Parser::Dns | Parser::Other => {
                told.unrestricted = self.add_rules(&mut told.rules, first, own, &allowed);
            }
        }
        if told.unrestricted {
            told.rules = L7Rules::None;
        }
        Some(told)
    }

    fn content_of(&self, contribution: &Contribution) -> Option<&Content> {
        self.parts
            .get(contribution.part as usize)?
            .content
            .as_deref()
    }

    /// Adds the rules of everybody who has the same proxy's ear; whether they let everything through.
    fn add_rules(
        &self,
        rules: &mut L7Rules,
        first: &Contribution,
        own: &Content,
        allowed: &[&Contribution],
    ) -> bool {
        let cilium = self.scale.semantics == Semantics::Cilium;
        let mut open = false;
        for other in allowed {
            match self.content_of(other) {
                Some(content)
                    if content.parser == own.parser && content.parser_name == own.parser_name =>
                {
                    let of_group =
                        !cilium || own.parser != Parser::Dns || other.group == first.group;
                    if of_group {
                        rules.unite(&content.rules);
                        open |= self.add_open(rules, content);
                    }
                }
                Some(_) => {}
                None => open |= self.scale.opens(first, own.parser, other),
            }
        }
        open
    }

    /// Whether rules let everything through. For the DNS proxy that is a rule like the others.
    fn add_open(&self, rules: &mut L7Rules, content: &Content) -> bool {
        let open = content.is_open(self.eased);
        if !open || content.parser != Parser::Dns || content.rules.is_empty() {
            return open;
        }
        if !rules.is_open() {
            rules.unite(&L7Rules::Dns(vec![DnsRule {
                match_name: None,
                match_pattern: Some("*".into()),
            }]));
        }
        false
    }

    /// Adds the server names of everybody. Upstream a rule without names lifts them.
    fn add_names(&self, names: &mut Vec<Box<str>>, allowed: &[&Contribution]) {
        let cilium = self.scale.semantics == Semantics::Cilium;
        for other in allowed {
            let lifts = match (self.content_of(other), other.does) {
                (Some(content), _) if content.parser == Parser::Tls => {
                    let new = content.server_names.iter();
                    let new: Vec<_> = new.filter(|name| !names.contains(name)).cloned().collect();
                    names.extend(new);
                    content.server_names.is_empty()
                }
                (None, Does::Allow) => cilium && reaches_proxies(other),
                _ => false,
            };
            if lifts {
                names.clear();
                return;
            }
        }
        names.sort();
    }
}
