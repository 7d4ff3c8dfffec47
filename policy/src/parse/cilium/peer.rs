//! The peer fields of a rule.

use std::net::IpAddr;

use ipnet::IpNet;

use super::later;
use crate::direction::Direction;
use crate::parse::at::{At, Reader};
use crate::parse::block::{block, exception, parse_block};
use crate::parse::error::ParseError;
use crate::parse::selector;
use crate::peers::{CidrPeer, CidrSource, Entity, Peer, Peers};
use crate::rule::Action;

/// The fields that a rule may have.
pub(super) fn rule_fields(direction: Direction, action: Action) -> &'static [&'static str] {
    match (direction, action) {
        (Direction::Ingress, Action::Allow | Action::Pass) => &[
            "fromEndpoints",
            "fromCIDR",
            "fromCIDRSet",
            "fromEntities",
            "fromNodes",
            "fromGroups",
            "fromRequires",
            "toPorts",
            "icmps",
            "authentication",
        ],
        (Direction::Ingress, Action::Deny) => &[
            "fromEndpoints",
            "fromCIDR",
            "fromCIDRSet",
            "fromEntities",
            "fromNodes",
            "fromGroups",
            "fromRequires",
            "toPorts",
            "icmps",
        ],
        (Direction::Egress, Action::Allow | Action::Pass) => &[
            "toEndpoints",
            "toCIDR",
            "toCIDRSet",
            "toEntities",
            "toNodes",
            "toGroups",
            "toRequires",
            "toPorts",
            "icmps",
            "toServices",
            "toFQDNs",
            "authentication",
        ],
        (Direction::Egress, Action::Deny) => &[
            "toEndpoints",
            "toCIDR",
            "toCIDRSet",
            "toEntities",
            "toNodes",
            "toGroups",
            "toRequires",
            "toPorts",
            "icmps",
            "toServices",
        ],
    }
}

/// The names of the peer fields of one direction.
struct Fields {
    endpoints: &'static str,
    cidr: &'static str,
    cidr_set: &'static str,
    entities: &'static str,
    nodes: &'static str,
    groups: &'static str,
    requires: &'static str,
}

fn fields(direction: Direction) -> Fields {
    match direction {
        Direction::Ingress => Fields {
            endpoints: "fromEndpoints",
            cidr: "fromCIDR",
            cidr_set: "fromCIDRSet",
            entities: "fromEntities",
            nodes: "fromNodes",
            groups: "fromGroups",
            requires: "fromRequires",
        },
        Direction::Egress => Fields {
            endpoints: "toEndpoints",
            cidr: "toCIDR",
            cidr_set: "toCIDRSet",
            entities: "toEntities",
            nodes: "toNodes",
            groups: "toGroups",
            requires: "toRequires",
        },
    }
}

/// The peers of a rule: the union of its peer fields, of which only one may have elements.
pub(super) fn peers(
    reader: &mut Reader<'_>,
    at: &At<'_>,
    direction: Direction,
) -> Result<Peers, ParseError> {
    let names = fields(direction);
    requires(reader, at, names.requires)?;
    let mut found = Found {
        listed: Vec::new(),
        present: false,
        filled: None,
    };
    found.field(reader, at, names.endpoints, |reader, at| {
        selector::selector(reader, at).map(|selector| Some(Peer::Endpoints(selector)))
    })?;
    found.field(reader, at, names.cidr, |reader, at| {
        Ok(Some(Peer::Cidr(cidr(reader, at)?)))
    })?;
    found.field(reader, at, names.cidr_set, |reader, at| {
        Ok(cidr_set(reader, at)?.map(Peer::Cidr))
    })?;
    found.field(reader, at, names.entities, |reader, at| {
        entity(reader, at).map(|entity| Some(Peer::Entity(entity)))
    })?;
    found.field(reader, at, names.nodes, |reader, at| {
        selector::selector(reader, at)?;
        reader.not_yet(at, names.nodes);
        Ok(None)
    })?;
    found.later(reader, at, names.groups, later::group)?;
    if direction == Direction::Egress {
        found.later(reader, at, "toServices", later::service)?;
        found.later(reader, at, "toFQDNs", later::fqdn)?;
    }
    Ok(match found.present {
        true => Peers::Listed(found.listed),
        false => Peers::Unspecified,
    })
}

