//! `matrix`: who may reach whom.

use std::io::Write;

use porin::flow::Escaped;
use porin::policy::{Protocol, Verdict};
use serde::Serialize;

use crate::answer::{SideAnswer, together, verdict};
use crate::args::{Matrix, Output};
use crate::failure::Failure;
use crate::model::{Model, Party, sides};

/// One attempt.
#[derive(Debug, Serialize)]
struct Cell {
    from: String,
    to: String,
    protocol: String,
    port: u16,
    verdict: &'static str,
    sides: Vec<SideAnswer>,
}

/// Where attempts go to.
struct Target {
    party: Party,
    protocol: Protocol,
    port: u16,
}

/// Shows every attempt from everybody to everybody's ports.
pub(crate) fn run(asked: &Matrix, out: &mut impl Write) -> Result<(), Failure> {
    let mut model = Model::read(&asked.inputs)?;
    let sources = model.parties()?;
    let targets = targets(&model, asked.port)?;
    let mut rows = Vec::new();
    for target in &targets {
        let mut row = Vec::new();
        for source in &sources {
            row.push(cell(&mut model, source, target)?);
        }
        rows.push(row);
    }
    match asked.inputs.output {
        Output::Json => {
            let cells: Vec<_> = rows.iter().flatten().flatten().collect();
            writeln!(
                out,
                "{}",
                serde_json::to_string(&cells).map_err(std::io::Error::from)?
            )?;
        }
        Output::Table => table(&sources, &targets, &rows, out)?,
    }
    Ok(())
}

/// Every port in the world; who lists none is tried at `default`.
fn targets(model: &Model, default: u16) -> Result<Vec<Target>, Failure> {
    let parties = model.parties()?;
    let listed = model
        .world()
        .workloads
        .iter()
        .map(|workload| workload.ports.as_slice());
    let listed = listed.chain(std::iter::repeat(&[][..]));
    let mut targets = Vec::new();
    for (party, ports) in parties.into_iter().zip(listed) {
        if ports.is_empty() {
            targets.push(Target {
                party: party.clone(),
                protocol: Protocol::TCP,
                port: default,
            });
        }
        for port in ports {
            targets.push(Target {
                party: party.clone(),
                protocol: port.protocol,
                port: port.port,
            });
        }
    }
    Ok(targets)
}

/// Nothing to say about an end with itself, or between ends that no policy guards.
fn cell(model: &mut Model, from: &Party, target: &Target) -> Result<Option<Cell>, Failure> {
    let to = &target.party;
    if from == to || !(from.guarded || to.guarded) {
        return Ok(None);
    }
    let sides = sides(model, from, to, target.protocol, target.port)?;
    let decisions: Vec<_> = sides
        .iter()
        .map(|side| side.policy.check(&side.query))
        .collect();
    Ok(Some(Cell {
        from: from.name.clone(),
        to: to.name.clone(),
        protocol: target.protocol.to_string(),
        port: target.port,
        verdict: verdict(together(
            decisions.iter().map(|decision| decision.verdict()),
        )),
        sides: sides
            .iter()
            .zip(&decisions)
            .map(|(side, decision)| SideAnswer::of(side, decision))
            .collect(),
    }))
}

fn table(
    sources: &[Party],
    targets: &[Target],
    rows: &[Vec<Option<Cell>>],
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
            format!("{:width$}", cell.as_ref().map_or("", mark))
        });
        let line = format!("{name:first$}  {}", marks.collect::<Vec<_>>().join("  "));
        writeln!(out, "{}", line.trim_end())?;
    }
    writeln!(
        out,
        "yes: allowed, no: denied, L7: allowed if a judgement at layer 7 says so"
    )?;
    Ok(())
}

fn mark(cell: &Cell) -> &'static str {
    match cell.verdict {
        word if word == verdict(Verdict::Allow) => "yes",
        word if word == verdict(Verdict::Redirect) => "L7",
        _ => "no",
    }
}

/// A workload's name without its namespace, if it has one.
fn short(name: &str) -> &str {
    name.rsplit_once('/').map_or(name, |(_, name)| name)
}
