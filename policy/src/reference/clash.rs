//! Rules that ask for what cannot be had together.

use std::sync::Arc;

use super::peers::who;
use super::speaking::Speaking;
use super::statement::Origin;
use super::subject::Subject;
use crate::port_rule::{ConfigKind, PortRule};
use crate::rule::Rule;
use crate::{Conflict, Direction, ResolveError, RuleRef};

/// Rules that ask for what cannot be had together.
#[derive(Debug)]
pub(super) struct Clash<'a> {
    pub(super) what: Conflict,
    pub(super) origins: Vec<Origin<'a>>,
}

/// A listener that is looked for in the namespace of a subject that has none.
pub(super) fn listener_without_namespace<'a>(
    subject: &Subject<'a>,
    direction: Direction,
) -> Option<Clash<'a>> {
    let namespaced = |element: &PortRule| {
        let listener = element.listener.as_ref();
        !element.ports.is_empty() && listener.is_some_and(|l| l.config == ConfigKind::Namespaced)
    };
    if subject.labels.namespace().is_some() {
        return None;
    }
    for speaking in subject.speaking(direction) {
        let Speaking {
            document,
            place,
            spec,
            ..
        } = speaking;
        let names = |rule: &&Rule| rule.ports.iter().flatten().any(namespaced);
        let meant = |rule: &&Rule| !who(document, spec, rule, subject).is_empty();
        if let Some(rule) = speaking.rules.iter().copied().filter(names).find(meant) {
            return Some(Clash {
                what: Conflict::ListenerNamespace,
                origins: vec![Origin {
                    document,
                    place,
                    rule,
                }],
            });
        }
    }
    None
}

impl Clash<'_> {
    pub(super) fn error(&self, subject: &Subject<'_>, direction: Direction) -> ResolveError {
        let rule = |origin: &Origin<'_>| RuleRef {
            policy: Arc::new(origin.document.name.clone()),
            spec: origin.place,
            direction,
            action: origin.rule.action,
            index: origin.rule.index,
            location: origin.rule.location.clone(),
        };
        let mut rules: Vec<_> = self.origins.iter().map(rule).map(Arc::new).collect();
        rules.sort();
        rules.dedup();
        ResolveError::Conflict {
            subject: subject.id,
            direction,
            rules,
            what: self.what,
        }
    }
}
