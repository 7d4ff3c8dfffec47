//! Kubernetes selector text.

use std::sync::Arc;

use porin_identity::{
    Operator, Requirement, Selector, SelectorKey, check_label_key, check_label_value, source,
};

/// Reads the selector text of Kubernetes: `k`, `!k`, `k=v`, `k==v`, `k!=v`, `k in (a,b)`,
/// `k notin (a,b)`, with commas for "and".
///
/// A key may carry a source (`k8s:app`); without one the label's source does not matter. `!k`,
/// `k!=v` and `k notin (…)` also hold when the key is missing. The empty text selects everything.
/// `None` means that the text is not a selector.
#[must_use]
pub fn parse_selector(text: &str) -> Option<Selector> {
    if text.trim().is_empty() {
        return Some(Selector::everything());
    }
    terms(text).map(|term| requirement(term.trim())).collect()
}

/// The terms between the commas that stand outside of parentheses.
fn terms(text: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0_u32;
    text.split(move |c| {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ',' && depth == 0
    })
}

fn requirement(term: &str) -> Option<Requirement> {
    if let Some(name) = term.strip_prefix('!') {
        return Some(Requirement::new(key(name)?, Operator::DoesNotExist));
    }
    if let Some((name, value)) = term.split_once("!=") {
        return Some(Requirement::new(
            key(name)?,
            Operator::NotIn([value_of(value)?].into()),
        ));
    }
    if let Some((name, value)) = term.split_once("==").or_else(|| term.split_once('=')) {
        return Some(Requirement::new(
            key(name)?,
            Operator::Equals(value_of(value)?),
        ));
    }
    let Some((name, rest)) = term.split_once(char::is_whitespace) else {
        return Some(Requirement::new(key(term)?, Operator::Exists));
    };
    let operator = rest.trim_start();
    let operator = match (operator.strip_prefix("notin"), operator.strip_prefix("in")) {
        (Some(list), _) => Operator::NotIn(values(list)?.into()),
        (None, Some(list)) => Operator::In(values(list)?.into()),
        (None, None) => return None,
    };
    Some(Requirement::new(key(name)?, operator))
}

fn key(name: &str) -> Option<SelectorKey> {
    let (origin, key) = name
        .trim()
        .split_once(':')
        .unwrap_or((source::ANY, name.trim()));
    let known = !origin.is_empty() && origin.bytes().all(|byte| byte.is_ascii_alphanumeric());
    check_label_key(key).ok().filter(|()| known)?;
    Some(SelectorKey::new(origin, key))
}

fn value_of(text: &str) -> Option<Arc<str>> {
    check_label_value(text.trim()).ok()?;
    Some(Arc::from(text.trim()))
}

fn values(list: &str) -> Option<Vec<Arc<str>>> {
    let inner = list.trim().strip_prefix('(')?.strip_suffix(')')?;
    inner.split(',').map(value_of).collect()
}
