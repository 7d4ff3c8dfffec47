//! `diff`: what changes between two sets of policies.

use std::io::Write;
use std::sync::Arc;

use porin::flow::Escaped;
use porin::policy::ask::{Census, Change, Model, Party, diff};
use serde::Serialize;

use crate::answer::{Judged, json};
use crate::args::{Diff, Output};
use crate::failure::Failure;
use crate::model;
use crate::status::Status;

#[derive(Debug, Serialize)]
struct Changed {
    effect: &'static str,
    /// Whether something may pass that did not.
    widens: bool,
    from: Vec<String>,
    to: String,
    protocol: String,
    /// `null` for classes of whole protocols.
    ports: Option<[u16; 2]>,
    class: String,
    example: Example,
}

/// One of the flows, judged by both sets.
#[derive(Debug, Serialize)]
struct Example {
    before: Judged,
    after: Judged,
}

/// Compares; wider if anything may pass that did not.
pub(crate) fn run(asked: &Diff, out: &mut impl Write) -> Result<Status, Failure> {
    let paths = [&asked.before, &asked.after].map(|path| vec![path.clone()]);
    let world = model::world(asked.world.as_deref(), &paths.concat())?;
    let [before, after] = &paths;
    let semantics = asked.semantics.into();
    let before = model::load(before, semantics, &world)?;
    let after = model::load(after, semantics, &world)?;
    let census = Arc::new(Census::new(&world, &[&before, &after])?);
    let before = Model::new(&before, &census)?;
    let changes = diff(&before, &Model::new(&after, &census)?);
    match asked.output {
        Output::Json => json(&changes.iter().map(Changed::from).collect::<Vec<_>>(), out)?,
        Output::Table => table(&changes, out)?,
    }
    let wider = changes.iter().any(|change| change.effect.widens());
    Ok(if wider { Status::Wider } else { Status::Good })
}

impl From<&Change> for Changed {
    fn from(change: &Change) -> Self {
        let (first, last) = change.class.ports();
        let protocol = change.class.protocol();
        Self {
            effect: change.effect.name(),
            widens: change.effect.widens(),
            from: change.from.iter().map(ToString::to_string).collect(),
            to: change.to.to_string(),
            protocol: protocol.to_string(),
            ports: (!protocol.is_any()).then_some([first, last]),
            class: change.class.to_string(),
            example: Example {
                before: Judged::of(&change.example, &change.before),
                after: Judged::of(&change.example, &change.after),
            },
        }
    }
}

fn table(changes: &[Change], out: &mut impl Write) -> Result<(), Failure> {
    for change in changes {
        let names: Vec<_> = change.from.iter().map(Party::to_string).collect();
        let sign = if change.effect.widens() { '+' } else { '-' };
        let head = format!(
            "{sign} {} {} to {} from {}",
            change.effect,
            change.class,
            change.to,
            names.join(", ")
        );
        writeln!(out, "{}", Escaped(&head))?;
        for (word, sides) in [("was", &change.before), ("is", &change.after)] {
            let judged = Judged::of(&change.example, sides);
            writeln!(out, "    {word} {}", Escaped(&judged.line()))?;
            for line in judged.sides.iter().flat_map(|side| side.lines()) {
                writeln!(out, "      {}", Escaped(&line))?;
            }
        }
    }
    let wider = changes
        .iter()
        .filter(|change| change.effect.widens())
        .count();
    let rest = changes.len() - wider;
    writeln!(out, "{wider} wider, {rest} not wider")?;
    Ok(())
}
