//! What rules with one selector and one written port say together.

use super::clash::Clash;
use super::join::join;
use super::peers::Who;
use super::ports::Ports;
use super::statement::{Origin, Stage, Statement};
use super::subject::Subject;
use super::terms::Terms;
use crate::rule::Action;

/// What all rules say about one written port of one selector.
#[derive(Debug)]
pub(super) struct Settled {
    pub(super) stage: Stage,
    pub(super) priority: (u16, usize),
    pub(super) ports: Ports,
    pub(super) who: Who,
    pub(super) terms: Terms,
}

/// Reads statements together, and finds the first that cannot be.
pub(super) fn settle<'a>(
    statements: Vec<Statement<'a>>,
    subject: &Subject<'_>,
) -> (Vec<Settled>, Option<Clash<'a>>) {
    let mut groups: Vec<Vec<Statement<'a>>> = Vec::new();
    for statement in statements {
        let same = |group: &&mut Vec<Statement<'_>>| {
            group.first().is_some_and(|first| {
                (first.stage, &first.ports, &first.who)
                    == (statement.stage, &statement.ports, &statement.who)
            })
        };
        match groups.iter_mut().find(same) {
            Some(group) => group.push(statement),
            None => groups.push(vec![statement]),
        }
    }
    let mut settled = Vec::new();
    let mut first = None;
    for group in groups {
        let (together, clash) = together(group, subject.strict());
        settled.extend(together);
        first = first.or(clash);
    }
    (settled, first)
}

/// The strongest priority alone counts, there a denial before allowances before passing on, and
/// allowances are joined. (Upstream swallows an allowance only if the denial stands before it, so
/// that the place of a denial decides whether two allowances conflict.)
fn together(group: Vec<Statement<'_>>, strict: bool) -> (Option<Settled>, Option<Clash<'_>>) {
    let Some(priority) = group.iter().map(|one| one.priority).min() else {
        return (None, None);
    };
    let strongest: Vec<_> = group
        .into_iter()
        .filter(|one| one.priority == priority)
        .collect();
    let deciding = [Action::Deny, Action::Allow, Action::Pass]
        .into_iter()
        .find(|action| strongest.iter().any(|one| one.terms.action == *action));
    let mut counting = strongest
        .into_iter()
        .filter(|one| Some(one.terms.action) == deciding);
    let Some(Statement {
        stage,
        ports,
        who,
        mut terms,
        origin,
        ..
    }) = counting.next()
    else {
        return (None, None);
    };
    let mut clash = None;
    let mut origins: Vec<Origin<'_>> = origin.into_iter().collect();
    if deciding == Some(Action::Allow) && !who.is_none() {
        for other in counting {
            origins.extend(other.origin);
            match join(&terms, &other.terms, strict) {
                Ok(joined) => terms = joined,
                Err(what) => {
                    let origins = origins.clone();
                    clash = clash.or(Some(Clash { what, origins }));
                }
            }
        }
    }
    (
        Some(Settled {
            stage,
            priority,
            ports,
            who,
            terms,
        }),
        clash,
    )
}
