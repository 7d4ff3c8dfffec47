//! `check`: may this connection be made?

use std::io::Write;

use porin::flow::Escaped;
use porin::policy::Verdict;

use crate::answer::{Judged, json};
use crate::args::{Output, Question};
use crate::failure::Failure;
use crate::model;
use crate::status::Status;

/// Answers; good if the connection is allowed outright.
pub(crate) fn run(asked: &Question, out: &mut impl Write) -> Result<Status, Failure> {
    let model = model::read(&asked.inputs)?;
    let connection = model::connection(&model, asked)?;
    let sides = model.judge(&connection)?;
    let answer = Judged::of(&connection, &sides);
    match asked.inputs.output {
        Output::Json => json(&answer, out)?,
        Output::Table => {
            writeln!(out, "{}", Escaped(&answer.line()))?;
            for line in answer.sides.iter().flat_map(|side| side.lines()) {
                writeln!(out, "  {}", Escaped(&line))?;
            }
            if sides.verdict() == Verdict::Redirect {
                writeln!(
                    out,
                    "  a judgement at layer 7 is asked for; without a proxy the connection is dropped"
                )?;
            }
        }
    }
    Ok(Status::good_if(sides.verdict() == Verdict::Allow))
}
