//! The text form of a selector.

use std::str::FromStr;
use std::sync::Arc;

use crate::error::ParseSelectorError;
use crate::selector::{Operator, Requirement, Selector};
use crate::selector_key::SelectorKey;

/// The form that `kubectl -l` takes, and that [`Selector`]'s `Display` writes: terms with commas
/// between them, each `key`, `!key`, `key=value`, `key!=value`, `key in (a,b)` or
/// `key notin (a,b)`; `*` selects everybody.
///
/// It is the form of tools and logs, not of policies: keys and values are not held to the syntax of
/// Kubernetes labels, so that computed selectors read back too.
impl FromStr for Selector {
    type Err = ParseSelectorError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.trim() == "*" {
            return Ok(Self::everything());
        }
        terms(text).map(|term| requirement(term.trim())).collect()
    }
}

/// The terms between commas that stand outside of parentheses.
fn terms(text: &str) -> impl Iterator<Item = &str> {
    let mut inside = false;
    text.split(move |c| {
        inside = match c {
            '(' => true,
            ')' => false,
            _ => inside,
        };
        c == ',' && !inside
    })
}

fn requirement(term: &str) -> Result<Requirement, ParseSelectorError> {
    let (name, operator) = if let Some(name) = term.strip_prefix('!') {
        (name, Operator::DoesNotExist)
    } else if let Some((name, values)) = term.split_once(" notin ") {
        (name, Operator::NotIn(listed(term, values)?.into()))
    } else if let Some((name, values)) = term.split_once(" in ") {
        (name, Operator::In(listed(term, values)?.into()))
    } else if let Some((name, value)) = term.split_once("!=") {
        (name, Operator::NotIn([Arc::from(value.trim())].into()))
    } else if let Some((name, value)) = term.split_once('=') {
        (name, Operator::Equals(Arc::from(value.trim())))
    } else {
        (term, Operator::Exists)
    };
    Ok(Requirement::new(key(term, name.trim())?, operator))
}

fn key(term: &str, name: &str) -> Result<SelectorKey, ParseSelectorError> {
    let refuse = |reason| ParseSelectorError::Term {
        text: term.to_owned(),
        reason,
    };
    let (source, key) = match (name.strip_prefix('$'), name.split_once(':')) {
        (Some(reserved), _) => (crate::source::RESERVED, reserved),
        (None, Some(parts)) => parts,
        (None, None) => (crate::source::ANY, name),
    };
    if source.is_empty() || !source.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err(refuse(
            "the source before the colon must be letters and digits",
        ));
    }
    if key.is_empty()
        || key.contains(|c: char| c.is_whitespace() || matches!(c, '(' | ')' | '=' | '!'))
    {
        return Err(refuse(
            "write `key`, `!key`, `key=value`, `key in (a,b)` or `key notin (a,b)`",
        ));
    }
    Ok(SelectorKey::new(source, key))
}

fn listed(term: &str, values: &str) -> Result<Vec<Arc<str>>, ParseSelectorError> {
    let inner = values
        .trim()
        .strip_prefix('(')
        .and_then(|rest| rest.strip_suffix(')'));
    let inner = inner.ok_or_else(|| ParseSelectorError::Term {
        text: term.to_owned(),
        reason: "values stand in parentheses: `key in (a,b)`",
    })?;
    let mut values: Vec<Arc<str>> = inner
        .split(',')
        .map(|value| Arc::from(value.trim()))
        .collect();
    values.sort();
    values.dedup();
    Ok(values)
}
