//! What the audience sees: findings, the matrix and the flows, as a table or as JSON lines.

use std::io::{self, Write};

use porin::flow::Flow;
use porin::policy::{Finding, RefusedDocument, Semantics};
use serde::Serialize;

use super::probe::{Act, Outcome};

/// The form of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum Form {
    /// For people.
    #[default]
    Table,
    /// One object per probe and line.
    Json,
}

/// Writes the report and counts.
#[derive(Debug)]
pub(crate) struct Report {
    form: Form,
    passed: usize,
    failed: usize,
}

impl Report {
    /// An empty report.
    pub(crate) fn new(form: Form) -> Self {
        Self {
            form,
            passed: 0,
            failed: 0,
        }
    }

    /// Opens an act with what lint finds in its policies, and which of them are not in force.
    pub(crate) fn act(
        &mut self,
        act: Act,
        semantics: Semantics,
        findings: &[Finding],
        refused: &[RefusedDocument],
    ) -> io::Result<()> {
        if self.form == Form::Json {
            return Ok(());
        }
        let mut out = io::stdout().lock();
        writeln!(out, "act {act}, semantics {}", name(semantics))?;
        writeln!(out, "\nlint: {} findings", findings.len())?;
        for finding in findings {
            writeln!(out, "{}", indent(&finding.to_string()))?;
        }
        for RefusedDocument { name, error, .. } in refused {
            let name = name
                .as_ref()
                .map_or_else(|| "a document".to_owned(), ToString::to_string);
            writeln!(out, "\nrefused: {name}, the others are in force: {error}")?;
        }
        writeln!(out, "\nmatrix: promised, and seen")
    }

    /// One probe, with the flows of its attempt.
    pub(crate) fn probe(&mut self, outcome: &Outcome) -> io::Result<()> {
        let passed = outcome.passed();
        *(if passed {
            &mut self.passed
        } else {
            &mut self.failed
        }) += 1;
        let mut out = io::stdout().lock();
        match self.form {
            Form::Json => {
                serde_json::to_writer(&mut out, &Line::from(outcome))?;
                writeln!(out)
            }
            Form::Table => {
                let probe = &outcome.probe;
                writeln!(
                    out,
                    "  {:4} {:22} → {:12} {:12} promised {:30} seen {}",
                    if passed { "ok" } else { "FAIL" },
                    probe.from,
                    probe.to,
                    if probe.ipv6 {
                        format!("{} IPv6", probe.what)
                    } else {
                        probe.what.to_string()
                    },
                    probe.promised.to_string(),
                    outcome.seen,
                )?;
                if let Some(story) = probe.story {
                    writeln!(out, "       {story}")?;
                }
                for flow in distinct(&outcome.flows) {
                    writeln!(out, "       {flow}")?;
                }
                Ok(())
            }
        }
    }

    /// Closes an act.
    pub(crate) fn end_of_act(&mut self) -> io::Result<()> {
        match self.form {
            Form::Table => writeln!(io::stdout()),
            Form::Json => Ok(()),
        }
    }

    /// The last line, and whether everything passed.
    pub(crate) fn conclude(self) -> io::Result<bool> {
        let line = format!("{} passed, {} failed", self.passed, self.failed);
        match self.form {
            Form::Table => writeln!(io::stdout(), "{line}")?,
            Form::Json => writeln!(io::stderr(), "{line}")?,
        }
        Ok(self.failed == 0 && self.passed > 0)
    }
}

/// The object of one probe, in the order in which one reads it.
#[derive(Serialize)]
struct Line<'a> {
    act: String,
    id: &'a str,
    from: &'a str,
    to: &'a str,
    what: String,
    promised: String,
    seen: String,
    flow: FlowOf,
}

/// The flow that tells why.
#[derive(Serialize)]
struct FlowOf {
    verdict: Option<&'static str>,
    policy: Option<String>,
    reason: Option<String>,
}

impl<'a> From<&'a Outcome> for Line<'a> {
    fn from(outcome: &'a Outcome) -> Self {
        let probe = &outcome.probe;
        let flow = outcome.flow.as_ref();
        Self {
            act: probe.act.to_string(),
            id: &probe.id,
            from: &probe.from,
            to: &probe.to,
            what: probe.tried(),
            promised: probe.promised.to_string(),
            seen: outcome.seen.to_string(),
            flow: FlowOf {
                verdict: flow.map(|flow| flow.verdict.name()),
                policy: policy(outcome),
                reason: flow.map(reason),
            },
        }
    }
}

/// The policies that the flow names, in one text; nothing where none had a say.
fn policy(outcome: &Outcome) -> Option<String> {
    let policies = outcome.policies();
    (!policies.is_empty()).then(|| policies.join(", "))
}

/// Why: the reason of a drop, or the rule that allowed.
fn reason(flow: &Flow) -> String {
    match (flow.drop_reason, &flow.rule) {
        (Some(reason), _) => reason.name().to_owned(),
        (None, Some(rule)) => rule.to_string(),
        (None, None) => "no policy applies".to_owned(),
    }
}

/// The lines of the flows, each said once.
fn distinct(flows: &[Flow]) -> Vec<String> {
    let mut lines: Vec<(String, String)> = Vec::new();
    for flow in flows {
        // Retransmissions differ in nothing but the time.
        let line = flow.to_string();
        let said = line
            .split_once(": ")
            .map_or(line.as_str(), |(_, rest)| rest);
        if !lines.iter().any(|(other, _)| other == said) {
            lines.push((said.to_owned(), line.clone()));
        }
    }
    lines.into_iter().map(|(_, line)| line).collect()
}

fn name(semantics: Semantics) -> &'static str {
    match semantics {
        Semantics::Cilium => "cilium",
        Semantics::Strict => "strict",
    }
}

fn indent(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(|line| format!("  {line}")).collect();
    lines.join("\n")
}
