//! `fromCIDR`, `toCIDR`, `fromCIDRSet` and `toCIDRSet`.

use porin_identity::source;

use crate::parse::at::{At, Reader};
use crate::parse::block::{block, exception, parse_block};
use crate::parse::error::ParseError;
use crate::parse::selector;
use crate::peers::{CidrPeer, CidrSource};

/// An address, or a block with its prefix length.
pub(super) fn cidr(reader: &mut Reader<'_>, at: &At<'_>) -> Result<CidrPeer, ParseError> {
    let text = reader.text(at)?;
    let address = || text.parse().ok().map(CidrSource::Address);
    match parse_block(text).map(CidrSource::Block).or_else(address) {
        Some(source) => Ok(CidrPeer {
            source,
            except: Vec::new(),
        }),
        None => {
            let reason = format!(
                "`{text}` is no address and no block; write it like 10.0.0.0/8 or 2001:db8::1"
            );
            Err(reader.invalid(at, reason))
        }
    }
}

/// An element of a CIDR set. Exceptions of a group cannot be compared with its blocks, but blocks they
/// have to be.
pub(super) fn cidr_set(reader: &mut Reader<'_>, at: &At<'_>) -> Result<CidrPeer, ParseError> {
    reader.fields(at, &["cidr", "cidrGroupRef", "cidrGroupSelector", "except"])?;
    let text = at.get("cidr").filter(|at| !reader.is_empty_text(at));
    let group = reader.text_of(at, "cidrGroupRef")?;
    let groups = at.raw("cidrGroupSelector");
    let (source, whole) = match (text, group, groups) {
        (Some(text), None, None) => {
            let whole = block(reader, &text)?;
            (CidrSource::Block(whole), Some(whole))
        }
        (None, Some(group), None) => (CidrSource::Group(group.into()), None),
        (None, None, Some(groups)) => {
            let selector = selector::sourced(reader, &groups, source::CIDRGROUP)?;
            (CidrSource::Groups(selector), None)
        }
        _ => {
            return Err(reader.invalid(
                at,
                "exactly one of `cidr`, `cidrGroupRef`, `cidrGroupSelector` is needed; keep one",
            ));
        }
    };
    let except = reader.each(at, "except", |reader, at| exception(reader, at, whole))?;
    Ok(CidrPeer { source, except })
}
