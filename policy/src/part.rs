//! What several rules ask of the same peers on the same written port, merged.

use std::sync::Arc;

use crate::l7::L7Rules;
use crate::level::Level;
use crate::port_rule::{ConfigKind, ListenerRef, TlsRules, TlsSide};
use crate::ports::Content;
use crate::rule::{Action, AuthMode};
use crate::{Conflict, Parser, RuleCookie, Semantics};

/// What one rule asks, or several merged.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    pub(crate) level: Level,
    pub(crate) action: Action,
    pub(crate) content: Option<Arc<Content>>,
    pub(crate) auth: Option<AuthMode>,
    pub(crate) cookie: RuleCookie,
    /// The place of the rule among all that select the subject.
    pub(crate) order: u32,
}

/// Two rules that cannot both hold.
pub(crate) type Clash = (Conflict, [RuleCookie; 2]);

impl Part {
    /// Merges what is asked, in order. The strongest level counts alone; inside it a denial before
    /// an allowance before a pass; and allowances are joined. Conflicts concern only what counts.
    pub(crate) fn merged(
        asked: &[Self],
        namespace: Option<&str>,
        semantics: Semantics,
    ) -> Result<Option<Self>, Clash> {
        let Some(level) = asked.iter().map(|part| part.level).max() else {
            return Ok(None);
        };
        let count = |action| {
            asked
                .iter()
                .filter(move |part| part.level == level && part.action == action)
        };
        if let Some(denial) = count(Action::Deny).next() {
            return Ok(Some(denial.clone()));
        }
        let mut allowances = count(Action::Allow);
        let Some(first) = allowances.next() else {
            return Ok(count(Action::Pass).next().cloned());
        };
        let mut whole = first.clone();
        for next in allowances {
            whole
                .join(next, namespace, semantics)
                .map_err(|conflict| (conflict, [whole.cookie, next.cookie]))?;
        }
        if semantics == Semantics::Strict && whole.content.as_ref().is_some_and(|c| names_clash(c))
        {
            return Err((Conflict::ServerNames, [whole.cookie, whole.cookie]));
        }
        Ok(Some(whole))
    }

    fn join(
        &mut self,
        next: &Self,
        namespace: Option<&str>,
        semantics: Semantics,
    ) -> Result<(), Conflict> {
        if self.content == next.content && self.auth == next.auth {
            return Ok(());
        }
        let mut joined = Joined::of(self.content.as_deref());
        joined.add(&Joined::of(next.content.as_deref()), namespace, semantics)?;
        match (self.auth, next.auth) {
            (Some(ours), Some(theirs)) if ours != theirs => return Err(Conflict::Authentication),
            (ours, theirs) => self.auth = ours.or(theirs),
        }
        self.content = joined.into_content();
        Ok(())
    }
}

/// Server names choose among TLS connections, whose content only who ends the TLS can read.
fn names_clash(content: &Content) -> bool {
    !content.server_names.is_empty() && content.has_rules() && content.tls.terminating.is_none()
}

/// The name of a listener as the proxy knows it: `NAMESPACE/CONFIGURATION/LISTENER`, the namespace
/// being that of the subject, or empty for a clusterwide configuration. A name that begins with the
/// namespace already stays.
pub(crate) fn listener_name(listener: &ListenerRef, namespace: Option<&str>) -> Box<str> {
    let namespace = match listener.config {
        ConfigKind::Clusterwide => "",
        ConfigKind::Namespaced | ConfigKind::Unsaid => namespace.unwrap_or_default(),
    };
    let name = &*listener.name;
    let qualified = name
        .split_once('/')
        .is_some_and(|(first, _)| first == namespace);
    if name.is_empty() || qualified {
        return name.into();
    }
    format!("{namespace}/{}/{name}", listener.config_name).into()
}

/// A content, or none, while others are added to it.
#[derive(Debug, Clone)]
struct Joined {
    /// The parser with its name, and the strength against other redirects.
    parser: Option<(Parser, Option<Box<str>>)>,
    priority: u16,
    rules: L7Rules,
    open: bool,
    server_names: Vec<Box<str>>,
    tls: TlsRules,
    listener: Option<Box<ListenerRef>>,
}

