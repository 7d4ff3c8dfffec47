//! From a finding to the text that it is about, and to the text that should be there.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

use porin_identity::{Operator, Requirement, Selector};

use super::finding::Edit;
use crate::direction::Direction;
use crate::peers::{CidrPeer, CidrSource, Peer};
use crate::rule::{Document, Location, Rule, Spec, list_field};
use crate::yaml::{Entry, Lines, Node, Value, documents, is_plain_text};

/// The trees of the linted files, read again when a finding first needs them.
#[derive(Default)]
pub(super) struct Trees<'a>(RefCell<HashMap<*const u8, Rc<Vec<Option<Node<'a>>>>>>);

impl<'a> Trees<'a> {
    /// Looks something up in the tree of a document.
    pub(super) fn with<T>(
        &self,
        document: &'a Document,
        look: impl FnOnce(&Node<'a>) -> Option<T>,
    ) -> Option<T> {
        let text: &'a str = document.source_text()?;
        let read = || Rc::new(documents(text).map(Result::ok).collect());
        let trees = Rc::clone(
            self.0
                .borrow_mut()
                .entry(text.as_ptr())
                .or_insert_with(read),
        );
        let tree = trees.get(document.source.index)?.as_ref()?;
        look(match document.source.item {
            None => tree,
            Some(item) => tree.get("items")?.item(item)?,
        })
    }
}

/// The node of a spec.
pub(super) fn spec_node<'n, 'a>(tree: &'n Node<'a>, spec: &Spec) -> Option<&'n Node<'a>> {
    match spec.position {
        None => tree.get("spec"),
        Some(position) => tree.get("specs")?.item(position),
    }
}

/// The list that a rule stands in.
pub(super) fn rule_list<'n, 'a>(
    tree: &'n Node<'a>,
    document: &Document,
    spec: &Spec,
    rule: &Rule,
) -> Option<&'n Node<'a>> {
    let field = match document.name.kind.is_kubernetes() {
        true => rule.direction.name(),
        false => list_field(rule.direction, rule.action),
    };
    spec_node(tree, spec)?.get(field)
}

/// The node of a rule.
pub(super) fn rule_node<'n, 'a>(
    tree: &'n Node<'a>,
    document: &Document,
    spec: &Spec,
    rule: &Rule,
) -> Option<&'n Node<'a>> {
    rule_list(tree, document, spec, rule)?.item(rule.index)
}

/// The list of the port elements of a rule.
pub(super) fn element_list<'n, 'a>(rule: &'n Node<'a>) -> Option<&'n Node<'a>> {
    let filled = |field: &&&str| rule.get(field).is_some_and(|list| list.len() > 0);
    let fields = ["toPorts", "icmps", "ports", "protocols"];
    rule.get(fields.iter().find(filled)?)
}

/// The node of a peer by its place among the peers of its rule. Only where one field holds them
/// all, one element for each.
pub(super) fn peer_node<'n, 'a>(
    rule: &'n Node<'a>,
    direction: Direction,
    peers: &[Peer],
    place: usize,
) -> Option<&'n Node<'a>> {
    let prefix = match direction {
        Direction::Ingress => "from",
        Direction::Egress => "to",
    };
    let kinds = [
        "",
        "Endpoints",
        "CIDR",
        "CIDRSet",
        "Entities",
        "Nodes",
        "Groups",
        "Services",
        "FQDNs",
    ];
    let fields = kinds.iter().map(|kind| format!("{prefix}{kind}"));
    let mut lists =
        fields.filter_map(|field| rule.get(&field).filter(|list| list.len() == peers.len()));
    lists.next()?.item(place)
}

/// Edits of one document.
pub(super) struct Editor<'a> {
    document: &'a Document,
}

impl<'a> Editor<'a> {
    pub(super) fn of(document: &'a Document) -> Self {
        Self { document }
    }

    fn text(&self) -> &'a str {
        self.document.source_text().map_or("", |text| text)
    }

    /// Where a node begins.
    pub(super) fn location(&self, start: u32) -> Location {
        let (line, column) = Lines::new(self.text()).place(start);
        Location::new(self.document.location.file(), line, column)
    }

    fn edit(&self, start: u32, end: u32, replacement: String) -> Edit {
        let location = self.location(start);
        Edit {
            location,
            start: start as usize,
            end: end as usize,
            replacement,
        }
    }

    /// Replaces a whole node.
    pub(super) fn replace(&self, node: &Node<'_>, by: impl Into<String>) -> Edit {
        self.edit(node.start, node.end, by.into())
    }

    /// Takes elements out of a list; `instead` stays if none else does. Elements that are aliases
    /// stand elsewhere in the text, and then nothing is edited.
    pub(super) fn remove(
        &self,
        list: &Node<'_>,
        gone: &BTreeSet<usize>,
        instead: &str,
    ) -> Vec<Edit> {
        let Value::List(items) = &list.value else {
            return Vec::new();
        };
        let in_order = items
            .windows(2)
            .all(|pair| matches!(pair, [a, b] if a.end <= b.start));
        let (Some(first), Some(last)) = (items.first(), items.last()) else {
            return Vec::new();
        };
        if gone.is_empty() || !in_order {
            return Vec::new();
        }
        let Some((kept, stays)) = items
            .iter()
            .enumerate()
            .find(|(place, _)| !gone.contains(place))
        else {
            return vec![self.edit(first.start, last.end, instead.to_owned())];
        };
        let head = (kept > 0).then(|| self.edit(first.start, stays.start, String::new()));
        let behind = items.iter().zip(items.iter().skip(1)).enumerate();
        let rest = behind
            .filter(|(before, _)| *before >= kept && gone.contains(&(before + 1)))
            .map(|(_, (before, item))| self.edit(before.end, item.end, String::new()));
        head.into_iter().chain(rest).collect()
    }

    /// Puts an entry before the first one of a map, in the map's own style.
    pub(super) fn insert_entry(&self, map: &Node<'_>, key: &str, value: &str) -> Option<Edit> {
        let Value::Map(entries) = &map.value else {
            return None;
        };
        let Some(first) = entries.first() else {
            return Some(self.replace(map, format!("{{{}: {value}}}", quote(key))));
        };
        let replacement = match self.is_flow(map) {
            true => format!("{}: {value}, ", quote(key)),
            false => format!("{}: {value}\n{}", plain_key(key), self.indent(first)),
        };
        Some(self.edit(first.key_start, first.key_start, replacement))
    }

    /// Replaces an entry with another key and value.
    pub(super) fn replace_entry(&self, entry: &Entry<'_>, key: &str, value: &str) -> Edit {
        self.edit(
            entry.key_start,
            entry.value.end.max(entry.key_start),
            format!("{}: {value}", quote(key)),
        )
    }

    fn is_flow(&self, map: &Node<'_>) -> bool {
        self.text().as_bytes().get(map.start as usize) == Some(&b'{')
    }

    /// Blanks up to the column of a key.
    fn indent(&self, entry: &Entry<'_>) -> String {
        let before = self
            .text()
            .get(..entry.key_start as usize)
            .unwrap_or_default();
        let line = before.rsplit('\n').next().unwrap_or_default();
        " ".repeat(line.chars().count())
    }
}

