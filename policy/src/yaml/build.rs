//! From the events of the YAML scanner to the tree.

use std::borrow::Cow;
use std::collections::BTreeMap;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, StrInput, Tag};

use super::scalar::{Plain, resolve};
use super::tree::{Entry, Fault, FaultKind, MAX_DEPTH, Node, Nodes, Value, duplicate, repeated};

/// The tree of one document; `base` is where `chunk` begins in its file.
/// `None` if the chunk holds no document at all.
pub(crate) fn build<'t>(
    chunk: &'t str,
    base: u32,
    nodes: &mut Nodes,
) -> Result<Option<Node<'t>>, Fault> {
    let mut builder = Builder {
        parser: Parser::new_from_str(chunk),
        places: Places {
            text: chunk,
            ascii: chunk.is_ascii(),
            index: 0,
            byte: 0,
        },
        base,
        anchors: BTreeMap::new(),
        nodes,
    };
    let mut root = None;
    while let Some(Found { event, start, end }) = builder.next()? {
        match event {
            Event::StreamEnd => break,
            Event::Nothing | Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd => {}
            _ if root.is_some() => {
                return Err(syntax(
                    start,
                    "a second document begins here without a `---` line",
                ));
            }
            event => root = Some(builder.node(Found { event, start, end }, 0)?.node),
        }
    }
    Ok(root)
}

fn syntax(offset: u32, reason: impl Into<String>) -> Fault {
    Fault {
        offset,
        kind: FaultKind::Syntax(reason.into()),
    }
}

/// The scanner counts characters; the tree counts bytes.
struct Places<'t> {
    text: &'t str,
    ascii: bool,
    index: usize,
    byte: usize,
}

impl Places<'_> {
    fn byte(&mut self, marker: Marker) -> usize {
        if self.ascii {
            return marker.index().min(self.text.len());
        }
        let (before, after) = self
            .text
            .split_at_checked(self.byte)
            .unwrap_or((self.text, ""));
        if marker.index() >= self.index {
            let steps = after.chars().take(marker.index() - self.index);
            self.byte += steps.map(char::len_utf8).sum::<usize>();
        } else {
            let steps = before.chars().rev().take(self.index - marker.index());
            self.byte -= steps.map(char::len_utf8).sum::<usize>();
        }
        self.index = marker.index();
        self.byte
    }
}

struct Found<'t> {
    event: Event<'t>,
    start: u32,
    end: u32,
}

/// A finished node with its size and height, which an alias of it has to pay again.
#[derive(Clone)]
struct Built<'t> {
    node: Node<'t>,
    nodes: usize,
    height: usize,
}

struct Builder<'t, 'n> {
    parser: Parser<'t, StrInput<'t>>,
    places: Places<'t>,
    base: u32,
    anchors: BTreeMap<usize, Built<'t>>,
    nodes: &'n mut Nodes,
}

