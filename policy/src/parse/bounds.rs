//! How much a file may ask for: no text within the bounds of its size makes more than this of memory
//! and work.

use super::error::{ParseError, ParseErrorKind};
use crate::peers::Peers;
use crate::port::PortPrefix;
use crate::port_rule::{Port, PortSpec};
use crate::rule::{Rule, Spec, list_field};

/// The most rules of all documents of a file, those about content included.
pub(crate) const MAX_RULES: usize = 1 << 17;

/// The most that the rules of a document come to: peers times blocks of ports.
const MAX_KEYS: usize = 1 << 20;

/// Checks what the rules of a document come to.
pub(super) fn check(specs: &[Spec]) -> Result<(), ParseError> {
    let mut keys = 0_usize;
    for spec in specs {
        for rule in &spec.rules {
            keys = keys.saturating_add(keys_of(rule));
            if keys > MAX_KEYS {
                let spec = match spec.position {
                    None => "spec".to_owned(),
                    Some(position) => format!("specs[{position}]"),
                };
                let list = list_field(rule.direction, rule.action);
                let path = format!("{spec}.{list}[{}]", rule.index);
                let what = "peers times blocks of ports, over all rules of a document,";
                let limit = MAX_KEYS;
                let kind = ParseErrorKind::Bounds { what, limit };
                return Err(ParseError::new(rule.location.clone(), path, kind));
            }
        }
    }
    Ok(())
}

fn keys_of(rule: &Rule) -> usize {
    let peers = match &rule.peers {
        Peers::Listed(listed) => listed.len(),
        Peers::Unspecified | Peers::Unnamed => 1,
    };
    let ports = match &rule.ports {
        None => 1,
        Some(elements) => elements
            .iter()
            .flat_map(|element| &element.ports)
            .map(blocks)
            .sum(),
    };
    peers.saturating_mul(ports)
}

/// The blocks that a port is cut into, for each of its protocols.
fn blocks(spec: &PortSpec) -> usize {
    let blocks = match (&spec.port, spec.end_port) {
        (Port::Number(first), Some(last)) if last > *first => PortPrefix::cut(*first, last).count(),
        _ => 1,
    };
    blocks * spec.protocol.protocols().count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml::{MAX_ALL_NODES, MAX_DEPTH, MAX_NODES, MAX_TEXT, TEXT_OF_NODE};

    #[test]
    fn the_page_of_languages_names_the_bounds() {
        let page = include_str!("../../../docs/languages.md");
        for (what, limit) in [
            ("a file", format!("{MAX_TEXT} bytes")),
            (
                "nodes of a document, aliases counted each time",
                MAX_NODES.to_string(),
            ),
            (
                "text that an alias repeats for one node",
                format!("{TEXT_OF_NODE} bytes"),
            ),
            ("nodes of a file", MAX_ALL_NODES.to_string()),
            ("nesting", MAX_DEPTH.to_string()),
            (
                "rules of a file, those about content included",
                MAX_RULES.to_string(),
            ),
            (
                "peers times blocks of ports, over all rules of a document",
                MAX_KEYS.to_string(),
            ),
        ] {
            let row = format!("| {what} | {limit} |");
            assert!(page.contains(&row), "{row}");
        }
    }
}