struct Found {
    listed: Vec<Peer>,
    present: bool,
    filled: Option<&'static str>,
}

impl Found {
    fn field(
        &mut self,
        reader: &mut Reader<'_>,
        at: &At<'_>,
        name: &'static str,
        mut read: impl FnMut(&mut Reader<'_>, &At<'_>) -> Result<Option<Peer>, ParseError>,
    ) -> Result<(), ParseError> {
        let Some(list) = at.get(name) else {
            return Ok(());
        };
        self.present = true;
        let items = reader.items(&list)?;
        if items.len() > 0 {
            if let Some(other) = self.filled {
                let reason = format!(
                    "`{other}` and `{name}` exclude each other in one rule; write two rules"
                );
                return Err(reader.invalid(&list, reason));
            }
            self.filled = Some(name);
        }
        for item in items {
            self.listed.extend(read(reader, &item)?);
        }
        Ok(())
    }

    /// A field that is only checked; what it means is not enforced yet, even if it is empty.
    fn later(
        &mut self,
        reader: &mut Reader<'_>,
        at: &At<'_>,
        name: &'static str,
        read: impl Fn(&mut Reader<'_>, &At<'_>) -> Result<(), ParseError>,
    ) -> Result<(), ParseError> {
        self.field(reader, at, name, |reader, at| {
            read(reader, at).map(|()| None)
        })?;
        if let Some(list) = at.get(name) {
            reader.not_yet(&list, name);
        }
        Ok(())
    }
}

/// `fromRequires`/`toRequires` were restrictions once. The language has dropped them, and a list
/// that is ignored would be access that nobody meant to give.
fn requires(reader: &mut Reader<'_>, at: &At<'_>, name: &'static str) -> Result<(), ParseError> {
    let Some(list) = at.get(name) else {
        return Ok(());
    };
    match reader.items(&list)?.len() {
        0 => Ok(()),
        _ => {
            let reason = format!(
                "`{name}` does not exist any more and would restrict nothing; state the requirement in the peer selectors"
            );
            Err(reader.invalid(&list, reason))
        }
    }
}

/// An address, or a block with its prefix length.
fn cidr(reader: &mut Reader<'_>, at: &At<'_>) -> Result<CidrPeer, ParseError> {
    let text = reader.text(at)?;
    let block = parse_block(text).or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
    match block {
        Some(block) => Ok(CidrPeer {
            source: CidrSource::Block(block),
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

/// An element of a CIDR set; `None` if it names a group.
fn cidr_set(reader: &mut Reader<'_>, at: &At<'_>) -> Result<Option<CidrPeer>, ParseError> {
    reader.fields(at, &["cidr", "cidrGroupRef", "cidrGroupSelector", "except"])?;
    let text = reader.text_of(at, "cidr")?;
    let group = reader.text_of(at, "cidrGroupRef")?;
    let groups = at.get("cidrGroupSelector");
    if let Some(groups) = &groups {
        selector::selector(reader, groups)?;
    }
    if usize::from(text.is_some()) + usize::from(group.is_some()) + usize::from(groups.is_some())
        != 1
    {
        return Err(reader.invalid(
            at,
            "exactly one of `cidr`, `cidrGroupRef`, `cidrGroupSelector` is needed; keep one",
        ));
    }
    let whole = match at.get("cidr").filter(|_| text.is_some()) {
        Some(at) => Some(block(reader, &at)?),
        None => None,
    };
    let except = reader.each(at, "except", |reader, at| exception(reader, at, whole))?;
    if whole.is_none() {
        reader.not_yet(
            at,
            if group.is_some() {
                "cidrGroupRef"
            } else {
                "cidrGroupSelector"
            },
        );
    }
    Ok(whole.map(|block| CidrPeer {
        source: CidrSource::Block(block),
        except,
    }))
}

fn entity(reader: &mut Reader<'_>, at: &At<'_>) -> Result<Entity, ParseError> {
    let text = reader.text(at)?;
    Entity::from_name(text).ok_or_else(|| {
        let names: Vec<&str> = Entity::ALL.iter().map(|entity| entity.name()).collect();
        reader.invalid(
            at,
            format!("unknown entity `{text}`; use one of {}", names.join(", ")),
        )
    })
}
