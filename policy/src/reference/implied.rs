//! What is said about a direction without a rule that says it.

use porin_identity::{Requirement, Selector, SelectorKey, source};

use super::peers::Who;
use super::ports::Ports;
use super::statement::{Stage, Statement};
use super::subject::Subject;
use super::terms::Terms;
use crate::Direction;
use crate::rule::Action;

/// What is said without a rule that says it, as soon as there is a rule at all.
pub(super) fn implied<'a>(subject: &Subject<'a>, direction: Direction) -> Vec<Statement<'a>> {
    let everything = |stage, priority, who, action| Statement {
        stage,
        priority: (priority, 0),
        ports: Ports::All,
        who,
        terms: Terms::plain(action),
        origin: None,
    };
    let mut implied = Vec::new();
    if subject.closed() {
        implied.push(everything(Stage::Normal, 0, Who::Anybody, Action::Deny));
    } else if subject.speaking(direction).is_empty() {
        return implied;
    }
    if !subject.default_deny(direction) {
        implied.push(everything(Stage::Default, 0, Who::Anybody, Action::Allow));
        return implied;
    }
    if subject.admits_local_host(direction) {
        let host = Requirement::equals(SelectorKey::new(source::RESERVED, "host"), "");
        let host = Who::Labels(Selector::from_parts([host]));
        implied.push(everything(Stage::Default, 0, host, Action::Allow));
    }
    if subject.passes(direction) {
        implied.push(everything(Stage::Default, 1, Who::Anybody, Action::Deny));
    }
    implied
}
