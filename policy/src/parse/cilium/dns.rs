//! `dns` rules, and the names and patterns that they share with `toFQDNs`.

use crate::l7::DnsRule;
use crate::parse::at::{At, Reader};
use crate::parse::error::ParseError;

pub(super) fn dns(reader: &mut Reader<'_>, at: &At<'_>) -> Result<DnsRule, ParseError> {
    reader.count_rule(at)?;
    reader.fields(at, &["matchName", "matchPattern"])?;
    Ok(DnsRule {
        match_name: name(reader, at)?,
        match_pattern: pattern(reader, at)?,
    })
}

const MAX_NAME: usize = 255;

pub(super) fn name(reader: &Reader<'_>, at: &At<'_>) -> Result<Option<Box<str>>, ParseError> {
    let name = reader.boxed_of(at, "matchName")?;
    let labels = |name: &str| {
        let name = name.strip_suffix('.').unwrap_or(name);
        name.split('.')
            .all(|label| !label.is_empty() && label.bytes().all(is_name_byte))
    };
    match &name {
        Some(text) if !labels(text) => Err(reader.invalid(
            at,
            format!("`{text}` is no name; use letters, digits, `-`, `_` and single dots"),
        )),
        Some(text) if text.len() > MAX_NAME => {
            Err(reader.invalid(at, "a name has at most 255 characters; shorten it"))
        }
        _ => Ok(name),
    }
}

pub(super) fn pattern(reader: &Reader<'_>, at: &At<'_>) -> Result<Option<Box<str>>, ParseError> {
    let pattern = reader.boxed_of(at, "matchPattern")?;
    let fits = |text: &str| {
        text.bytes()
            .all(|byte| is_name_byte(byte) || matches!(byte, b'.' | b'*'))
    };
    match &pattern {
        Some(text) if !fits(text) => Err(reader.invalid(
            at,
            format!("`{text}` is no pattern; use letters, digits, `-`, `_`, `.` and `*`"),
        )),
        Some(text) if text.len() > MAX_NAME => {
            Err(reader.invalid(at, "a pattern has at most 255 characters; shorten it"))
        }
        _ => Ok(pattern),
    }
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}
