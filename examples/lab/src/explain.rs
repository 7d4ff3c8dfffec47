//! `explain`: which rule decides, what else covers the connection, and what came close.

use std::io::Write;

use porin::flow::Escaped;
use porin::policy::ask::{Connection, Model, Party, Sides};
use porin::policy::{Candidate, Explanation, NearMiss, Reason, Verdict};
use serde::Serialize;

use crate::answer::{Judged, RulePlace, SideAnswer, json};
use crate::args::{Output, Question};
use crate::failure::Failure;
use crate::model;
use crate::status::Status;

#[derive(Debug, Serialize)]
struct Answer {
    from: String,
    to: String,
    protocol: String,
    port: u16,
    verdict: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    staged: Option<String>,
    sides: Vec<Explained>,
}

/// One side with all that bears on it.
#[derive(Debug, Serialize)]
struct Explained {
    #[serde(flatten)]
    answer: SideAnswer,
    /// Labels of the other end.
    peer: Vec<String>,
    /// The policies that switched default deny on for the subject, whatever decided.
    guarded_by: Vec<String>,
    /// What else covers the connection, strongest first.
    weaker: Vec<Weaker>,
    near_misses: Vec<Miss>,
}

#[derive(Debug, Serialize)]
struct Weaker {
    /// `passed` for a pass, which leaves the decision to others.
    verdict: String,
    /// Why it did not decide.
    because: &'static str,
    reason: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<RulePlace>,
}

/// A rule that would have allowed the connection but for one thing.
#[derive(Debug, Serialize)]
struct Miss {
    #[serde(flatten)]
    rule: RulePlace,
    /// What is in the way, in one word.
    obstacle: &'static str,
    text: String,
    /// The smallest change of the rule with which it would cover the connection.
    change: String,
}

/// Explains; good if the connection is allowed outright.
pub(crate) fn run(asked: &Question, out: &mut impl Write) -> Result<Status, Failure> {
    let model = model::read(&asked.inputs)?;
    let connection = model::connection(&model, asked)?;
    let sides = model.judge(&connection)?;
    match asked.inputs.output {
        Output::Json => {
            let judged = Judged::of(&connection, &sides);
            json(&answer(judged, all(&model, &connection, &sides)?), out)?;
        }
        Output::Table => {
            for line in lines(&model, &connection, &sides)? {
                writeln!(out, "{}", Escaped(&line))?;
            }
        }
    }
    Ok(Status::good_if(sides.verdict() == Verdict::Allow))
}

/// Both sides, explained.
fn all(model: &Model, connection: &Connection, sides: &Sides) -> Result<Vec<Explained>, Failure> {
    let explanations = model.explain(connection)?;
    let subjects = [
        (&connection.from, &sides.egress),
        (&connection.to, &sides.ingress),
    ];
    let subjects = subjects.iter().filter(|(_, side)| side.is_some());
    Ok(subjects
        .zip(&explanations)
        .map(|((subject, _), explanation)| explained(model, subject, explanation))
        .collect())
}

fn answer(judged: Judged, sides: Vec<Explained>) -> Answer {
    Answer {
        from: judged.from,
        to: judged.to,
        protocol: judged.protocol,
        port: judged.port,
        verdict: judged.verdict,
        staged: judged.staged,
        sides,
    }
}

fn explained(model: &Model, subject: &Party, explanation: &Explanation) -> Explained {
    let direction = explanation.decision.query().direction;
    let guarded_by = model
        .policy(subject)
        .map(|policy| policy.default_deny(direction))
        .unwrap_or_default();
    let peer = explanation.peer.iter().flat_map(|labels| labels.iter());
    Explained {
        answer: SideAnswer::of(subject.to_string(), &explanation.decision),
        peer: peer.map(ToString::to_string).collect(),
        guarded_by: guarded_by.iter().map(ToString::to_string).collect(),
        weaker: explanation.weaker.iter().map(Weaker::from).collect(),
        near_misses: explanation.near_misses.iter().map(Miss::from).collect(),
    }
}

impl From<&Candidate> for Weaker {
    fn from(candidate: &Candidate) -> Self {
        let rule = match &candidate.origin {
            Reason::Rule(rule) => Some(RulePlace::from(&**rule)),
            _ => None,
        };
        Self {
            verdict: candidate
                .verdict
                .map_or_else(|| "passed".to_owned(), |verdict| verdict.to_string()),
            because: candidate.because.name(),
            reason: candidate.origin.to_string(),
            rule,
        }
    }
}

impl From<&NearMiss> for Miss {
    fn from(miss: &NearMiss) -> Self {
        Self {
            rule: RulePlace::from(&*miss.rule),
            obstacle: miss.obstacle.name(),
            text: miss.obstacle.to_string(),
            change: miss.obstacle.change(),
        }
    }
}

/// The explanation of a connection for people.
pub(crate) fn lines(
    model: &Model,
    connection: &Connection,
    sides: &Sides,
) -> Result<Vec<String>, Failure> {
    let mut lines = vec![Judged::of(connection, sides).line()];
    for side in all(model, connection, sides)? {
        lines.extend(side.answer.lines().iter().map(|line| format!("  {line}")));
        if !side.peer.is_empty() {
            lines.push(format!("    the other end is {}", side.peer.join(",")));
        }
        if !side.guarded_by.is_empty() {
            let policies = side.guarded_by.join(", ");
            lines.push(format!("    default deny is switched on by {policies}"));
        }
        for Weaker {
            verdict,
            because,
            reason,
            ..
        } in &side.weaker
        {
            lines.push(format!("    weaker ({because}): {verdict} {reason}"));
        }
        for miss in &side.near_misses {
            lines.push(format!("    near miss: {} {}", miss.rule.rule, miss.text));
            lines.push(format!("      to change that: {}", miss.change));
        }
    }
    Ok(lines)
}