impl<'t> Builder<'t, '_> {
    fn next(&mut self) -> Result<Option<Found<'t>>, Fault> {
        match self.parser.next_event() {
            None => Ok(None),
            Some(Ok((event, span))) => {
                let start = self.offset(span.start);
                let end = self.offset(span.end).max(start);
                Ok(Some(Found { event, start, end }))
            }
            Some(Err(error)) => Err(syntax(self.offset(*error.marker()), error.info())),
        }
    }

    fn offset(&mut self, marker: Marker) -> u32 {
        self.base
            .saturating_add(u32::try_from(self.places.byte(marker)).unwrap_or(u32::MAX))
    }

    fn expect(&mut self, start: u32) -> Result<Found<'t>, Fault> {
        self.next()?
            .ok_or_else(|| syntax(start, "the document ends too early"))
    }

    fn pay(&mut self, nodes: usize, depth: usize, offset: u32) -> Result<(), Fault> {
        let fault = |kind| Fault { offset, kind };
        self.nodes.take(nodes).map_err(fault)?;
        if depth > MAX_DEPTH {
            return Err(fault(FaultKind::Bounds {
                what: "the depth of nesting",
                limit: MAX_DEPTH,
            }));
        }
        Ok(())
    }

    fn node(&mut self, found: Found<'t>, depth: usize) -> Result<Built<'t>, Fault> {
        let Found { event, start, end } = found;
        let (anchor, built) = match event {
            Event::Alias(anchor) => return self.alias(anchor, depth, start),
            Event::Scalar(text, style, anchor, tag) => {
                self.pay(1, depth, start)?;
                let nodes = repeated(&text);
                let value = scalar(text, style, tag.as_deref(), start)?;
                (
                    anchor,
                    Built {
                        node: Node { value, start, end },
                        nodes,
                        height: 0,
                    },
                )
            }
            Event::SequenceStart(anchor, tag) => {
                self.pay(1, depth, start)?;
                check_tag(tag.as_deref(), "seq", start)?;
                (anchor, self.list(start, depth)?)
            }
            Event::MappingStart(anchor, tag) => {
                self.pay(1, depth, start)?;
                check_tag(tag.as_deref(), "map", start)?;
                (anchor, self.map(start, depth)?)
            }
            _ => return Err(syntax(start, "a value is missing here")),
        };
        if anchor > 0 {
            self.anchors.insert(anchor, built.clone());
            self.pay(built.nodes, depth, start)?;
        }
        Ok(built)
    }

    fn alias(&mut self, anchor: usize, depth: usize, start: u32) -> Result<Built<'t>, Fault> {
        let Some(built) = self.anchors.get(&anchor) else {
            return Err(syntax(start, "the alias stands inside what it repeats"));
        };
        let (nodes, height) = (built.nodes, built.height);
        self.pay(nodes, depth + height, start)?;
        self.anchors
            .get(&anchor)
            .cloned()
            .ok_or_else(|| syntax(start, "unknown alias"))
    }

    fn list(&mut self, start: u32, depth: usize) -> Result<Built<'t>, Fault> {
        let mut items = Vec::new();
        let (mut end, mut nodes, mut height) = (start, 1, 0);
        loop {
            let found = self.expect(start)?;
            if matches!(found.event, Event::SequenceEnd) {
                end = close(&found, end);
                break;
            }
            let item = self.node(found, depth + 1)?;
            end = end.max(item.node.end);
            nodes += item.nodes;
            height = height.max(item.height + 1);
            items.push(item.node);
        }
        Ok(Built {
            node: Node {
                value: Value::List(items),
                start,
                end,
            },
            nodes,
            height,
        })
    }

    fn map(&mut self, start: u32, depth: usize) -> Result<Built<'t>, Fault> {
        let mut entries: Vec<Entry<'t>> = Vec::new();
        let mut merged = Vec::new();
        let (mut end, mut nodes, mut height) = (start, 1, 0);
        loop {
            let found = self.expect(start)?;
            if matches!(found.event, Event::MappingEnd) {
                end = close(&found, end);
                break;
            }
            let key_start = found.start;
            let (key, merges) = self.key(found)?;
            let value = self.expect(start)?;
            let value = self.node(value, depth + 1)?;
            end = end.max(value.node.end);
            nodes += value.nodes + repeated(&key);
            height = height.max(value.height + 1);
            match merges {
                true => merged.push(value.node),
                false => entries.push(Entry {
                    key,
                    key_start,
                    value: value.node,
                }),
            }
        }
        if let Some(twice) = duplicate(&entries) {
            let kind = FaultKind::DuplicateKey(twice.key.clone().into_owned());
            return Err(Fault {
                offset: twice.key_start,
                kind,
            });
        }
        for node in merged {
            merge(&mut entries, node)?;
        }
        Ok(Built {
            node: Node {
                value: Value::Map(entries),
                start,
                end,
            },
            nodes,
            height,
        })
    }

    /// A key, and whether it is the merge key.
    fn key(&mut self, found: Found<'t>) -> Result<(Cow<'t, str>, bool), Fault> {
        let Found {
            event: Event::Scalar(text, style, _, tag),
            start,
            ..
        } = found
        else {
            return Err(syntax(found.start, "a key must be text"));
        };
        self.pay(1, 0, start)?;
        let plain = style == ScalarStyle::Plain && tag.is_none();
        match plain.then(|| resolve(&text)) {
            None | Some(Plain::Text) => {
                let merges = plain && text == "<<";
                Ok((text, merges))
            }
            Some(other) => {
                let kind = FaultKind::Key {
                    text: text.into_owned(),
                    found: other.noun(),
                };
                Err(Fault {
                    offset: start,
                    kind,
                })
            }
        }
    }
}

/// The end of a collection: behind the bracket, or behind its last part where there is none.
fn close(found: &Found<'_>, last: u32) -> u32 {
    if found.end > found.start {
        found.end.max(last)
    } else {
        last
    }
}

/// `<<`: keys of another map, or of several, that are not there already.
fn merge<'t>(entries: &mut Vec<Entry<'t>>, node: Node<'t>) -> Result<(), Fault> {
    match node.value {
        Value::Map(more) => {
            for entry in more {
                if !entries.iter().any(|own| own.key == entry.key) {
                    entries.push(entry);
                }
            }
            Ok(())
        }
        Value::List(maps) if maps.iter().all(|map| matches!(map.value, Value::Map(_))) => {
            maps.into_iter().try_for_each(|map| merge(entries, map))
        }
        _ => Err(syntax(node.start, "`<<` takes a map or a list of maps")),
    }
}

fn check_tag(tag: Option<&Tag>, expected: &str, start: u32) -> Result<(), Fault> {
    match tag {
        None => Ok(()),
        Some(tag) if tag.is_yaml_core_schema() && tag.suffix == expected => Ok(()),
        Some(tag) => Err(syntax(
            start,
            format!("tag `{tag}` does not fit here; remove it"),
        )),
    }
}

fn scalar<'t>(
    text: Cow<'t, str>,
    style: ScalarStyle,
    tag: Option<&Tag>,
    start: u32,
) -> Result<Value<'t>, Fault> {
    let quoted = style != ScalarStyle::Plain;
    let plain = match tag {
        None if quoted => Plain::Text,
        None => resolve(&text),
        Some(tag) if tag.is_yaml_core_schema() => match tag.suffix.as_str() {
            "str" => Plain::Text,
            "int" | "bool" | "null" | "float" => resolve(&text),
            _ => {
                return Err(syntax(
                    start,
                    format!("tag `{tag}` does not fit here; remove it"),
                ));
            }
        },
        Some(tag) if tag.handle.is_empty() && tag.suffix == "!" => Plain::Text,
        Some(tag) => {
            return Err(syntax(
                start,
                format!("tag `{tag}` is not known; remove it"),
            ));
        }
    };
    Ok(match plain {
        Plain::Null => Value::Null,
        Plain::Bool(value) => Value::Bool(value),
        Plain::Int(value) => Value::Int(value),
        Plain::Number => Value::Number,
        Plain::Text => Value::Text(text),
    })
}
