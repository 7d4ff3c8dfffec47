//! The typed view of a tree: every step knows its way from the top, and an error only looks back.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::bounds::MAX_RULES;
use super::error::{ParseError, ParseErrorKind, suggest};
use crate::rule::{Location, Objection, Objector};
use crate::yaml::{Entry, Fault, Lines, Node, Value};

/// A node and the way to it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct At<'a> {
    pub(crate) node: &'a Node<'a>,
    parent: Option<&'a At<'a>>,
    step: Step<'a>,
}

#[derive(Debug, Clone, Copy)]
enum Step<'a> {
    Root,
    Field(&'a str),
    Index(usize),
}

impl<'a> At<'a> {
    pub(crate) fn root(node: &'a Node<'a>) -> Self {
        Self {
            node,
            parent: None,
            step: Step::Root,
        }
    }

    /// The field, unless it is absent or null.
    pub(crate) fn get(&'a self, field: &'a str) -> Option<At<'a>> {
        self.raw(field).filter(|at| !at.node.is_null())
    }

    /// The field, null or not, unless it is absent.
    pub(crate) fn raw(&'a self, field: &'a str) -> Option<At<'a>> {
        let node = self.node.get(field)?;
        Some(At {
            node,
            parent: Some(self),
            step: Step::Field(field),
        })
    }

    /// Every key of a map with what stands under it.
    pub(crate) fn entries(&'a self) -> impl Iterator<Item = (&'a str, At<'a>)> {
        let entries: &[Entry<'a>] = match &self.node.value {
            Value::Map(entries) => entries,
            _ => &[],
        };
        entries.iter().map(move |entry| {
            let step = Step::Field(entry.key.as_ref());
            (
                entry.key.as_ref(),
                At {
                    node: &entry.value,
                    parent: Some(self),
                    step,
                },
            )
        })
    }

    /// `spec.ingress[0]`, `metadata.labels["example.com/name"]`
    pub(crate) fn path(&self) -> String {
        let mut path = self.parent.map(At::path).unwrap_or_default();
        match self.step {
            Step::Root => {}
            Step::Field(field) if field.contains(['.', '/', ':']) => {
                path.push_str(&format!("[{field:?}]"));
            }
            Step::Field(field) => {
                if !path.is_empty() {
                    path.push('.');
                }
                path.push_str(field);
            }
            Step::Index(index) => path.push_str(&format!("[{index}]")),
        }
        path
    }
}

/// What reading a file carries along.
pub(crate) struct Reader<'t> {
    pub(crate) file: Arc<str>,
    pub(crate) lines: &'t Lines<'t>,
    /// How many rules may still be read.
    pub(crate) rules_left: usize,
    /// What not everybody takes.
    pub(crate) objections: Vec<Objection>,
}

impl<'t> Reader<'t> {
    pub(crate) fn new(file: Arc<str>, lines: &'t Lines<'t>) -> Self {
        Self {
            file,
            lines,
            rules_left: MAX_RULES,
            objections: Vec::new(),
        }
    }

    pub(crate) fn location(&self, at: &At<'_>) -> Location {
        self.place(at.node.start)
    }

    fn place(&self, offset: u32) -> Location {
        let (line, column) = self.lines.place(offset);
        Location::new(Arc::clone(&self.file), line, column)
    }

    pub(crate) fn error(&self, at: &At<'_>, kind: ParseErrorKind) -> ParseError {
        ParseError::new(self.location(at), at.path(), kind)
    }

    pub(crate) fn fault(&self, fault: Fault) -> ParseError {
        ParseError::new(self.place(fault.offset), String::new(), fault.kind.into())
    }

    pub(crate) fn invalid(&self, at: &At<'_>, reason: impl Into<String>) -> ParseError {
        self.error(
            at,
            ParseErrorKind::Invalid {
                reason: reason.into(),
            },
        )
    }

    /// Counts a rule.
    ///
    /// # Errors
    /// If there are too many.
    pub(crate) fn count_rule(&mut self, at: &At<'_>) -> Result<(), ParseError> {
        match self.rules_left.checked_sub(1) {
            Some(left) => {
                self.rules_left = left;
                Ok(())
            }
            None => {
                let (what, limit) = ("the number of rules in a file", MAX_RULES);
                Err(self.error(at, ParseErrorKind::Bounds { what, limit }))
            }
        }
    }

    /// Notes what `of` alone refuses.
    pub(crate) fn object(&mut self, of: Objector, at: &At<'_>, reason: impl Into<String>) {
        let error = self.invalid(at, reason);
        self.objections.push(Objection { of, error });
    }

    /// Checks that a node is a map (null counts as the empty one) without unknown fields.
    pub(crate) fn fields(&self, at: &At<'_>, known: &[&str]) -> Result<(), ParseError> {
        let entries = match &at.node.value {
            Value::Map(entries) => entries,
            Value::Null => return Ok(()),
            _ => return Err(self.mismatch(at, "a map")),
        };
        match entries
            .iter()
            .find(|entry| !known.contains(&entry.key.as_ref()))
        {
            None => Ok(()),
            Some(entry) => {
                let field = entry.key.clone().into_owned();
                let suggestion = suggest(&field, known);
                let kind = ParseErrorKind::UnknownField { field, suggestion };
                Err(ParseError::new(
                    self.place(entry.key_start),
                    at.path(),
                    kind,
                ))
            }
        }
    }

