//! Label selectors as policies write them.

use porin_identity::{Requirement, Selector};

use super::at::{At, Reader};
use super::error::ParseError;

/// A selector of `matchLabels` and `matchExpressions`; null is the empty selector.
pub(super) fn selector(reader: &mut Reader<'_>, at: &At<'_>) -> Result<Selector, ParseError> {
    reader.fields(at, &["matchLabels", "matchExpressions"])?;
    let mut requirements = Vec::new();
    if let Some(labels) = at.get("matchLabels") {
        if !matches!(labels.node.value, crate::yaml::Value::Map(_)) {
            return Err(reader.mismatch(&labels, "a map"));
        }
        for (key, value) in labels.entries() {
            let requirement = Requirement::parse_label(key, reader.text(&value)?);
            requirements
                .push(requirement.map_err(|error| reader.invalid(&value, error.to_string()))?);
        }
    }
    requirements.extend(reader.each(at, "matchExpressions", expression)?);
    Ok(Selector::from_parts(requirements))
}

fn expression(reader: &mut Reader<'_>, at: &At<'_>) -> Result<Requirement, ParseError> {
    reader.fields(at, &["key", "operator", "values"])?;
    let key = reader.text_of(at, "key")?.unwrap_or_default();
    let operator = reader.text_of(at, "operator")?.unwrap_or_default();
    let mut values = Vec::new();
    if let Some(list) = at.get("values") {
        for item in reader.items(&list)? {
            values.push(reader.text(&item)?.to_owned());
        }
    }
    Requirement::parse_expression(key, operator, &values)
        .map_err(|error| reader.invalid(at, error.to_string()))
}
