//! `check`: may this connection be made?

use std::io::Write;

use porin::flow::Escaped;
use porin::policy::Verdict;
use serde::Serialize;

use crate::answer::{SideAnswer, together, verdict};
use crate::args::{Output, Question};
use crate::failure::Failure;
use crate::model::{Model, sides};

#[derive(Debug, Serialize)]
struct Answer {
    from: String,
    to: String,
    protocol: String,
    port: u16,
    verdict: &'static str,
    sides: Vec<SideAnswer>,
}

/// Answers and says whether the connection is allowed outright.
pub(crate) fn run(asked: &Question, out: &mut impl Write) -> Result<bool, Failure> {
    let mut model = Model::read(&asked.inputs)?;
    let (from, to) = (model.party(&asked.from)?, model.party(&asked.to)?);
    let sides = sides(&mut model, &from, &to, asked.protocol, asked.port)?;
    let decisions: Vec<_> = sides
        .iter()
        .map(|side| side.policy.check(&side.query))
        .collect();
    let whole = together(decisions.iter().map(|decision| decision.verdict()));
    let answer = Answer {
        from: from.name,
        to: to.name,
        protocol: asked.protocol.to_string(),
        port: asked.port,
        verdict: verdict(whole),
        sides: sides
            .iter()
            .zip(&decisions)
            .map(|(side, decision)| SideAnswer::of(side, decision))
            .collect(),
    };
    match asked.inputs.output {
        Output::Json => writeln!(
            out,
            "{}",
            serde_json::to_string(&answer).map_err(std::io::Error::from)?
        )?,
        Output::Table => table(&answer, whole, out)?,
    }
    Ok(whole == Verdict::Allow)
}

fn table(answer: &Answer, whole: Verdict, out: &mut impl Write) -> Result<(), Failure> {
    let Answer {
        from,
        to,
        protocol,
        port,
        verdict,
        sides,
    } = answer;
    let line = format!("{from} -> {to} {protocol}/{port}: {verdict}");
    writeln!(out, "{}", Escaped(&line))?;
    for side in sides {
        writeln!(out, "  {}", Escaped(&side.line()))?;
    }
    if whole == Verdict::Redirect {
        writeln!(
            out,
            "  a judgement at layer 7 is asked for; without a proxy the connection is dropped"
        )?;
    }
    Ok(())
}
