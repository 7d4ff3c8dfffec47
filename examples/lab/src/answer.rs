//! Answers in both forms: for people and for programs.

use porin::policy::{Decision, Direction, Reason, Verdict};
use serde::Serialize;

use crate::model::Side;

/// What one side says.
#[derive(Debug, Serialize)]
pub(crate) struct SideAnswer {
    direction: &'static str,
    subject: String,
    verdict: &'static str,
    /// The parser of a redirect: what the connection needs a judgement of.
    #[serde(skip_serializing_if = "Option::is_none")]
    parser: Option<String>,
    reason: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<RulePlace>,
    /// Who switched default deny on, where nothing allows.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    default_deny: Vec<String>,
}

/// A rule and where it stands.
#[derive(Debug, Serialize)]
pub(crate) struct RulePlace {
    pub(crate) policy: String,
    pub(crate) rule: String,
    pub(crate) file: String,
    pub(crate) line: u32,
}

impl From<&porin::policy::RuleRef> for RulePlace {
    fn from(rule: &porin::policy::RuleRef) -> Self {
        Self {
            policy: rule.policy.to_string(),
            rule: rule.to_string(),
            file: rule.location.file().to_owned(),
            line: rule.location.line(),
        }
    }
}

impl SideAnswer {
    pub(crate) fn of(side: &Side, decision: &Decision) -> Self {
        let default_deny = match decision.reason() {
            Reason::DefaultDeny { policies } => policies.iter().map(ToString::to_string).collect(),
            _ => Vec::new(),
        };
        Self {
            direction: direction(side.query.direction),
            subject: side.subject.name.clone(),
            verdict: verdict(decision.verdict()),
            parser: decision
                .redirect()
                .map(|redirect| redirect.parser.to_string()),
            reason: decision.reason().to_string(),
            rule: decision.rule().map(|rule| RulePlace::from(&**rule)),
            default_deny,
        }
    }

    /// `egress of frontend/frontend: allowed, by …`
    pub(crate) fn line(&self) -> String {
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
        format!("{direction} of {subject}: {verdict}{parser}, {reason}")
    }
}

pub(crate) fn direction(direction: Direction) -> &'static str {
    match direction {
        Direction::Ingress => "ingress",
        Direction::Egress => "egress",
    }
}

/// The verdict in one word.
pub(crate) fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Allow => "allowed",
        Verdict::Deny => "denied",
        Verdict::Redirect => "redirected",
    }
}

/// Both sides together: one denial denies, one redirect redirects.
pub(crate) fn together(verdicts: impl IntoIterator<Item = Verdict>) -> Verdict {
    let verdicts: Vec<_> = verdicts.into_iter().collect();
    if verdicts.contains(&Verdict::Deny) {
        Verdict::Deny
    } else if verdicts.contains(&Verdict::Redirect) {
        Verdict::Redirect
    } else {
        Verdict::Allow
    }
}
