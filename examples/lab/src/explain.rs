//! `explain`: which rule decides, what else covers the connection, and what came close.

use std::io::Write;

use porin::flow::Escaped;
use porin::policy::{Candidate, Explanation, NearMiss, Obstacle, Reason, Verdict};
use serde::Serialize;

use crate::answer::{RulePlace, SideAnswer, together, verdict};
use crate::args::{Output, Question};
use crate::failure::Failure;
use crate::model::{Model, Side, sides};

#[derive(Debug, Serialize)]
struct Answer {
    from: String,
    to: String,
    protocol: String,
    port: u16,
    verdict: &'static str,
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
    verdict: &'static str,
    reason: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<RulePlace>,
}

/// A rule that would have allowed the connection but for one thing.
#[derive(Debug, Serialize)]
struct Miss {
    #[serde(flatten)]
    rule: RulePlace,
    /// `namespace`, `label` or `port`.
    obstacle: &'static str,
    text: String,
}

/// Explains and says whether the connection is allowed outright.
pub(crate) fn run(asked: &Question, out: &mut impl Write) -> Result<bool, Failure> {
    let mut model = Model::read(&asked.inputs)?;
    let (from, to) = (model.party(&asked.from)?, model.party(&asked.to)?);
    let mut explained = Vec::new();
    for side in sides(&mut model, &from, &to, asked.protocol, asked.port)? {
        let explanation = model.explain(&side)?;
        explained.push((side, explanation));
    }
    let whole = together(
        explained
            .iter()
            .map(|(_, explanation)| explanation.decision.verdict()),
    );
    let answer = Answer {
        from: from.name,
        to: to.name,
        protocol: asked.protocol.to_string(),
        port: asked.port,
        verdict: verdict(whole),
        sides: explained
            .iter()
            .map(|(side, explanation)| Explained::of(side, explanation))
            .collect(),
    };
    match asked.inputs.output {
        Output::Json => writeln!(
            out,
            "{}",
            serde_json::to_string(&answer).map_err(std::io::Error::from)?
        )?,
        Output::Table => table(&answer, out)?,
    }
    Ok(whole == Verdict::Allow)
}

impl Explained {
    fn of(side: &Side, explanation: &Explanation) -> Self {
        let peer = explanation
            .peer
            .iter()
            .flatten()
            .map(ToString::to_string)
            .collect();
        let guarded_by = side.policy.default_deny(side.query.direction);
        Self {
            answer: SideAnswer::of(side, &explanation.decision),
            peer,
            guarded_by: guarded_by.iter().map(ToString::to_string).collect(),
            weaker: explanation.weaker.iter().map(Weaker::from).collect(),
            near_misses: explanation.near_misses.iter().map(Miss::from).collect(),
        }
    }
}

impl From<&Candidate> for Weaker {
    fn from(candidate: &Candidate) -> Self {
        let rule = match &candidate.origin {
            Reason::Rule(rule) => Some(RulePlace::from(&**rule)),
            _ => None,
        };
        Self {
            verdict: verdict(candidate.verdict),
            reason: candidate.origin.to_string(),
            rule,
        }
    }
}

impl From<&NearMiss> for Miss {
    fn from(miss: &NearMiss) -> Self {
        let obstacle = match miss.obstacle {
            Obstacle::Namespace { .. } => "namespace",
            Obstacle::Label { .. } => "label",
            Obstacle::Port { .. } => "port",
            _ => "other",
        };
        Self {
            rule: RulePlace::from(&*miss.rule),
            obstacle,
            text: miss.obstacle.to_string(),
        }
    }
}

fn table(answer: &Answer, out: &mut impl Write) -> Result<(), Failure> {
    let Answer {
        from,
        to,
        protocol,
        port,
        verdict,
        sides,
    } = answer;
    let mut lines = vec![format!("{from} -> {to} {protocol}/{port}: {verdict}")];
    for side in sides {
        lines.push(format!("  {}", side.answer.line()));
        if !side.peer.is_empty() {
            lines.push(format!("    the other end is {}", side.peer.join(",")));
        }
        if !side.guarded_by.is_empty() {
            lines.push(format!(
                "    default deny is switched on by {}",
                side.guarded_by.join(", ")
            ));
        }
        lines.extend(
            side.weaker
                .iter()
                .map(|weaker| format!("    weaker: {} {}", weaker.verdict, weaker.reason)),
        );
        lines.extend(
            side.near_misses
                .iter()
                .map(|miss| format!("    near miss: {} {}", miss.rule.rule, miss.text)),
        );
    }
    for line in lines {
        writeln!(out, "{}", Escaped(&line))?;
    }
    Ok(())
}
