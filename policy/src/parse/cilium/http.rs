//! `http` rules.

use crate::l7::{HeaderMatch, HeaderRule, HttpRule, Mismatch, SecretRef};
use crate::parse::at::{At, Reader};
use crate::parse::error::ParseError;

pub(super) fn http(reader: &mut Reader<'_>, at: &At<'_>) -> Result<HttpRule, ParseError> {
    reader.fields(at, &["method", "path", "host", "headers", "headerMatches"])?;
    Ok(HttpRule {
        method: expression(reader, at, "method")?,
        path: expression(reader, at, "path")?,
        host: reader.boxed_of(at, "host")?,
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
    let Some(value) = at.get(field) else {
        return Ok(None);
    };
    let text = reader.text(&value)?;
    if !is_simple(text)
        && let Err(error) = regex::Regex::new(text)
    {
        let first = error
            .to_string()
            .lines()
            .last()
            .unwrap_or_default()
            .trim()
            .to_owned();
        return Err(reader.invalid(
            &value,
            format!("`{text}` is no regular expression ({first}); mend it"),
        ));
    }
    Ok((!text.is_empty()).then(|| text.into()))
}

/// Plain words and paths with `.` and `.*`, as most rules have: no need to compile them.
fn is_simple(text: &str) -> bool {
    let mut last = 0;
    text.bytes().all(|byte| {
        let fits = byte.is_ascii_alphanumeric()
            || matches!(byte, b'/' | b'-' | b'_' | b'.')
            || byte == b'*' && last == b'.';
        last = byte;
        fits
    })
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
