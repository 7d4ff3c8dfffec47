//! `metadata`.

use std::sync::Arc;

use super::at::{At, Reader};
use super::error::ParseError;
use crate::rule::{PolicyKind, PolicyName};

/// The fields of Kubernetes' `ObjectMeta`.
const METADATA: &[&str] = &[
    "name",
    "namespace",
    "labels",
    "annotations",
    "generateName",
    "selfLink",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "ownerReferences",
    "finalizers",
    "managedFields",
];

/// The name of a policy of that kind.
pub(super) fn name(
    reader: &Reader<'_>,
    root: &At<'_>,
    kind: PolicyKind,
) -> Result<PolicyName, ParseError> {
    let name = plain_name(reader, root, "policy")?;
    let namespace = match root.get("metadata") {
        Some(metadata) => reader.text_of(&metadata, "namespace")?.map(Arc::from),
        None => None,
    };
    let namespace = kind
        .is_namespaced()
        .then(|| namespace.unwrap_or_else(|| "default".into()));
    Ok(PolicyName {
        kind,
        namespace,
        name,
    })
}

/// `metadata.name`, of metadata that is in order.
pub(super) fn plain_name(
    reader: &Reader<'_>,
    root: &At<'_>,
    what: &str,
) -> Result<Arc<str>, ParseError> {
    let Some(metadata) = root.get("metadata") else {
        let reason = format!("`metadata` is missing; a {what} needs `metadata.name`");
        return Err(reader.invalid(root, reason));
    };
    reader.fields(&metadata, METADATA)?;
    for field in ["labels", "annotations"] {
        reader.texts_of(&metadata, field)?;
    }
    match reader.text_of(&metadata, "name")? {
        Some(name) => Ok(name.into()),
        None => {
            let reason = format!("`name` is missing; give the {what} a name");
            Err(reader.invalid(&metadata, reason))
        }
    }
}
