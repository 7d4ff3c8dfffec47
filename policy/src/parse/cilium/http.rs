//! `http` rules.

use crate::l7::{Expression, HeaderMatch, HeaderRule, HttpRule, Mismatch, SecretRef};
use crate::parse::at::{At, Reader};
use crate::parse::error::ParseError;
use crate::rule::Objector;

pub(super) fn http(reader: &mut Reader<'_>, at: &At<'_>) -> Result<HttpRule, ParseError> {
    reader.count_rule(at)?;
    reader.fields(at, &["method", "path", "host", "headers", "headerMatches"])?;
    Ok(HttpRule {
        method: expression(reader, at, "method")?,
        path: expression(reader, at, "path")?,
        host: host(reader, at)?,
        headers: reader.each(at, "headers", |reader, at| {
            reader.text(at).map(HeaderRule::from_text)
        })?,
        header_matches: reader.each(at, "headerMatches", header_match)?,
    })
}

fn expression(
    reader: &Reader<'_>,
    at: &At<'_>,
    field: &str,
) -> Result<Option<Box<str>>, ParseError> {
    match at.get(field) {
        None => Ok(None),
        Some(value) => {
            let text = reader.text(&value)?;
            match fault(text) {
                None => Ok((!text.is_empty()).then(|| text.into())),
                Some(reason) => Err(reader.invalid(&value, reason)),
            }
        }
    }
}

/// The host is an expression as well, but the reference looks at it only when it is used.
fn host(reader: &mut Reader<'_>, at: &At<'_>) -> Result<Option<Box<str>>, ParseError> {
    let host = reader.boxed_of(at, "host")?;
    if let Some(reason) = host.as_deref().and_then(fault) {
        let value = at.get("host").unwrap_or(*at);
        reader.object(Objector::Strict, &value, reason);
    }
    Ok(host)
}

fn fault(text: &str) -> Option<String> {
    let reason = Expression::check(text).err()?;
    let shown: String = text.chars().take(60).collect();
    let dots = if shown.len() < text.len() { "…" } else { "" };
    Some(format!(
        "`{shown}{dots}` is no regular expression ({reason}); mend it"
    ))
}

fn header_match(reader: &mut Reader<'_>, at: &At<'_>) -> Result<HeaderMatch, ParseError> {
    reader.fields(at, &["name", "value", "secret", "mismatch"])?;
    let Some(name) = reader.boxed_of(at, "name")? else {
        return Err(reader.invalid(at, "`name` is missing; name the header"));
    };
    let mismatch = match reader.text_of(at, "mismatch")? {
        None => Mismatch::Fail,
        Some("LOG") => Mismatch::Log,
        Some("ADD") => Mismatch::Add,
        Some("DELETE") => Mismatch::Delete,
        Some("REPLACE") => Mismatch::Replace,
        Some(other) => {
            return Err(reader.invalid(
                at,
                format!("unknown action `{other}`; use LOG, ADD, DELETE or REPLACE"),
            ));
        }
    };
    let secret = at.get("secret").map(|at| secret(reader, &at)).transpose()?;
    Ok(HeaderMatch {
        name,
        value: reader.boxed_of(at, "value")?,
        secret,
        mismatch,
    })
}

pub(super) fn secret(reader: &Reader<'_>, at: &At<'_>) -> Result<SecretRef, ParseError> {
    reader.fields(at, &["namespace", "name"])?;
    match reader.boxed_of(at, "name")? {
        Some(name) => Ok(SecretRef {
            namespace: reader.boxed_of(at, "namespace")?,
            name,
        }),
        None => Err(reader.invalid(at, "`name` is missing; name the secret")),
    }
}