    /// The elements of a list.
    pub(crate) fn items<'a>(
        &self,
        at: &'a At<'a>,
    ) -> Result<impl ExactSizeIterator<Item = At<'a>> + use<'a>, ParseError> {
        match &at.node.value {
            Value::List(items) => Ok(items.iter().enumerate().map(move |(index, node)| At {
                node,
                parent: Some(at),
                step: Step::Index(index),
            })),
            _ => Err(self.mismatch(at, "a list")),
        }
    }

    /// The elements of a list under `field`; none if it is absent or null.
    pub(crate) fn each<'a, T>(
        &mut self,
        at: &'a At<'a>,
        field: &'a str,
        mut read: impl FnMut(&mut Self, &At<'_>) -> Result<T, ParseError>,
    ) -> Result<Vec<T>, ParseError> {
        let Some(list) = at.get(field) else {
            return Ok(Vec::new());
        };
        let items = self.items(&list)?;
        // Rules are kept as long as their policy: no room for what never comes.
        let mut found = Vec::with_capacity(items.len());
        for item in items {
            found.push(read(self, &item)?);
        }
        Ok(found)
    }

    /// A text. Null is the empty text, as an element of a list or under a label key.
    pub(crate) fn text<'a>(&self, at: &At<'a>) -> Result<&'a str, ParseError> {
        match &at.node.value {
            Value::Text(Cow::Borrowed(text)) => Ok(text),
            Value::Text(Cow::Owned(text)) => Ok(text),
            Value::Null => Ok(""),
            _ => Err(self.mismatch(at, "text")),
        }
    }

    /// Whether this is the empty text.
    pub(crate) fn is_empty_text(&self, at: &At<'_>) -> bool {
        matches!(&at.node.value, Value::Text(text) if text.is_empty())
    }

    /// The text under `field`; `None` if it is absent, null or empty, which all mean the same.
    pub(crate) fn text_of<'a>(
        &self,
        at: &'a At<'a>,
        field: &'a str,
    ) -> Result<Option<&'a str>, ParseError> {
        match at.get(field) {
            Some(value) => self
                .text(&value)
                .map(|text| (!text.is_empty()).then_some(text)),
            None => Ok(None),
        }
    }

    /// The same, owned.
    pub(crate) fn boxed_of<'a>(
        &self,
        at: &'a At<'a>,
        field: &'a str,
    ) -> Result<Option<Box<str>>, ParseError> {
        Ok(self.text_of(at, field)?.map(Into::into))
    }

    /// A map of texts under `field`; empty if it is absent or null.
    pub(crate) fn texts_of<'a>(
        &self,
        at: &'a At<'a>,
        field: &'a str,
    ) -> Result<BTreeMap<Box<str>, Box<str>>, ParseError> {
        let Some(map) = at.get(field) else {
            return Ok(BTreeMap::new());
        };
        let Value::Map(_) = map.node.value else {
            return Err(self.mismatch(&map, "a map"));
        };
        let pair = |(key, value): (&str, At<'_>)| Ok((key.into(), self.text(&value)?.into()));
        map.entries().map(pair).collect()
    }

    pub(crate) fn boolean(&self, at: &At<'_>) -> Result<bool, ParseError> {
        match at.node.value {
            Value::Bool(value) => Ok(value),
            _ => Err(self.mismatch(at, "a boolean")),
        }
    }

    /// A whole number of 32 bits, as the policy API counts.
    pub(crate) fn integer(&self, at: &At<'_>) -> Result<i32, ParseError> {
        match at.node.value {
            Value::Int(value) => i32::try_from(value).map_err(|_| {
                self.invalid(
                    at,
                    format!("{value} does not fit 32 bits; use a smaller number"),
                )
            }),
            _ => Err(self.mismatch(at, "a whole number")),
        }
    }

    pub(crate) fn mismatch(&self, at: &At<'_>, expected: &'static str) -> ParseError {
        let found = match at.node.value {
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Int(_) | Value::Number => "a number",
            Value::Text(_) => "text",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
        };
        let span = at.node.start as usize..at.node.end as usize;
        let written = self.lines.text().get(span).unwrap_or_default().trim();
        let advice = match (expected, found) {
            ("text", "a boolean" | "a number") => format!("write it in quotes: \"{written}\""),
            ("a boolean", "text") => "write true or false without quotes".to_owned(),
            ("a whole number", "text") => "write the number without quotes".to_owned(),
            ("a list", _) => "put a `-` before each element".to_owned(),
            ("a map", "text") => "check for a missing colon, or a blank behind it".to_owned(),
            _ => format!("replace it by {expected}"),
        };
        self.error(
            at,
            ParseErrorKind::Type {
                expected,
                found,
                advice,
            },
        )
    }
}
