//! The kinds of the Kubernetes APIs.

use porin_identity::Selector;

use super::at::{At, Reader};
use super::error::{ParseError, ParseErrorKind};
use crate::rule::{PolicyKind, Spec};

/// Everything that a document of that kind says.
pub(super) fn specs(
    reader: &mut Reader<'_>,
    root: &At<'_>,
    kind: PolicyKind,
) -> Result<Vec<Spec>, ParseError> {
    let at = root.get("kind").unwrap_or(*root);
    let field = kind.name().to_owned();
    Err(reader.error(&at, ParseErrorKind::NotYet { field }))
}

/// The subjects of a document that was refused, or nothing if one of them cannot be read.
pub(super) fn subjects(
    reader: &mut Reader<'_>,
    root: &At<'_>,
    kind: PolicyKind,
) -> Result<Vec<Selector>, ParseError> {
    specs(reader, root, kind).map(|_| Vec::new())
}
