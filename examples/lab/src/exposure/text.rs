//! Port maps for people.

use std::fmt::Write as _;
use std::io::Write;

use porin::flow::Escaped;
use porin::policy::Direction;
use porin::policy::ask::{Exposure, Grant, Reach};

use super::program::names;
use crate::content::Content;
use crate::failure::Failure;

/// One line of a port map: ports, peers, outcome, reason.
fn line(grant: &Grant) -> [String; 4] {
    let classes: Vec<_> = grant.classes.iter().map(ToString::to_string).collect();
    let reason = grant.reason.to_string();
    [classes.join(", "), peers(grant), outcome(grant), reason]
}

fn peers(grant: &Grant) -> String {
    match (grant.is_for_anybody(), grant.except.is_empty()) {
        (false, _) => names(&grant.peers).join(", "),
        (true, true) => "ANYBODY".to_owned(),
        (true, false) => format!("ANYBODY but {}", names(&grant.except).join(", ")),
    }
}

fn outcome(grant: &Grant) -> String {
    let mut text = grant.outcome.verdict.to_string();
    // Writing to a string cannot fail.
    if let Some(l7) = &grant.outcome.l7 {
        let _ = write!(text, " [{}]", Content::from(l7).lines().join("; "));
    }
    if let Some(auth) = Content::mode(grant.outcome.auth) {
        let _ = write!(text, ", authentication {auth}");
    }
    if let Some(staged) = grant
        .staged
        .filter(|staged| *staged != grant.outcome.verdict)
    {
        let _ = write!(text, " (staged: {staged})");
    }
    if !grant.stopped.is_empty() {
        let stopped = names(&grant.stopped).join(", ");
        let _ = write!(text, " (stopped by the policy of {stopped})");
    }
    text
}

/// What is to be said before the ports.
fn headline(direction: Direction, reach: &Reach) -> String {
    let (word, side) = match direction {
        Direction::Ingress => ("inbound", "whoever comes"),
        Direction::Egress => ("outbound", "wherever it goes"),
    };
    match (&reach.open, reach.grants.is_empty()) {
        (Some(reason), _) => format!("{word}: OPEN BY DEFAULT to {side}: {reason}"),
        (None, true) => format!("{word}: closed"),
        (None, false) => format!("{word}:"),
    }
}

pub(super) fn table(maps: &[Exposure], out: &mut impl Write) -> Result<(), Failure> {
    for map in maps {
        writeln!(out, "{}", Escaped(&map.subject.name))?;
        for (direction, reach) in map.directions() {
            writeln!(out, "  {}", Escaped(&headline(direction, reach)))?;
            let preposition = match direction {
                Direction::Ingress => "from",
                Direction::Egress => "to",
            };
            for [classes, peers, outcome, why] in reach.grants.iter().map(line) {
                let line = format!("{classes} {preposition} {peers}: {outcome}, {why}");
                writeln!(out, "    {}", Escaped(&line))?;
            }
        }
    }
    Ok(())
}

pub(super) fn markdown(maps: &[Exposure], out: &mut impl Write) -> Result<(), Failure> {
    for map in maps {
        writeln!(out, "## {}\n", cell(&map.subject.name))?;
        for (direction, reach) in map.directions() {
            let headline = cell(&headline(direction, reach));
            match reach.open {
                Some(_) => writeln!(out, "**{headline}**\n")?,
                None => writeln!(out, "{headline}\n")?,
            }
            if reach.grants.is_empty() {
                continue;
            }
            writeln!(out, "| ports | peers | outcome | why |\n|---|---|---|---|")?;
            for cells in reach.grants.iter().map(line) {
                writeln!(out, "| {} |", cells.map(|text| cell(&text)).join(" | "))?;
            }
            writeln!(out)?;
        }
    }
    Ok(())
}

/// Text that stays inside its cell and is nothing but text.
fn cell(text: &str) -> String {
    let mut safe = String::new();
    for c in Escaped(text).to_string().chars() {
        if "|\\`*_<>[]#".contains(c) {
            safe.push('\\');
        }
        safe.push(c);
    }
    safe
}
