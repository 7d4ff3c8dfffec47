//! Blocks of addresses.

use ipnet::IpNet;

use super::at::{At, Reader};
use super::error::ParseError;

/// A block whose prefix length has to be written.
pub(super) fn block(reader: &Reader<'_>, at: &At<'_>) -> Result<IpNet, ParseError> {
    let text = reader.text(at)?;
    parse_block(text).ok_or_else(|| {
        reader.invalid(
            at,
            format!("`{text}` is no block; write it with a prefix length, like 10.0.0.0/8"),
        )
    })
}

/// `ADDRESS/LENGTH`, without masks, zones and leading zeros.
pub(crate) fn parse_block(text: &str) -> Option<IpNet> {
    let (address, length) = text.split_once('/')?;
    let plain = length.bytes().all(|byte| byte.is_ascii_digit())
        && (length == "0" || !length.starts_with('0'));
    IpNet::new(
        address.parse().ok()?,
        length.parse().ok().filter(|_| plain)?,
    )
    .ok()
}

/// A block inside of `whole`, if that is known.
pub(super) fn exception(
    reader: &Reader<'_>,
    at: &At<'_>,
    whole: Option<IpNet>,
) -> Result<IpNet, ParseError> {
    let except = block(reader, at)?;
    if let Some(whole) = whole.filter(|whole| !whole.contains(&except)) {
        let reason =
            format!("exception {except} does not lie inside {whole}; remove it or widen the block");
        return Err(reader.invalid(at, reason));
    }
    Ok(except.trunc())
}
