//! Lists of objects.

use super::at::{At, Reader};
use super::error::ParseError;

/// The fields of Kubernetes' `ListMeta`.
const METADATA: &[&str] = &[
    "resourceVersion",
    "continue",
    "remainingItemCount",
    "selfLink",
];

/// The items of a list.
pub(super) fn items<'a>(reader: &Reader<'_>, at: &'a At<'a>) -> Result<Option<At<'a>>, ParseError> {
    reader.fields(at, &["apiVersion", "kind", "metadata", "items"])?;
    if let Some(metadata) = at.get("metadata") {
        reader.fields(&metadata, METADATA)?;
    }
    let Some(items) = at.get("items") else {
        return Ok(None);
    };
    reader.items(&items).map(drop)?;
    Ok(Some(items))
}

/// What to say about a list inside of a list.
pub(super) fn nested(reader: &Reader<'_>, at: &At<'_>) -> ParseError {
    reader.invalid(
        at,
        "a list stands in a list; put its items into the outer one",
    )
}
