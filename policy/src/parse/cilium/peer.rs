//! The peer fields of a rule.

use super::{cidr, named};
use crate::direction::Direction;
use crate::parse::at::{At, Reader};
use crate::parse::error::ParseError;
use crate::parse::selector;
use crate::peers::{Entity, Peer, Peers};
use crate::rule::{Action, Objector};

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
    let mut found = Found::default();
    found.own(reader, at, names.endpoints, |reader, at| {
        selector::selector(reader, at).map(Peer::Endpoints)
    })?;
    found.own(reader, at, names.cidr, |reader, at| {
        cidr::cidr(reader, at).map(|cidr| Peer::Cidr(Box::new(cidr)))
    })?;
    found.own(reader, at, names.cidr_set, |reader, at| {
        cidr::cidr_set(reader, at).map(|cidr| Peer::Cidr(Box::new(cidr)))
    })?;
    found.own(reader, at, names.entities, |reader, at| {
        entity(reader, at).map(Peer::Entity)
    })?;
    found.own(reader, at, names.nodes, |reader, at| {
        let nodes = selector::selector(reader, at)?;
        let reason = "the labels of nodes are not known here; name the nodes by their addresses, or as entity `remote-node`";
        reader.object(Objector::WithoutNodeLabels, at, reason);
        Ok(Peer::Nodes(nodes))
    })?;
    found.named(reader, at, names.groups, named::group)?;
    if direction == Direction::Egress {
        found.named(reader, at, "toServices", named::service)?;
        found.named(reader, at, "toFQDNs", named::fqdn)?;
    }
    Ok(found.peers())
}

#[derive(Default)]
struct Found {
    listed: Vec<Peer>,
    /// The field that has elements.
    filled: Option<&'static str>,
    /// Whether there is an empty list of peers that speak for themselves: it means nobody.
    nobody: bool,
    /// Whether there is an empty list of peers that somebody else resolves.
    unnamed: bool,
}

impl Found {
    /// A field of peers that speak for themselves.
    fn own(
        &mut self,
        reader: &mut Reader<'_>,
        at: &At<'_>,
        name: &'static str,
        read: impl FnMut(&mut Reader<'_>, &At<'_>) -> Result<Peer, ParseError>,
    ) -> Result<(), ParseError> {
        self.nobody |= self.field(reader, at, name, read)? == Some(0);
        Ok(())
    }

    /// A field of peers that somebody else resolves.
    fn named(
        &mut self,
        reader: &mut Reader<'_>,
        at: &At<'_>,
        name: &'static str,
        read: impl FnMut(&mut Reader<'_>, &At<'_>) -> Result<Peer, ParseError>,
    ) -> Result<(), ParseError> {
        self.unnamed |= self.field(reader, at, name, read)? == Some(0);
        Ok(())
    }

    /// The number of elements, if the field is there.
    fn field(
        &mut self,
        reader: &mut Reader<'_>,
        at: &At<'_>,
        name: &'static str,
        mut read: impl FnMut(&mut Reader<'_>, &At<'_>) -> Result<Peer, ParseError>,
    ) -> Result<Option<usize>, ParseError> {
        let Some(list) = at.get(name) else {
            return Ok(None);
        };
        let items = reader.items(&list)?;
        let count = items.len();
        if count > 0 {
            if let Some(other) = self.filled {
                let reason = format!(
                    "`{other}` and `{name}` exclude each other in one rule; write two rules"
                );
                return Err(reader.invalid(&list, reason));
            }
            self.filled = Some(name);
            self.listed.reserve_exact(count);
        }
        for item in items {
            self.listed.push(read(reader, &item)?);
        }
        Ok(Some(count))
    }

    fn peers(self) -> Peers {
        match (self.nobody, self.listed.is_empty()) {
            (true, _) => Peers::Listed(Vec::new()),
            (false, false) => Peers::Listed(self.listed),
            (false, true) if self.unnamed => Peers::Unnamed,
            (false, true) => Peers::Unspecified,
        }
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