/// A text in double quotes, which JSON and YAML read alike.
pub(super) fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for letter in text.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\0'..='\u{1f}' => quoted.push_str(&format!("\\u{:04x}", u32::from(letter))),
            _ => quoted.push(letter),
        }
    }
    quoted.push('"');
    quoted
}

/// A key as people write it where that is safe.
fn plain_key(key: &str) -> String {
    if is_plain_text(key) {
        key.to_owned()
    } else {
        quote(key)
    }
}

/// Peers as the value of a peer field, with that field's name behind `from` or `to`.
pub(super) fn render_peers(peers: &[Peer]) -> Option<(&'static str, String)> {
    let list = |items: Vec<String>| format!("[{}]", items.join(", "));
    let rendered: Vec<String> = peers.iter().map(render_peer).collect::<Option<_>>()?;
    Some(match peers.first()? {
        Peer::Endpoints(_) => ("Endpoints", list(rendered)),
        Peer::Entity(_) => ("Entities", list(rendered)),
        Peer::Cidr(_) => ("CIDRSet", list(rendered)),
        Peer::Nodes(_) => ("Nodes", list(rendered)),
        _ => return None,
    })
}

/// `None` for the peers that no edit writes.
fn render_peer(peer: &Peer) -> Option<String> {
    Some(match peer {
        Peer::Endpoints(selector) | Peer::Nodes(selector) => render_selector(selector),
        Peer::Entity(entity) => quote(entity.name()),
        Peer::Cidr(cidr) => render_cidr(cidr),
        _ => return None,
    })
}

fn render_cidr(cidr: &CidrPeer) -> String {
    let source = match &cidr.source {
        CidrSource::Address(address) => {
            format!(
                "\"cidr\": {}",
                quote(&ipnet::IpNet::from(*address).to_string())
            )
        }
        CidrSource::Block(block) => format!("\"cidr\": {}", quote(&block.to_string())),
        CidrSource::Group(name) => format!("\"cidrGroupRef\": {}", quote(name)),
        CidrSource::Groups(selector) => {
            format!("\"cidrGroupSelector\": {}", render_selector(selector))
        }
    };
    if cidr.except.is_empty() {
        return format!("{{{source}}}");
    }
    let holes: Vec<String> = cidr
        .except
        .iter()
        .map(|hole| quote(&hole.to_string()))
        .collect();
    format!("{{{source}, \"except\": [{}]}}", holes.join(", "))
}

/// A selector in flow style.
pub(super) fn render_selector(selector: &Selector) -> String {
    let mut labels = Vec::new();
    let mut expressions = Vec::new();
    for Requirement { key, operator } in selector.requirements() {
        let key = quote(&key.to_string());
        let expression = |operator: &str, values: &[std::sync::Arc<str>]| {
            let values: Vec<String> = values.iter().map(|value| quote(value)).collect();
            format!(
                "{{\"key\": {key}, \"operator\": \"{operator}\", \"values\": [{}]}}",
                values.join(", ")
            )
        };
        match operator {
            Operator::Equals(value) => labels.push(format!("{key}: {}", quote(value))),
            Operator::In(values) => expressions.push(expression("In", values)),
            Operator::NotIn(values) => expressions.push(expression("NotIn", values)),
            Operator::Exists => {
                expressions.push(format!("{{\"key\": {key}, \"operator\": \"Exists\"}}"))
            }
            Operator::DoesNotExist => expressions.push(format!(
                "{{\"key\": {key}, \"operator\": \"DoesNotExist\"}}"
            )),
        }
    }
    let mut parts = Vec::new();
    if !labels.is_empty() {
        parts.push(format!("\"matchLabels\": {{{}}}", labels.join(", ")));
    }
    if !expressions.is_empty() {
        parts.push(format!(
            "\"matchExpressions\": [{}]",
            expressions.join(", ")
        ));
    }
    format!("{{{}}}", parts.join(", "))
}
