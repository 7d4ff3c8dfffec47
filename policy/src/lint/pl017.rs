//! PL017 default-deny-flip: default deny is switched on, or left off, where the text does not look
//! like it.

use super::clause::{is_staged, subject};
use super::code::Code;
use super::cover::excludes;
use super::finding::Suggestion;
use super::isolation::isolates;
use super::registry::{Found, Run};
use crate::direction::Direction;
use crate::port_rule::Port;
use crate::rule::{Action, Document, Guards, Rule, Spec};

pub(super) fn run(run: &Run<'_>, found: &mut Vec<Found>) {
    for (index, document) in run.documents.iter().enumerate() {
        if document.name.kind.is_kubernetes() {
            continue;
        }
        for spec in document
            .specs
            .iter()
            .filter(|spec| spec.guards == Guards::Endpoints)
        {
            for direction in Direction::ALL {
                let part = Part::of(run, document, spec, direction);
                let said = denials_alone(run, &part)
                    .or_else(|| names_alone(run, &part))
                    .or_else(|| open(run, &part));
                let Some((rule, reason, advice)) = said else {
                    continue;
                };
                let place = (index, rule.location.clone());
                let suggestion = Suggestion::words(advice);
                found.extend(Found::new(
                    run,
                    Code::DefaultDenyFlip,
                    place,
                    None,
                    reason,
                    suggestion,
                ));
            }
        }
    }
}

/// One direction of one spec, with what is in force of it.
struct Part<'a> {
    document: &'a Document,
    spec: &'a Spec,
    direction: Direction,
    rules: Vec<&'a Rule>,
}

impl<'a> Part<'a> {
    fn of(run: &Run<'_>, document: &'a Document, spec: &'a Spec, direction: Direction) -> Self {
        let in_force =
            |rule: &&Rule| rule.direction == direction && !is_staged(document, rule, run.options);
        Self {
            document,
            spec,
            direction,
            rules: spec.rules.iter().filter(in_force).collect(),
        }
    }

    /// Whether some other spec that may guard the same workloads isolates them or allows them
    /// something in this direction.
    fn has_company(&self, run: &Run<'_>) -> bool {
        let own = subject(self.document, self.spec);
        run.specs().any(|(document, spec)| {
            let allows =
                |rule: &Rule| rule.direction == self.direction && rule.action == Action::Allow;
            !std::ptr::eq(spec, self.spec)
                && spec.guards == self.spec.guards
                && (spec.rules.iter().any(allows)
                    || isolates(document, spec, self.direction, run.options))
                && !excludes(&subject(document, spec), &own)
        })
    }
}

type Said<'a> = Option<(&'a Rule, String, String)>;

/// Denials alone: they close the direction for everything else too.
fn denials_alone<'a>(run: &Run<'_>, part: &Part<'a>) -> Said<'a> {
    let first = *part.rules.first()?;
    let denies = part.rules.iter().all(|rule| rule.action == Action::Deny);
    let unsaid = part.spec.default_deny.get(part.direction).is_none()
        && !part
            .spec
            .empty_lists
            .iter()
            .any(|list| list.direction == part.direction);
    if !denies || !unsaid || part.has_company(run) {
        return None;
    }
    let direction = part.direction.name();
    let reason = format!(
        "no other policy speaks of {direction} here, so these denials switch default deny on and close everything else as well"
    );
    let advice = format!(
        "write `enableDefaultDeny: {{{direction}: false}}` if only this is to be denied, `{direction}: [{{}}]` if everything is"
    );
    Some((first, reason, advice))
}

/// Name lookups alone: whoever is guarded may ask for names and reach nobody.
fn names_alone<'a>(run: &Run<'_>, part: &Part<'a>) -> Said<'a> {
    let first = *part.rules.first()?;
    let lookups =
        part.direction == Direction::Egress && part.rules.iter().all(|rule| is_lookup(rule));
    if !lookups
        || !isolates(part.document, part.spec, part.direction, run.options)
        || part.has_company(run)
    {
        return None;
    }
    let reason = "nothing but DNS is allowed to leave here, and no other policy speaks of egress, so whoever is guarded can ask for names and connect to none of them".to_owned();
    let advice = "allow what shall be reached, or write `enableDefaultDeny: {egress: false}` if only the lookups are to be seen";
    Some((first, reason, advice.to_owned()))
}

fn is_lookup(rule: &Rule) -> bool {
    let elements = rule.ports.iter().flatten();
    let mut ports = elements.flat_map(|element| &element.ports).peekable();
    rule.action == Action::Allow
        && ports.peek().is_some()
        && ports.all(|port| port.port == Port::Number(53) && port.end_port.is_none())
}

/// L7 rules where default deny is off: what no rule matches passes.
fn open<'a>(run: &Run<'_>, part: &Part<'a>) -> Said<'a> {
    let off =
        run.options.non_default_deny && part.spec.default_deny.get(part.direction) == Some(false);
    let judges = |rule: &&&Rule| {
        let mut elements = rule.ports.iter().flatten();
        elements.any(|element| !element.l7.is_none())
    };
    let rule = *part.rules.iter().find(judges).filter(|_| off)?;
    let own = subject(part.document, part.spec);
    let closed = run.specs().any(|(document, spec)| {
        spec.guards == part.spec.guards
            && isolates(document, spec, part.direction, run.options)
            && !excludes(&subject(document, spec), &own)
    });
    if closed {
        return None;
    }
    let direction = part.direction.name();
    let reason = format!(
        "`enableDefaultDeny` is off for {direction} and no other policy closes it, so requests that none of these rules matches pass too"
    );
    let advice = format!(
        "close the direction (`{direction}: [{{}}]` in another policy), or keep the rules for what they show alone"
    );
    Some((rule, reason, advice))
}
