//! `dns` rules, and the names and patterns that they share with `toFQDNs`.

use crate::l7::DnsRule;
use crate::parse::at::{At, Reader};
use crate::parse::error::ParseError;
use crate::rule::Objector;

pub(super) fn dns(reader: &mut Reader<'_>, at: &At<'_>) -> Result<DnsRule, ParseError> {
    reader.count_rule(at)?;
    reader.fields(at, &["matchName", "matchPattern"])?;
    Ok(DnsRule {
        match_name: name(reader, at)?,
        match_pattern: pattern(reader, at)?,
    })
}

const MAX_NAME: usize = 255;

/// `matchName`. What the API's schema refuses and the agent takes is a name that nothing has.
pub(super) fn name(reader: &mut Reader<'_>, at: &At<'_>) -> Result<Option<Box<str>>, ParseError> {
    let Some(text) = reader.boxed_of(at, "matchName")? else {
        return Ok(None);
    };
    let value = at.get("matchName").unwrap_or(*at);
    if !text.bytes().all(|byte| is_name_byte(byte) || byte == b'.') {
        return Err(reader.invalid(
            &value,
            format!("`{text}` is no name; use letters, digits, `-`, `_` and single dots"),
        ));
    }
    let mut labels = text.strip_suffix('.').unwrap_or(&text).split('.');
    if labels.any(str::is_empty) {
        let reason = format!("`{text}` is the name of nothing; put letters between the dots");
        reader.object(Objector::Strict, &value, reason);
    }
    if text.len() > MAX_NAME {
        let reason = "a name has at most 255 characters; shorten it";
        reader.object(Objector::Strict, &value, reason);
    }
    Ok(Some(text))
}

pub(super) fn pattern(reader: &Reader<'_>, at: &At<'_>) -> Result<Option<Box<str>>, ParseError> {
    let pattern = reader.boxed_of(at, "matchPattern")?;
    let fits = |text: &str| {
        text.bytes()
            .all(|byte| is_name_byte(byte) || matches!(byte, b'.' | b'*'))
    };
    let value = at.get("matchPattern").unwrap_or(*at);
    match &pattern {
        Some(text) if !fits(text) => Err(reader.invalid(
            &value,
            format!("`{text}` is no pattern; use letters, digits, `-`, `_`, `.` and `*`"),
        )),
        Some(text) if text.len() > MAX_NAME => {
            Err(reader.invalid(&value, "a pattern has at most 255 characters; shorten it"))
        }
        _ => Ok(pattern),
    }
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}
