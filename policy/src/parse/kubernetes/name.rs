//! Names of objects.

use crate::parse::at::{At, Reader};
use crate::parse::error::ParseError;
use crate::rule::PolicyKind;

/// The one name that a BaselineAdminNetworkPolicy may have.
const BASELINE: &str = "default";

/// The most characters of a label in the DNS (RFC 1123 §2.1).
const MAX_LABEL: usize = 63;

/// The most characters of a name in the DNS.
const MAX_NAME: usize = 253;

/// Checks the names in `metadata` as the API server does.
pub(super) fn check(
    reader: &Reader<'_>,
    root: &At<'_>,
    kind: PolicyKind,
) -> Result<(), ParseError> {
    let Some(metadata) = root.get("metadata") else {
        return Ok(());
    };
    if let Some(at) = metadata.get("name") {
        let name = reader.text(&at)?;
        if name.len() > MAX_NAME || !name.split('.').all(is_label) {
            let reason = format!(
                "`{name}` is no object name; use lower-case letters, digits, `-` and `.`, with a letter or digit at both ends"
            );
            return Err(reader.invalid(&at, reason));
        }
        if kind == PolicyKind::BaselineAdminNetworkPolicy && name != BASELINE {
            let reason = format!("there is one baseline in a cluster; name it `{BASELINE}`");
            return Err(reader.invalid(&at, reason));
        }
    }
    match metadata.get("namespace") {
        Some(at) if kind.is_namespaced() => {
            let name = reader.text(&at)?;
            if name.is_empty() || (name.len() <= MAX_LABEL && is_label(name)) {
                return Ok(());
            }
            let reason = format!(
                "`{name}` is no namespace; use at most {MAX_LABEL} lower-case letters, digits and `-`"
            );
            Err(reader.invalid(&at, reason))
        }
        _ => Ok(()),
    }
}

fn is_label(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !text.is_empty() && text.bytes().all(inner) && !text.starts_with('-') && !text.ends_with('-')
}
