//! `replay`: which recorded flows would be judged differently.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;

use porin::flow::Escaped;
use porin::policy::ask::{Census, Fate, Model, Replayed};
use serde::Serialize;

use crate::answer::{Judged, json};
use crate::args::{Output, Replay};
use crate::failure::Failure;
use crate::input;
use crate::model;
use crate::recording::{Place, Recording};
use crate::status::Status;

#[derive(Debug, Default, Serialize)]
struct Answer {
    flows: usize,
    judged: usize,
    same: usize,
    allowed: usize,
    denied: usize,
    rerouted: usize,
    /// Flows that the staged rules would judge otherwise than the enforced ones.
    staged: usize,
    unjudged: BTreeMap<String, usize>,
    unreadable: Vec<Unreadable>,
    changed: Vec<Changed>,
}

/// Lines that are not read for one reason, and the first of them.
#[derive(Debug, Serialize)]
struct Unreadable {
    reason: String,
    count: usize,
    file: String,
    line: usize,
}

/// Flows that are judged alike.
#[derive(Debug, Serialize)]
struct Changed {
    /// `allowed`, `denied`, `rerouted`, or `same` where only staged rules make a difference.
    fate: &'static str,
    was: String,
    count: usize,
    /// Where the first of them stands.
    file: String,
    line: usize,
    #[serde(flatten)]
    now: Judged,
}

/// Judges a recording again.
pub(crate) fn run(asked: &Replay, out: &mut impl Write) -> Result<Status, Failure> {
    let mut recording = Recording::read(&asked.flows)?;
    let world = input::world(asked.world.as_deref(), &asked.policies)?.unwrap_or_default();
    let set = model::load(&asked.policies, asked.semantics.into(), &world)?;
    let mut census = Census::new(&world, &[&set])?;
    for (_, flow) in &recording.flows {
        census.admit_recorded(flow, &[&set])?;
    }
    let model = Model::new(&set, &Arc::new(census))?;
    let mut answer = Answer {
        flows: recording.len(),
        ..Answer::default()
    };
    let mut found: Vec<(Replayed, Place, usize)> = Vec::new();
    for (place, flow) in std::mem::take(&mut recording.flows) {
        match model.replay(&flow) {
            Ok(replayed) => answer.add(replayed, place, &mut found),
            Err(reason) => recording.leave_out(reason),
        }
    }
    answer.finish(&recording, &found);
    match asked.output {
        Output::Json => json(&answer, out)?,
        Output::Table => table(&answer, out)?,
    }
    Ok(match (answer.allowed, answer.denied + answer.rerouted) {
        (0, 0) => Status::Good,
        (0, _) => Status::Bad,
        _ => Status::Wider,
    })
}

impl Answer {
    fn add(&mut self, replayed: Replayed, place: Place, found: &mut Vec<(Replayed, Place, usize)>) {
        self.judged += 1;
        *match replayed.fate {
            Fate::Same => &mut self.same,
            Fate::Allowed => &mut self.allowed,
            Fate::Denied => &mut self.denied,
            Fate::Rerouted => &mut self.rerouted,
        } += 1;
        let tried = replayed.staged.is_some_and(|staged| staged != replayed.now);
        self.staged += usize::from(tried);
        if replayed.fate == Fate::Same && !tried {
            return;
        }
        match found.iter_mut().find(|(known, ..)| *known == replayed) {
            Some((_, _, count)) => *count += 1,
            None => found.push((replayed, place, 1)),
        }
    }

    fn finish(&mut self, recording: &Recording, found: &[(Replayed, Place, usize)]) {
        let unjudged = recording.unjudged.iter();
        self.unjudged = unjudged
            .map(|(reason, count)| (reason.to_string(), *count))
            .collect();
        for (Place { file, line }, reason) in &recording.unreadable {
            let mut known = self.unreadable.iter_mut();
            match known.find(|known| known.reason == *reason) {
                Some(known) => known.count += 1,
                None => self.unreadable.push(Unreadable {
                    reason: reason.clone(),
                    count: 1,
                    file: file.clone(),
                    line: *line,
                }),
            }
        }
        self.changed = found
            .iter()
            .map(|(replayed, place, count)| Changed {
                fate: replayed.fate.name(),
                was: replayed.was.to_string(),
                count: *count,
                file: place.file.clone(),
                line: place.line,
                now: Judged::of(&replayed.connection, &replayed.sides),
            })
            .collect();
    }
}

fn table(answer: &Answer, out: &mut impl Write) -> Result<(), Failure> {
    for changed in &answer.changed {
        let sign = match changed.fate {
            fate if fate == Fate::Allowed.name() => '+',
            fate if fate == Fate::Same.name() => '=',
            _ => '-',
        };
        let Changed {
            was,
            count,
            file,
            line,
            now,
            ..
        } = changed;
        let head = format!("{sign} {count}x {}, was {was} ({file}:{line})", now.line());
        writeln!(out, "{}", Escaped(&head))?;
        for line in now.sides.iter().flat_map(|side| side.lines()) {
            writeln!(out, "    {}", Escaped(&line))?;
        }
    }
    let Answer {
        flows,
        judged,
        same,
        allowed,
        denied,
        rerouted,
        ..
    } = answer;
    writeln!(
        out,
        "{flows} flows, {judged} judged: {same} as before, {allowed} would be allowed, {denied} \
         denied, {rerouted} rerouted"
    )?;
    for (reason, count) in &answer.unjudged {
        writeln!(out, "{count} not judged: {reason}")?;
    }
    for Unreadable {
        reason,
        count,
        file,
        line,
    } in &answer.unreadable
    {
        let line = format!("{count} not read: {reason} (first {file}:{line})");
        writeln!(out, "{}", Escaped(&line))?;
    }
    if answer.staged > 0 {
        let staged = answer.staged;
        writeln!(
            out,
            "{staged} would be judged otherwise with the staged rules"
        )?;
    }
    Ok(())
}
