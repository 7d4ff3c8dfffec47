//! Running files of test vectors.

mod answer;
mod case;
pub(crate) mod engine;
mod flow;
pub(crate) mod kernel;
mod kind;
mod l7;
mod parse;
mod policy;
mod primitives;
mod table;
mod tally;

use std::fmt::Display;
use std::io::{self, Write};
use std::path::Path;

use porin::flow::Escaped;
use serde::Serialize;

use crate::args::{Output, Vectors};
use crate::failure::Failure;
use crate::input::read;
use crate::vectors::engine::Engines;
use crate::vectors::kind::Kind;
use crate::vectors::tally::{Difference, Outcome, Tally};

/// Runs every file and says whether nothing failed.
pub(crate) fn run(asked: &Vectors, out: &mut impl Write) -> Result<bool, Failure> {
    // A wrong name among many is told before the first file runs.
    let kinds = asked
        .files
        .iter()
        .map(|path| Kind::of(path))
        .collect::<Result<Vec<_>, _>>()?;
    let mut engines = Engines::new(asked.engine)?;
    let (mut passed, mut failed) = (0, 0);
    for (path, kind) in asked.files.iter().zip(kinds) {
        let tally = file(path, kind, asked, &mut engines, out)?;
        passed += tally.passed;
        failed += tally.failed;
        if asked.output == Output::Table {
            writeln!(out, "{}: {tally}", path.display())?;
        }
    }
    if asked.output == Output::Table {
        writeln!(out, "{passed} passed, {failed} failed")?;
    }
    Ok(failed == 0)
}

fn file(
    path: &Path,
    kind: Kind,
    asked: &Vectors,
    engines: &mut Engines,
    out: &mut impl Write,
) -> Result<Tally, Failure> {
    let text = read(path)?;
    let mut run = kind.runner(path)?;
    let mut tally = Tally::default();
    for (at, line) in text
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty())
    {
        let outcome = run(at, line, engines).unwrap_or_else(Fault::into_outcome);
        let name = || name_of(line).unwrap_or_else(|| format!("line {}", at + 1));
        if asked.output == Output::Json {
            let case = Told {
                name: name(),
                outcome: &outcome,
            };
            serde_json::to_writer(&mut *out, &case).map_err(io::Error::from)?;
            writeln!(out)?;
        }
        let Some(differences) = tally.count(outcome) else {
            continue;
        };
        if asked.output == Output::Table && tally.failed <= asked.show {
            describe(&name(), &differences, out)?;
        }
    }
    Ok(tally)
}

/// A case for programs.
#[derive(Debug, Serialize)]
struct Told<'a> {
    name: String,
    #[serde(flatten)]
    outcome: &'a Outcome,
}

/// A failed case for people.
fn describe(name: &str, differences: &[Difference], out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "FAILED {}", Escaped(name))?;
    for difference in differences.iter().take(10) {
        writeln!(out, "    {}", Escaped(&difference.text))?;
    }
    if differences.len() > 10 {
        writeln!(out, "    and {} more", differences.len() - 10)?;
    }
    Ok(())
}

/// What the case calls itself.
fn name_of(line: &str) -> Option<String> {
    let value: serde_json::Value = serde_json::from_str(line).ok()?;
    let name = value.get("name").or_else(|| value.get("id"))?;
    name.as_str().map(str::to_owned)
}

/// Why a case cannot be run: its line is not in the format of its kind, or something refuses it.
/// Such a case counts as failed.
pub(crate) struct Fault(String);

impl Fault {
    fn of(cause: impl Display) -> Self {
        Self(cause.to_string())
    }

    fn into_outcome(self) -> Outcome {
        Outcome::Failed(vec![format!("cannot be run: {}", self.0).into()])
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<serde_json::Error> for Fault {
    fn from(error: serde_json::Error) -> Self {
        Self::of(error)
    }
}

/// Runs one line: its number from zero, its text.
type Runner = Box<dyn FnMut(usize, &str, &mut Engines) -> Result<Outcome, Fault>>;
