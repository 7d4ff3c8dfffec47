//! Blocks of addresses.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::parse::at::{At, Reader};
use crate::parse::block::parse_block;
use crate::parse::error::ParseError;
use crate::peers::{CidrPeer, CidrSource};

/// A block with its prefix length. An IPv4 block in the clothes of IPv6 is refused: readers do not
/// agree upon what it covers.
pub(super) fn block(reader: &Reader<'_>, at: &At<'_>) -> Result<IpNet, ParseError> {
    let text = reader.text(at)?;
    let Some(block) = parse_block(text) else {
        let reason = match text.parse::<IpAddr>() {
            Ok(address) => {
                format!(
                    "`{text}` is an address; write the block {}",
                    IpNet::from(address)
                )
            }
            Err(_) => format!("`{text}` is no block; write it like 10.0.0.0/8 or 2001:db8::/32"),
        };
        return Err(reader.invalid(at, reason));
    };
    match block.addr() {
        IpAddr::V6(address) if address.to_ipv4_mapped().is_some() => Err(reader.invalid(
            at,
            format!("`{text}` means IPv4 addresses; write it as an IPv4 block"),
        )),
        _ => Ok(block),
    }
}

/// `ipBlock` of a NetworkPolicy. Every exception is a part of the block, and not the whole.
pub(super) fn ip_block(reader: &mut Reader<'_>, at: &At<'_>) -> Result<CidrPeer, ParseError> {
    reader.fields(at, &["cidr", "except"])?;
    let Some(cidr) = at.get("cidr") else {
        return Err(reader.invalid(at, "`cidr` is missing; name the block, like 10.0.0.0/8"));
    };
    let whole = block(reader, &cidr)?;
    let except = reader.each(at, "except", |reader, at| {
        let except = block(reader, at)?;
        if whole.contains(&except.trunc()) && except.prefix_len() > whole.prefix_len() {
            return Ok(except.trunc());
        }
        let reason = format!(
            "exception {except} is no smaller part of {whole}; remove it or widen the block"
        );
        Err(reader.invalid(at, reason))
    })?;
    Ok(CidrPeer {
        source: CidrSource::Block(whole),
        except,
    })
}
