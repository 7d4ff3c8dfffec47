//! PL013 unknown-port-name: a port name that nobody it could be asked of has.

use std::collections::BTreeSet;

use super::clause::{Clause, subject};
use super::code::Code;
use super::finding::Suggestion;
use super::people::People;
use super::registry::{Found, Run};
use super::side::{Pick, Side};
use crate::direction::Direction;
use crate::parse::suggest;
use crate::port_rule::{Port, PortSpec};
use crate::rule::Guards;
use crate::world::Workload;

pub(super) fn run(run: &Run<'_>, found: &mut Vec<Found>) {
    let Some(people) = run
        .people
        .as_ref()
        .filter(|people| people.have_port_names())
    else {
        return;
    };
    for clause in run.clauses.iter() {
        let Some((_, element)) = clause.element else {
            continue;
        };
        let named = element
            .ports
            .iter()
            .filter(|port| matches!(port.port, Port::Name(_)));
        for port in named {
            found.extend(report(run, people, clause, port));
        }
    }
}

fn report(
    run: &Run<'_>,
    people: &People<'_>,
    clause: &Clause<'_>,
    port: &PortSpec,
) -> Option<Found> {
    let Port::Name(name) = &port.port else {
        return None;
    };
    let asked = asked(people, clause)?;
    let fits = |workload: &&Workload| {
        workload.named_ports().iter().any(|own| {
            own.name() == &**name
                && port
                    .protocol
                    .protocols()
                    .any(|protocol| protocol == own.protocol())
        })
    };
    if asked.is_empty() || asked.iter().any(fits) {
        return None;
    }
    let known: BTreeSet<String> = asked
        .iter()
        .flat_map(|workload| workload.named_ports())
        .map(|own| own.name().to_owned())
        .collect();
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    let who = match clause.direction() {
        Direction::Ingress => "no workload that this policy guards",
        Direction::Egress => "no workload that this rule speaks of",
    };
    let reason = format!(
        "{who} has a {} port of the name `{name}`, so it stands for no port",
        port.protocol
    );
    let advice = match (suggest(name, &known), known.is_empty()) {
        (Some(near), _) => format!("`{near}` is known; mend the name, or write the number"),
        (None, true) => "give the port its name at the workload, or write the number".to_owned(),
        (None, false) => format!(
            "known there: {}; mend the name, or write the number",
            known.join(", ")
        ),
    };
    let place = (clause.document, clause.location().clone());
    Found::new(
        run,
        Code::UnknownPortName,
        place,
        None,
        reason,
        Suggestion::words(advice),
    )
}

/// The workloads whose names count: the guarded ones for what comes in, the peers for what goes
/// out. `None` if that cannot be told.
fn asked<'w>(people: &People<'w>, clause: &Clause<'_>) -> Option<Vec<&'w Workload>> {
    if clause.spec.guards == Guards::Nodes {
        return None;
    }
    if clause.direction() == Direction::Ingress {
        let guarded = subject(clause.of, clause.spec);
        return people
            .can_tell(&guarded)
            .then(|| people.fitting(&guarded).collect());
    }
    let everybody = || people.iter().map(|(workload, _)| *workload).collect();
    let Side::Picked(picks) = &*clause.side else {
        return Some(everybody());
    };
    let mut asked = Vec::new();
    for pick in picks {
        match pick {
            Pick::Labels(selector) | Pick::Pods(selector) if people.can_tell(selector) => {
                asked.extend(people.fitting(selector));
            }
            Pick::Entity(_) => return Some(everybody()),
            _ => return None,
        }
    }
    Some(asked)
}
