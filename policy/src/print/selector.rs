//! Label selectors.

use porin_identity::{Operator, Requirement, Selector, SelectorKey, source};

use super::json::{Fields, Json};

/// The two ways to write a key: some keys have but one, and two labels of a selector may have the
/// same key.
pub(super) type Spelling = fn(&SelectorKey) -> (String, Option<String>);

/// Keys of the Cilium kinds: without a source for every source.
pub(super) fn any(key: &SelectorKey) -> (String, Option<String>) {
    let other = match key.source() {
        source::ANY => Some(format!("any:{}", key.key())),
        source::RESERVED => Some(format!("${}", key.key())),
        _ => None,
    };
    (key.to_string(), other)
}

/// Keys of `cidrGroupSelector`: without a source for CIDR groups.
pub(super) fn group(key: &SelectorKey) -> (String, Option<String>) {
    let other = match key.source() {
        source::CIDRGROUP => Some(key.key().to_owned()),
        source::RESERVED => Some(format!("${}", key.key())),
        _ => None,
    };
    (format!("{}:{}", key.source(), key.key()), other)
}

/// Keys of the Kubernetes kinds, which have no source.
pub(super) fn plain(key: &SelectorKey) -> (String, Option<String>) {
    (key.key().to_owned(), None)
}

/// `matchLabels` and `matchExpressions`.
pub(super) fn selector(selector: &Selector, spelling: Spelling) -> Json {
    terms(selector.requirements().iter(), spelling)
}

pub(super) fn terms<'a>(
    requirements: impl Iterator<Item = &'a Requirement>,
    spelling: Spelling,
) -> Json {
    let mut labels = Fields::default();
    let mut expressions = Vec::new();
    let mut last: Option<&SelectorKey> = None;
    for Requirement { key, operator } in requirements {
        let (name, other) = spelling(key);
        if let Operator::Equals(value) = operator {
            // Terms are kept in order, so equal keys are neighbours.
            let name = match other {
                Some(other) if last == Some(key) => other,
                _ => name,
            };
            last = Some(key);
            labels.put(&name, &**value);
        } else {
            expressions.push(expression(&name, operator));
        }
    }
    let mut fields = Fields::default();
    fields.some("matchLabels", (!labels.is_empty()).then_some(labels));
    fields.filled("matchExpressions", expressions);
    fields.into()
}

fn expression(key: &str, operator: &Operator) -> Fields {
    let (name, values) = match operator {
        Operator::Equals(value) => ("In", std::slice::from_ref(value)),
        Operator::In(values) => ("In", &**values),
        Operator::NotIn(values) => ("NotIn", &**values),
        Operator::Exists => ("Exists", &[][..]),
        Operator::DoesNotExist => ("DoesNotExist", &[][..]),
    };
    let mut fields = Fields::default();
    fields.put("key", key);
    fields.put("operator", name);
    fields.filled("values", values.iter().map(|value| &**value));
    fields
}
