//! Label selectors as policies write them.

use porin_identity::{Requirement, Selector, SelectorKey, source};

use super::at::{At, Reader};
use super::error::ParseError;

/// A selector of `matchLabels` and `matchExpressions`; null is the empty selector.
pub(super) fn selector(reader: &mut Reader<'_>, at: &At<'_>) -> Result<Selector, ParseError> {
    sourced(reader, at, source::ANY)
}

/// The same, where keys without a source have this one.
pub(super) fn sourced(
    reader: &mut Reader<'_>,
    at: &At<'_>,
    source: &str,
) -> Result<Selector, ParseError> {
    reader.fields(at, &["matchLabels", "matchExpressions"])?;
    let mut requirements = Vec::new();
    if let Some(labels) = at.get("matchLabels") {
        if !matches!(labels.node.value, crate::yaml::Value::Map(_)) {
            return Err(reader.mismatch(&labels, "a map"));
        }
        for (key, value) in labels.entries() {
            let requirement = Requirement::parse_label(key, reader.text(&value)?)
                .map_err(|error| reader.invalid(&value, error.to_string()))?;
            requirements.push(with_source(requirement, key, source));
        }
    }
    requirements.extend(reader.each(at, "matchExpressions", |reader, at| {
        let key = reader.text_of(at, "key")?.unwrap_or_default();
        expression(reader, at, key).map(|requirement| with_source(requirement, key, source))
    })?);
    Ok(Selector::from_parts(requirements))
}

fn with_source(requirement: Requirement, key: &str, source: &str) -> Requirement {
    match key.contains(':') || key.starts_with('$') {
        true => requirement,
        false => Requirement::new(SelectorKey::new(source, key), requirement.operator),
    }
}

fn expression(reader: &mut Reader<'_>, at: &At<'_>, key: &str) -> Result<Requirement, ParseError> {
    reader.fields(at, &["key", "operator", "values"])?;
    let operator = reader.text_of(at, "operator")?.unwrap_or_default();
    let values = reader.each(at, "values", |reader, at| {
        reader.text(at).map(str::to_owned)
    })?;
    Requirement::parse_expression(key, operator, &values)
        .map_err(|error| reader.invalid(at, error.to_string()))
}
