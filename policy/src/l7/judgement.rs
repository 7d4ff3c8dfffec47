//! What becomes of a request.

use super::conditions::HeaderValue;
use super::rules::Mismatch;

/// What becomes of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement<'m> {
    allowed: bool,
    rule: Option<usize>,
    corrections: Vec<HeaderCorrection<'m>>,
}

/// What a proxy has to do with a header of a request that passes, or to note about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct HeaderCorrection<'m> {
    /// The rule that asks for it, by its place in the list.
    pub rule: usize,
    /// The header.
    pub name: &'m str,
    /// The value that it should have, and did not.
    pub value: &'m HeaderValue,
    /// What to do: note it ([`Mismatch::Log`]), add a line with the value, delete every line of the
    /// header, or replace them all by one with the value.
    pub mismatch: Mismatch,
}

impl<'m> Judgement<'m> {
    /// Allowed by a rule, or refused because none matches.
    pub(super) fn of(rule: Option<usize>) -> Self {
        Self {
            allowed: rule.is_some(),
            rule,
            corrections: Vec::new(),
        }
    }

    /// Allowed or refused, whatever it looks like.
    pub(super) fn any(allowed: bool) -> Self {
        Self {
            allowed,
            ..Self::of(None)
        }
    }

    pub(super) fn with(self, corrections: Vec<HeaderCorrection<'m>>) -> Self {
        Self {
            corrections,
            ..self
        }
    }

    /// The same, but allowed if `open`.
    pub(super) fn or(self, open: bool) -> Self {
        Self {
            allowed: self.allowed || open,
            ..self
        }
    }

    /// Whether it passes.
    pub fn is_allowed(&self) -> bool {
        self.allowed
    }

    /// The rule (for a TLS hello the server name) that lets it pass, by its place in the list: the
    /// first one that matches; of Kafka rules that share the topics, the last one needed. `None` if
    /// the request is refused, or passes because nothing is asked of it.
    pub fn rule(&self) -> Option<usize> {
        self.rule
    }

    /// What is to be done with an HTTP request before it is forwarded, in this order.
    pub fn corrections(&self) -> &[HeaderCorrection<'m>] {
        &self.corrections
    }
}
