//! `matrix`: who may reach whom.

use std::io::Write;

use porin::flow::Escaped;
use porin::policy::ask::{Connection, Model, Party, PortClass, Sides};
use porin::policy::{Protocol, Verdict};
use serde::Serialize;

use crate::answer::{Judged, json};
use crate::args::{Matrix, Output};
use crate::failure::Failure;
use crate::model;
use crate::status::Status;

/// What happens on a class of ports.
#[derive(Debug, Serialize)]
struct ClassCell {
    class: String,
    /// The sample of the class.
    #[serde(flatten)]
    judged: Judged,
}

/// Where attempts go to.
struct Target {
    party: Party,
    protocol: Protocol,
    port: u16,
}

/// Shows every attempt from everybody to everybody's ports.
pub(crate) fn run(asked: &Matrix, out: &mut impl Write) -> Result<Status, Failure> {
    let model = model::read(&asked.inputs)?;
    if asked.classes {
        classes(&model, asked.inputs.output, out)?;
        return Ok(Status::Good);
    }
    let sources = model.census().parties();
    let targets = targets(&model, asked);
    let rows: Vec<Vec<_>> = targets
        .iter()
        .map(|target| {
            sources
                .iter()
                .map(|source| cell(&model, source, target))
                .collect()
        })
        .collect();
    match asked.inputs.output {
        Output::Json => {
            let cells: Vec<_> = rows.iter().flatten().flatten().collect();
            let cells: Vec<_> = cells
                .iter()
                .map(|(at, sides)| Judged::of(at, sides))
                .collect();
            json(&cells, out)?;
        }
        Output::Table => table(sources, &targets, &rows, out)?,
    }
    Ok(Status::Good)
}

/// The ports that were asked about; without any, every port in the world, and for who lists none
/// the default.
fn targets(model: &Model, asked: &Matrix) -> Vec<Target> {
    let mut targets = Vec::new();
    for party in model.census().parties() {
        let listed = party.ports.iter().map(|port| (port.protocol, port.port));
        let mut ports: Vec<_> = listed.collect();
        if !asked.on.is_empty() {
            ports.clone_from(&asked.on);
        } else if ports.is_empty() {
            ports.push((Protocol::TCP, asked.port));
        }
        targets.extend(ports.into_iter().map(|(protocol, port)| Target {
            party: party.clone(),
            protocol,
            port,
        }));
    }
    targets
}

/// Nothing to say about an end with itself, or between ends that no policy guards.
fn cell(model: &Model, from: &Party, target: &Target) -> Option<(Connection, Sides)> {
    let connection = Connection {
        from: from.clone(),
        to: target.party.clone(),
        protocol: target.protocol,
        port: target.port,
    };
    let sides = model.judge(&connection).ok();
    sides
        .filter(|_| *from != target.party)
        .map(|sides| (connection, sides))
}

fn table(
    sources: &[Party],
    targets: &[Target],
    rows: &[Vec<Option<(Connection, Sides)>>],
    out: &mut impl Write,
) -> Result<(), Failure> {
    let names: Vec<_> = targets
        .iter()
        .map(|target| {
            format!(
                "{} {}/{}",
                Escaped(&target.party.name),
                target.protocol,
                target.port
            )
        })
        .collect();
    let first = names
        .iter()
        .map(|name| name.chars().count())
        .max()
        .unwrap_or(0);
    let heads: Vec<_> = sources
        .iter()
        .map(|source| Escaped(short(&source.name)).to_string())
        .collect();
    writeln!(out, "{:first$}  {}", "to \\ from", heads.join("  "))?;
    for (name, row) in names.iter().zip(rows) {
        let marks = row.iter().zip(&heads).map(|(cell, head)| {
            let width = head.chars().count();
            let mark = cell
                .as_ref()
                .map_or_else(String::new, |(_, sides)| marks(sides));
            format!("{mark:width$}")
        });
        let line = format!("{name:first$}  {}", marks.collect::<Vec<_>>().join("  "));
        writeln!(out, "{}", line.trim_end())?;
    }
    writeln!(
        out,
        "yes: allowed, no: denied, L7: allowed if a judgement at layer 7 says so; \
         behind `>` what the staged rules would make of it"
    )?;
    Ok(())
}

fn marks(sides: &Sides) -> String {
    let enforced = mark(sides.verdict());
    match sides.staged() {
        Some(staged) if staged != sides.verdict() => format!("{enforced}>{}", mark(staged)),
        _ => enforced.to_owned(),
    }
}

fn mark(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Allow => "yes",
        Verdict::Redirect => "L7",
        Verdict::Deny => "no",
    }
}

/// A workload's name without its namespace, if it has one.
fn short(name: &str) -> &str {
    name.rsplit_once('/').map_or(name, |(_, name)| name)
}

/// Every class of ports between everybody: nothing between two ports is left untried.
fn classes(model: &Model, output: Output, out: &mut impl Write) -> Result<(), Failure> {
    let everybody = model.census().everybody();
    let mut cells = Vec::new();
    for to in everybody {
        for from in everybody
            .iter()
            .filter(|from| from.is_guarded() || to.is_guarded())
        {
            let judged = model.classes(from, to).into_iter();
            cells.extend(judged.map(|(class, sides)| class_cell(from, to, class, &sides)));
        }
    }
    match output {
        Output::Json => json(&cells, out),
        Output::Table => {
            for ClassCell { class, judged } in &cells {
                let Judged {
                    from, to, verdict, ..
                } = judged;
                let line = format!("{from} -> {to} {class}: {verdict}");
                writeln!(out, "{}", Escaped(&line))?;
            }
            Ok(())
        }
    }
}

fn class_cell(from: &Party, to: &Party, class: PortClass, sides: &Sides) -> ClassCell {
    let connection = Connection::sample(from, to, class);
    ClassCell {
        class: class.to_string(),
        judged: Judged::of(&connection, sides),
    }
}
