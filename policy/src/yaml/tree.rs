//! The tree, and what it may not exceed.

use std::borrow::Cow;

/// The longest text that is read, in bytes.
pub(crate) const MAX_TEXT: usize = 16 << 20;
/// The deepest nesting.
pub(crate) const MAX_DEPTH: usize = 64;
/// The most nodes of one document, aliases counted each time they are used.
pub(crate) const MAX_NODES: usize = 1 << 19;
/// The most nodes of all documents of a text.
pub(crate) const MAX_ALL_NODES: usize = 1 << 22;

/// The bytes of a text that an alias repeats for one node; so a long text is not repeated for nothing.
pub(crate) const TEXT_OF_NODE: usize = 64;

/// What a text counts for when an alias repeats it.
pub(crate) fn repeated(text: &str) -> usize {
    1 + text.len() / TEXT_OF_NODE
}

/// How many nodes may still be read of a text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Nodes {
    left: usize,
    of_document: usize,
}

impl Default for Nodes {
    fn default() -> Self {
        Self {
            left: MAX_ALL_NODES,
            of_document: MAX_NODES,
        }
    }
}

impl Nodes {
    /// The same for the next document.
    pub(crate) fn next_document(self) -> Self {
        Self {
            of_document: MAX_NODES,
            ..self
        }
    }

    /// Takes so many.
    ///
    /// # Errors
    /// If there are not that many left.
    pub(crate) fn take(&mut self, nodes: usize) -> Result<(), FaultKind> {
        let all = self.left.checked_sub(nodes);
        self.left = all.unwrap_or(0);
        let of_document = self.of_document.checked_sub(nodes);
        self.of_document = of_document.unwrap_or(0);
        match (all, of_document) {
            (_, None) => Err(FaultKind::Bounds {
                what: "the number of nodes in a document",
                limit: MAX_NODES,
            }),
            (None, Some(_)) => Err(FaultKind::Bounds {
                what: "the number of nodes in a file",
                limit: MAX_ALL_NODES,
            }),
            (Some(_), Some(_)) => Ok(()),
        }
    }
}

/// One node and the bytes of the text it came from.
#[derive(Debug, Clone)]
pub(crate) struct Node<'t> {
    pub(crate) value: Value<'t>,
    pub(crate) start: u32,
    pub(crate) end: u32,
}

#[derive(Debug, Clone)]
pub(crate) enum Value<'t> {
    Null,
    Bool(bool),
    Int(i64),
    /// A number that is no 64-bit integer: nothing in a policy wants one.
    Number,
    Text(Cow<'t, str>),
    List(Vec<Node<'t>>),
    Map(Vec<Entry<'t>>),
}

/// One key of a map and what stands under it.
#[derive(Debug, Clone)]
pub(crate) struct Entry<'t> {
    pub(crate) key: Cow<'t, str>,
    pub(crate) key_start: u32,
    pub(crate) value: Node<'t>,
}

impl<'t> Node<'t> {
    /// The node under `key`, if this is a map that has it.
    pub(crate) fn get(&self, key: &str) -> Option<&Node<'t>> {
        self.entry(key).map(|entry| &entry.value)
    }

    /// The entry of `key`, if this is a map that has it.
    pub(crate) fn entry(&self, key: &str) -> Option<&Entry<'t>> {
        match &self.value {
            Value::Map(entries) => entries.iter().find(|entry| entry.key == key),
            _ => None,
        }
    }

    /// Element `index`, if this is a list that has it.
    pub(crate) fn item(&self, index: usize) -> Option<&Node<'t>> {
        match &self.value {
            Value::List(items) => items.get(index),
            _ => None,
        }
    }

    /// How many elements a list has; none if this is no list.
    pub(crate) fn len(&self) -> usize {
        match &self.value {
            Value::List(items) => items.len(),
            _ => 0,
        }
    }

    pub(crate) fn is_null(&self) -> bool {
        matches!(self.value, Value::Null)
    }
}

/// Why a text is no tree, and where it shows.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) offset: u32,
    pub(crate) kind: FaultKind,
}

#[derive(Debug)]
pub(crate) enum FaultKind {
    Syntax(String),
    Bounds { what: &'static str, limit: usize },
    DuplicateKey(String),
    Key { text: String, found: &'static str },
}

/// The first key that stands twice, by its second place.
pub(crate) fn duplicate<'e>(entries: &'e [Entry<'_>]) -> Option<&'e Entry<'e>> {
    if entries.len() <= 16 {
        let twice = |(at, entry): &(usize, &Entry<'_>)| {
            entries
                .iter()
                .take(*at)
                .any(|earlier| earlier.key == entry.key)
        };
        return entries
            .iter()
            .enumerate()
            .find(twice)
            .map(|(_, entry)| entry);
    }
    let mut seen = std::collections::HashSet::with_capacity(entries.len());
    entries
        .iter()
        .find(|entry| !seen.insert(entry.key.as_ref()))
}
