//! `metadata`.

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
    let Some(metadata) = root.get("metadata") else {
        return Err(reader.invalid(
            root,
            "`metadata` is missing; a policy needs `metadata.name`",
        ));
    };
    reader.fields(&metadata, METADATA)?;
    for field in ["labels", "annotations"] {
        reader.texts_of(&metadata, field)?;
    }
    let Some(name) = reader.text_of(&metadata, "name")? else {
        return Err(reader.invalid(&metadata, "`name` is missing; give the policy a name"));
    };
    let namespace = match kind {
        kind if kind.is_namespaced() => Some(
            reader
                .text_of(&metadata, "namespace")?
                .unwrap_or("default")
                .into(),
        ),
        _ => {
            reader.text_of(&metadata, "namespace")?;
            None
        }
    };
    Ok(PolicyName {
        kind,
        namespace,
        name: name.into(),
    })
}
