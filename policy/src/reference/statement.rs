//! Everything that is said about a direction: by the rules that select the subject, and by what they
//! imply.

use super::implied::implied;
use super::peers::{Who, who};
use super::ports::Ports;
use super::speaking::Speaking;
use super::subject::Subject;
use super::terms::Terms;
use crate::peers::{Peer, Peers};
use crate::rule::{Action, Document, Rule, Tier};
use crate::{Direction, Query};

/// The tiers, strongest first. The last one holds what policies imply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    Admin,
    Normal,
    Baseline,
    Default,
}

/// What one rule says about one written port of one selector.
#[derive(Debug, Clone)]
pub(super) struct Statement<'a> {
    pub(super) stage: Stage,
    /// The priority of the document, then the place of the rule; smaller is stronger.
    pub(super) priority: (u16, usize),
    pub(super) ports: Ports,
    pub(super) who: Who,
    pub(super) terms: Terms,
    /// The rule; `None` for what is implied.
    pub(super) origin: Option<Origin<'a>>,
}

/// Where a statement comes from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Origin<'a> {
    pub(super) document: &'a Document,
    pub(super) place: usize,
    pub(super) rule: &'a Rule,
}

/// All statements, or those about one flow, in the order in which they are read together.
pub(super) fn statements<'a>(
    subject: &Subject<'a>,
    direction: Direction,
    about: Option<&Query>,
) -> Vec<Statement<'a>> {
    let mut all = written_down(subject, direction, about);
    if subject.isolated(direction) {
        // Tier Normal ends with its default deny.
        all.retain(|statement| statement.stage != Stage::Baseline);
    }
    all
}

/// The same with those that come too late to count.
pub(super) fn written_down<'a>(
    subject: &Subject<'a>,
    direction: Direction,
    about: Option<&Query>,
) -> Vec<Statement<'a>> {
    let eased = !subject.default_deny(direction);
    let mut all = Vec::new();
    for speaking in subject.speaking(direction) {
        for rule in &speaking.rules {
            all.extend(of_rule(subject, &speaking, rule, eased, about));
        }
    }
    let labels = about.and_then(|query| subject.identities.labels(query.peer));
    let implied = implied(subject, direction).into_iter();
    all.extend(implied.filter(|made| about.is_none() || made.who.picks(labels, subject)));
    all.sort_by_key(|statement| (statement.stage, statement.priority));
    all
}

fn of_rule<'a>(
    subject: &Subject<'a>,
    speaking: &Speaking<'a>,
    rule: &'a Rule,
    eased: bool,
    about: Option<&Query>,
) -> Vec<Statement<'a>> {
    let Speaking {
        document,
        place,
        spec,
        ..
    } = *speaking;
    let (stage, priority) = match spec.tier {
        Tier::Admin => (Stage::Admin, (spec.priority, rule.index)),
        Tier::Normal => (Stage::Normal, (0, 0)),
        Tier::Baseline => (Stage::Baseline, (spec.priority, rule.index)),
    };
    let origin = Some(Origin {
        document,
        place,
        rule,
    });
    let statement = |ports, who, terms| Statement {
        stage,
        priority,
        ports,
        who,
        terms,
        origin,
    };
    if rule.action != Action::Allow && speaks_of_unknown(rule) {
        // Whoever is meant, the rule was to keep somebody away.
        return vec![statement(
            Ports::All,
            Who::Anybody,
            Terms::plain(Action::Deny),
        )];
    }
    let covered = |ports: &Ports| about.is_none_or(|query| ports.level(query, subject).is_some());
    let written: Vec<_> = written(rule, subject, eased)
        .into_iter()
        .filter(|(ports, _)| covered(ports))
        .collect();
    if written.is_empty() {
        return Vec::new();
    }
    let labels = about.and_then(|query| subject.identities.labels(query.peer));
    let picked = |who: &Who| about.is_none() || who.picks(labels, subject);
    let mut all = Vec::new();
    for who in who(document, spec, rule, subject)
        .into_iter()
        .filter(picked)
    {
        let about_it = written.iter().cloned();
        all.extend(about_it.map(|(ports, terms)| statement(ports, who.clone(), terms)));
    }
    all
}

fn speaks_of_unknown(rule: &Rule) -> bool {
    matches!(&rule.peers, Peers::Listed(peers) if peers.contains(&Peer::Unknown))
}

/// The written ports of a rule, and what it says about each.
fn written(rule: &Rule, subject: &Subject<'_>, eased: bool) -> Vec<(Ports, Terms)> {
    let Some(elements) = &rule.ports else {
        let auth = rule.auth;
        return vec![(
            Ports::All,
            Terms {
                auth,
                ..Terms::plain(rule.action)
            },
        )];
    };
    let mut written = Vec::new();
    for element in elements {
        for spec in &element.ports {
            written.extend(spec.protocol.protocols().map(|protocol| {
                let terms = match rule.action {
                    Action::Allow => Terms::of(element, protocol, rule.auth, eased, subject.labels),
                    action => Terms::plain(action),
                };
                (Ports::of(spec, protocol), terms)
            }));
        }
    }
    written
}
