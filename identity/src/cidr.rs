//! Blocks of addresses as labels, and what is left of a block without its exceptions.

use ipnet::{IpNet, Ipv4Net};

use crate::label::Label;

/// The label `cidr:<block>` of a block.
///
/// A label key has no colon, so those of IPv6 are written as dashes, and a leading or trailing
/// dash gets a zero: `2001:db8::/32` is `cidr:2001-db8--0/32`. Host bits are cut off.
#[must_use]
pub fn cidr_label(block: IpNet) -> Label {
    Label::cidr(&block_text(block))
}

fn block_text(block: IpNet) -> String {
    let block = block.trunc();
    let mut address = block.addr().to_string().replace(':', "-");
    if address.starts_with('-') {
        address.insert(0, '0');
    }
    if address.ends_with('-') {
        address.push('0');
    }
    format!("{address}/{}", block.prefix_len())
}

/// The block that the key of a `cidr` label names; `None` when the key is no block.
/// A key without a length is one address.
#[must_use]
pub fn parse_cidr_key(key: &str) -> Option<IpNet> {
    let (address, length) = key.split_once('/').unwrap_or((key, ""));
    let address: std::net::IpAddr = if address.contains('-') {
        address.replace('-', ":").parse().ok()?
    } else {
        address.parse().ok()?
    };
    if length.is_empty() && !key.contains('/') {
        return Some(IpNet::from(address));
    }
    IpNet::new(address, length.parse().ok()?)
        .ok()
        .map(|block| block.trunc())
}

/// What is left of `block` without the exceptions: the fewest blocks, in order of address.
///
/// ```
/// use porin_identity::cidr_minus;
/// let left = cidr_minus("10.0.0.0/30".parse()?, &["10.0.0.1/32".parse()?]);
/// assert_eq!(left, ["10.0.0.0/32".parse()?, "10.0.0.2/31".parse()?]);
/// # Ok::<(), ipnet::AddrParseError>(())
/// ```
#[must_use]
pub fn cidr_minus(block: IpNet, except: &[IpNet]) -> Vec<IpNet> {
    let mut left = Vec::new();
    let except: Vec<IpNet> = except.iter().map(IpNet::trunc).collect();
    subtract(block.trunc(), &except, &mut left);
    left
}

fn subtract(block: IpNet, except: &[IpNet], left: &mut Vec<IpNet>) {
    if except.iter().any(|exception| exception.contains(&block)) {
        return;
    }
    let inside: Vec<IpNet> = except
        .iter()
        .copied()
        .filter(|exception| block.contains(exception))
        .collect();
    match halves(block) {
        Some((low, high)) if !inside.is_empty() => {
            subtract(low, &inside, left);
            subtract(high, &inside, left);
        }
        _ => left.push(block),
    }
}

fn halves(block: IpNet) -> Option<(IpNet, IpNet)> {
    let length = block.prefix_len() + 1;
    let mut subnets = match block {
        IpNet::V4(block) => {
            let (low, high) = pair(block.subnets(length).ok()?)?;
            [IpNet::V4(low), IpNet::V4(high)]
        }
        IpNet::V6(block) => {
            let (low, high) = pair(block.subnets(length).ok()?)?;
            [IpNet::V6(low), IpNet::V6(high)]
        }
    }
    .into_iter();
    pair(&mut subnets)
}

fn pair<T>(mut items: impl Iterator<Item = T>) -> Option<(T, T)> {
    Some((items.next()?, items.next()?))
}

/// The same block in the family it means: IPv4 mapped into IPv6 becomes IPv4.
pub(crate) fn canonical(block: IpNet) -> IpNet {
    match block.trunc() {
        IpNet::V6(inner) if inner.prefix_len() >= 96 => match inner.addr().to_ipv4_mapped() {
            Some(address) => {
                Ipv4Net::new(address, inner.prefix_len() - 96).map_or(IpNet::V6(inner), IpNet::V4)
            }
            None => IpNet::V6(inner),
        },
        other => other,
    }
}
