//! One element of a rule list.

use super::{icmp, peer, port};
use crate::direction::Direction;
use crate::parse::at::{At, Reader};
use crate::parse::error::ParseError;
use crate::rule::{Action, AuthMode, Rule};

pub(super) fn rule(
    reader: &mut Reader<'_>,
    at: &At<'_>,
    (direction, action): (Direction, Action),
    index: usize,
    of_node: bool,
) -> Result<Rule, ParseError> {
    reader.count_rule(at)?;
    reader.fields(at, peer::rule_fields(direction, action))?;
    let peers = peer::peers(reader, at, direction)?;
    let mut ports = port::port_rules(reader, at, direction, action, of_node)?;
    ports.extend(icmp::icmps(reader, at)?);
    Ok(Rule {
        direction,
        action,
        index,
        name: None,
        peers,
        ports: (!ports.is_empty()).then_some(ports),
        auth: authentication(reader, at)?,
        location: reader.location(at),
    })
}

fn authentication(reader: &Reader<'_>, at: &At<'_>) -> Result<Option<AuthMode>, ParseError> {
    let Some(at) = at.get("authentication") else {
        return Ok(None);
    };
    reader.fields(&at, &["mode"])?;
    match reader.text_of(&at, "mode")?.unwrap_or_default() {
        "disabled" => Ok(Some(AuthMode::Disabled)),
        "required" => Ok(Some(AuthMode::Required)),
        "test-always-fail" => Ok(Some(AuthMode::AlwaysFail)),
        other => Err(reader.invalid(
            &at,
            format!("unknown authentication mode `{other}`; use required or disabled"),
        )),
    }
}
