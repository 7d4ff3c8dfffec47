//! Answers in both forms: for people and for programs.

use std::io::Write;

use porin::policy::ask::{Connection, Sides};
use porin::policy::{Decision, Reason, RuleRef};
use serde::Serialize;

use crate::content::Content;
use crate::failure::Failure;

/// What both sides say about one connection.
#[derive(Debug, Serialize)]
pub(crate) struct Judged {
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) protocol: String,
    pub(crate) port: u16,
    pub(crate) verdict: String,
    /// What the verdict would be with the staged rules in force, if there are any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) staged: Option<String>,
    pub(crate) sides: Vec<SideAnswer>,
}

/// What one side says.
#[derive(Debug, Serialize)]
pub(crate) struct SideAnswer {
    direction: &'static str,
    subject: String,
    verdict: String,
    /// The parser of a redirect: what the connection needs a judgement of.
    #[serde(skip_serializing_if = "Option::is_none")]
    parser: Option<String>,
    /// What the content must look like.
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<Content>,
    /// What has to be proved.
    #[serde(skip_serializing_if = "Option::is_none")]
    authentication: Option<String>,
    reason: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<RulePlace>,
    /// Who switched default deny on, where nothing allows.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    default_deny: Vec<String>,
    /// The decision with the staged rules in force, if there are any for the subject.
    #[serde(skip_serializing_if = "Option::is_none")]
    staged: Option<Staged>,
}

/// What would be decided with the staged rules in force.
#[derive(Debug, Serialize)]
pub(crate) struct Staged {
    verdict: String,
    reason: String,
}

/// A rule and where it stands.
#[derive(Debug, Serialize)]
pub(crate) struct RulePlace {
    pub(crate) policy: String,
    pub(crate) rule: String,
    pub(crate) file: String,
    pub(crate) line: u32,
}

impl From<&RuleRef> for RulePlace {
    fn from(rule: &RuleRef) -> Self {
        Self {
            policy: rule.policy.to_string(),
            rule: rule.to_string(),
            file: rule.location.file().to_owned(),
            line: rule.location.line(),
        }
    }
}

impl Judged {
    pub(crate) fn of(connection: &Connection, sides: &Sides) -> Self {
        let Connection {
            from,
            to,
            protocol,
            port,
        } = connection;
        let subjects = [(from, &sides.egress), (to, &sides.ingress)];
        let sides_said = subjects.into_iter().filter_map(|(subject, decision)| {
            Some(SideAnswer::of(subject.to_string(), decision.as_ref()?))
        });
        Self {
            from: from.to_string(),
            to: to.to_string(),
            protocol: protocol.to_string(),
            port: *port,
            verdict: sides.verdict().to_string(),
            staged: sides.staged().map(|staged| staged.to_string()),
            sides: sides_said.collect(),
        }
    }

    /// `a -> b TCP/80: allowed`
    pub(crate) fn line(&self) -> String {
        let Self {
            from,
            to,
            protocol,
            port,
            verdict,
            staged,
            ..
        } = self;
        let staged = staged.as_ref().map(|staged| format!(" (staged: {staged})"));
        format!(
            "{from} -> {to} {protocol}/{port}: {verdict}{}",
            staged.unwrap_or_default()
        )
    }
}

impl SideAnswer {
    pub(crate) fn of(subject: String, decision: &Decision) -> Self {
        let default_deny = match decision.reason() {
            Reason::DefaultDeny { policies } => policies.iter().map(ToString::to_string).collect(),
            _ => Vec::new(),
        };
        Self {
            direction: decision.query().direction.name(),
            subject,
            verdict: decision.verdict().to_string(),
            parser: decision
                .redirect()
                .map(|redirect| redirect.parser.to_string()),
            content: Content::of(decision),
            authentication: Content::authentication(decision),
            reason: decision.reason().to_string(),
            rule: decision.rule().map(|rule| RulePlace::from(&**rule)),
            default_deny,
            staged: decision.staged().map(|staged| Staged {
                verdict: staged.verdict().to_string(),
                reason: staged.reason().to_string(),
            }),
        }
    }

    /// `egress of frontend/frontend: allowed, by …`, and what else is to be said.
    pub(crate) fn lines(&self) -> Vec<String> {
        let Self {
            direction,
            subject,
            verdict,
            reason,
            ..
        } = self;
        let parser = self
            .parser
            .as_ref()
            .map(|parser| format!(" to {parser}"))
            .unwrap_or_default();
        let mut lines = vec![format!(
            "{direction} of {subject}: {verdict}{parser}, {reason}"
        )];
        if let Some(auth) = &self.authentication {
            lines.push(format!("  authentication: {auth}"));
        }
        if let Some(content) = &self.content {
            lines.extend(
                content
                    .lines()
                    .into_iter()
                    .map(|line| format!("  content: {line}")),
            );
        }
        if let Some(Staged { verdict, reason }) = &self.staged {
            lines.push(format!("  staged: would be {verdict}, {reason}"));
        }
        lines
    }
}

/// Writes an answer for programs.
pub(crate) fn json(answer: &impl Serialize, out: &mut impl Write) -> Result<(), Failure> {
    let text = serde_json::to_string(answer).map_err(std::io::Error::from)?;
    Ok(writeln!(out, "{text}")?)
}
