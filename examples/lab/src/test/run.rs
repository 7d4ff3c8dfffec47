use std::fs::File;
use std::io::{BufWriter, Write};

use porin::flow::Escaped;
use porin::policy::ask::{Expectation, Model};
use serde::Serialize;

use super::junit;
use crate::answer::json;
use crate::args::{Output, Test};
use crate::explain;
use crate::failure::Failure;
use crate::input;
use crate::model;
use crate::status::Status;

/// What became of one expectation.
#[derive(Debug, Serialize)]
pub(super) struct Verdict {
    pub(super) name: String,
    pub(super) file: String,
    pub(super) line: u32,
    pub(super) passed: bool,
    /// What is not as expected, each with its connection.
    pub(super) complaints: Vec<String>,
    /// Why the policies answer as they do, where that is not as expected.
    pub(super) explanation: Vec<String>,
    /// Why it could not be tried at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<String>,
}

/// Tries every expectation; good if all hold.
pub(crate) fn run(asked: &Test, out: &mut impl Write) -> Result<Status, Failure> {
    let model = model::read(&asked.inputs)?;
    let mut verdicts = Vec::new();
    for path in input::tests(&asked.tests, &asked.inputs.policies)? {
        let name = path.display().to_string();
        let read = Expectation::parse(&name, &input::read(&path)?);
        let expectations = read.map_err(|error| Failure::Refused(error.to_string()))?;
        verdicts.extend(
            expectations
                .iter()
                .map(|expected| verdict(&model, expected)),
        );
    }
    if let Some(path) = &asked.junit {
        let unwritable = |source| Failure::Report {
            path: path.clone(),
            source,
        };
        let mut report = BufWriter::new(File::create(path).map_err(unwritable)?);
        junit::write(&verdicts, &mut report).map_err(unwritable)?;
        report.flush().map_err(unwritable)?;
    }
    match asked.inputs.output {
        Output::Json => json(&verdicts, out)?,
        Output::Table => table(&verdicts, out)?,
    }
    Ok(Status::good_if(
        verdicts.iter().all(|verdict| verdict.passed),
    ))
}

fn verdict(model: &Model, expected: &Expectation) -> Verdict {
    let mut verdict = Verdict {
        name: expected.name.clone(),
        file: expected.location.file().to_owned(),
        line: expected.location.line(),
        passed: false,
        complaints: Vec::new(),
        explanation: Vec::new(),
        error: None,
    };
    match model.test(expected) {
        Ok(tested) => {
            for tested in tested.iter().filter(|tested| !tested.complaints.is_empty()) {
                let connection = &tested.connection;
                let complaints = tested.complaints.iter();
                let complaints = complaints.map(|complaint| format!("{connection}: {complaint}"));
                verdict.complaints.extend(complaints);
                let explained = explain::lines(model, connection, &tested.sides);
                verdict.explanation.extend(explained.unwrap_or_default());
            }
            verdict.passed = verdict.complaints.is_empty();
        }
        Err(error) => verdict.error = Some(error.to_string()),
    }
    verdict
}

fn table(verdicts: &[Verdict], out: &mut impl Write) -> Result<(), Failure> {
    for verdict in verdicts {
        let word = if verdict.passed { "ok" } else { "FAILED" };
        let Verdict {
            name, file, line, ..
        } = verdict;
        let head = format!("{word} {name} ({file}:{line})");
        writeln!(out, "{}", Escaped(&head))?;
        for line in verdict.complaints.iter().chain(&verdict.error) {
            writeln!(out, "  {}", Escaped(line))?;
        }
        for line in &verdict.explanation {
            writeln!(out, "    {}", Escaped(line))?;
        }
    }
    let passed = verdicts.iter().filter(|verdict| verdict.passed).count();
    let failed = verdicts.len() - passed;
    writeln!(out, "{passed} passed, {failed} failed")?;
    Ok(())
}
