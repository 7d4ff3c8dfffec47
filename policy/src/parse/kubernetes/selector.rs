//! Label selectors of the Kubernetes API: keys have no source of their own.

use porin_identity::{Requirement, Selector, SelectorKey, check_label_key, key, source};

use crate::parse::at::{At, Reader};
use crate::parse::error::ParseError;
use crate::yaml::Value;

/// Whose labels a selector is about, which decides what becomes of its keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Of {
    Pods,
    Namespaces,
    Nodes,
}

impl Of {
    fn key(self, key: &str) -> SelectorKey {
        match self {
            Self::Pods => SelectorKey::new(source::K8S, key),
            Self::Namespaces => {
                let prefixed = format!("{}{key}", key::NAMESPACE_LABELS_PREFIX);
                SelectorKey::new(source::K8S, &prefixed)
            }
            Self::Nodes => SelectorKey::new(source::NODE, key),
        }
    }
}

/// A selector of `matchLabels` and `matchExpressions`, all of which must hold.
pub(super) fn selector(
    reader: &mut Reader<'_>,
    at: &At<'_>,
    of: Of,
) -> Result<Selector, ParseError> {
    reader.fields(at, &["matchLabels", "matchExpressions"])?;
    let mut requirements = Vec::new();
    if let Some(labels) = at.get("matchLabels") {
        if !matches!(labels.node.value, Value::Map(_)) {
            return Err(reader.mismatch(&labels, "a map"));
        }
        for (key, value) in labels.entries() {
            check_key(reader, &value, key)?;
            let requirement = Requirement::parse_label(key, reader.text(&value)?)
                .map_err(|error| reader.invalid(&value, error.to_string()))?;
            requirements.push(Requirement::new(of.key(key), requirement.operator));
        }
    }
    requirements.extend(reader.each(at, "matchExpressions", |reader, at| {
        expression(reader, at, of)
    })?);
    Ok(Selector::from_parts(requirements))
}

fn expression(reader: &mut Reader<'_>, at: &At<'_>, of: Of) -> Result<Requirement, ParseError> {
    reader.fields(at, &["key", "operator", "values"])?;
    let key = reader.text_of(at, "key")?.unwrap_or_default();
    check_key(reader, &at.get("key").unwrap_or(*at), key)?;
    let operator = reader.text_of(at, "operator")?.unwrap_or_default();
    let values = reader.each(at, "values", |reader, at| {
        reader.text(at).map(str::to_owned)
    })?;
    let requirement = Requirement::parse_expression(key, operator, &values)
        .map_err(|error| reader.invalid(at, error.to_string()))?;
    Ok(Requirement::new(of.key(key), requirement.operator))
}

/// A key of Kubernetes names no source, so a colon has no meaning in it.
fn check_key(reader: &Reader<'_>, at: &At<'_>, key: &str) -> Result<(), ParseError> {
    check_label_key(key).map_err(|rule| {
        let reason = match key.split_once(':') {
            Some((_, rest)) => {
                format!("`{key}` is no label key: this kind knows no sources; write `{rest}`")
            }
            None => format!("`{key}` is no label key: {rule}"),
        };
        reader.invalid(at, reason)
    })
}