impl Joined {
    fn of(content: Option<&Content>) -> Self {
        match content {
            None => Self {
                parser: None,
                priority: 0,
                rules: L7Rules::None,
                open: true,
                server_names: Vec::new(),
                tls: TlsRules::default(),
                listener: None,
            },
            Some(content) => Self {
                parser: Some((content.parser, content.parser_name.clone())),
                priority: content.priority,
                rules: content.rules.clone(),
                open: content.open,
                server_names: content.server_names.clone(),
                tls: content.tls.clone(),
                listener: content.listener.clone(),
            },
        }
    }

    fn into_content(self) -> Option<Arc<Content>> {
        let (parser, parser_name) = self.parser?;
        Some(Arc::new(Content {
            parser,
            parser_name,
            priority: self.priority,
            rules: self.rules,
            open: self.open,
            server_names: self.server_names,
            tls: self.tls,
            listener: self.listener,
        }))
    }

    fn add(
        &mut self,
        next: &Self,
        namespace: Option<&str>,
        semantics: Semantics,
    ) -> Result<(), Conflict> {
        self.add_parser(next)?;
        self.add_listener(next, namespace)?;
        add_side(&mut self.tls.terminating, next.tls.terminating.as_deref())?;
        add_side(&mut self.tls.originating, next.tls.originating.as_deref())?;
        for name in &next.server_names {
            if !self.server_names.contains(name) {
                self.server_names.push(name.clone());
            }
        }
        // Upstream looks only at the rules that it has met before, so that the order counts.
        let clash = !self.server_names.is_empty()
            && !self.rules.is_empty()
            && self.tls.terminating.is_none();
        if clash && semantics == Semantics::Cilium {
            return Err(Conflict::ServerNames);
        }
        // Upstream no rules at all let everything through beside others too. Under Strict a parser
        // has to be named for that.
        let silent = |one: &Self| {
            let named = matches!(one.rules, L7Rules::Other { .. });
            semantics == Semantics::Strict && one.rules.is_empty() && !named
        };
        self.open = match (silent(self), silent(next)) {
            (true, false) => next.open,
            (false, true) => self.open,
            _ => self.open || next.open,
        };
        self.rules.unite(&next.rules);
        Ok(())
    }

    /// No parser gives way to any, and that of TLS to those of what is inside.
    fn add_parser(&mut self, next: &Self) -> Result<(), Conflict> {
        let inside =
            |parser: Parser| matches!(parser, Parser::Http | Parser::Kafka | Parser::Other);
        match (&self.parser, &next.parser) {
            (_, None) => Ok(()),
            (Some(ours), Some(theirs)) if ours == theirs => Ok(()),
            (Some((ours, _)), Some((Parser::Tls, _))) if inside(*ours) => Ok(()),
            (Some((Parser::Tls, _)), Some((theirs, _))) if !inside(*theirs) => {
                Err(Conflict::Parsers)
            }
            (Some((Parser::Tls, _)) | None, theirs) => {
                self.parser.clone_from(theirs);
                self.priority = next.priority;
                Ok(())
            }
            (Some(_), Some(_)) => Err(Conflict::Parsers),
        }
    }

    fn add_listener(&mut self, next: &Self, namespace: Option<&str>) -> Result<(), Conflict> {
        let Some(theirs) = &next.listener else {
            return Ok(());
        };
        let Some(ours) = &self.listener else {
            self.listener = Some(theirs.clone());
            self.priority = next.priority;
            return Ok(());
        };
        let same = listener_name(ours, namespace) == listener_name(theirs, namespace);
        if self.priority < next.priority || (same && self.priority == next.priority) {
            return Ok(());
        }
        if self.priority > next.priority {
            self.listener = Some(theirs.clone());
            self.priority = next.priority;
            return Ok(());
        }
        Err(Conflict::Listeners)
    }
}

fn add_side(ours: &mut Option<Box<TlsSide>>, theirs: Option<&TlsSide>) -> Result<(), Conflict> {
    match (&ours, theirs) {
        (Some(ours), Some(theirs)) if **ours != *theirs => Err(Conflict::Tls),
        (Some(_), _) | (None, None) => Ok(()),
        (None, Some(theirs)) => {
            *ours = Some(Box::new(theirs.clone()));
            Ok(())
        }
    }
}
