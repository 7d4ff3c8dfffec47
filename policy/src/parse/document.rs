//! One file of policy documents.

use std::sync::Arc;

use porin_identity::Selector;

use super::at::{At, Reader};
use super::bounds::MAX_RULES;
use super::error::ParseError;
use super::kind::{Kind, Listed, kind};
use super::{bounds, cidr_group, cilium, kubernetes, list, meta, staging};
use crate::rule::{Document, DocumentName, Location, PolicyKind, Source};
use crate::service::CidrGroup;
use crate::yaml::{Lines, Node, documents};

/// What a file of policy documents holds.
#[derive(Debug, Clone, Default)]
pub struct Parsed {
    /// The documents that are valid under at least one semantics, in order.
    pub documents: Vec<Document>,
    /// The CIDR groups, in order.
    pub cidr_groups: Vec<CidrGroup>,
    /// The others, in order.
    pub refused: Vec<Refused>,
}

/// A document that was refused.
#[derive(Debug, Clone)]
pub struct Refused {
    /// Which document of the file, from zero; documents that hold nothing do not count, and every
    /// item of a list does.
    pub index: usize,
    /// Its name, if that much could be read.
    pub name: Option<DocumentName>,
    /// Whom it meant to guard, as written, where that could be read; empty where it could not.
    pub subjects: Vec<Selector>,
    /// Where it begins.
    pub location: Location,
    /// Why.
    pub error: ParseError,
}

/// Reads every document of a file: policies, CIDR groups, and lists of them. Each stands alone: a
/// refused one changes nothing for the rest.
///
/// `file` is only a name, for messages.
pub fn parse_documents(file: &str, text: &str) -> Parsed {
    let lines = Lines::new(text);
    let mut reading = Reading {
        file: file.into(),
        lines: &lines,
        text: text.into(),
        index: 0,
        rules_left: MAX_RULES,
        parsed: Parsed::default(),
    };
    for (tree, node) in documents(text).enumerate() {
        match node {
            Ok(node) => reading.root(tree, &node),
            Err(fault) => {
                let error = reading.reader().fault(fault);
                reading.refuse(error.location().clone(), error, None, Vec::new());
            }
        }
    }
    reading.parsed
}

struct Reading<'t> {
    file: Arc<str>,
    lines: &'t Lines<'t>,
    text: Arc<str>,
    /// How many documents have been read.
    index: usize,
    /// How many rules may still be read.
    rules_left: usize,
    parsed: Parsed,
}

impl<'t> Reading<'t> {
    fn reader(&self) -> Reader<'t> {
        Reader::new(Arc::clone(&self.file), self.lines)
    }

    /// A whole YAML or JSON document.
    fn root(&mut self, tree: usize, node: &Node<'_>) {
        let root = At::root(node);
        let reader = self.reader();
        let Ok(Kind::List(assumed)) = kind(&reader, &root, None) else {
            return self.object(&root, Place { tree, item: None }, None);
        };
        match list::items(&reader, &root) {
            Ok(None) => {}
            Ok(Some(list)) => {
                let items = reader.items(&list).into_iter().flatten();
                for (item, at) in items.enumerate() {
                    let item = Some(item);
                    self.object(&at, Place { tree, item }, assumed);
                }
            }
            Err(error) => self.refuse(reader.location(&root), error, None, Vec::new()),
        }
    }

    /// One object, which stands alone or in a list.
    fn object(&mut self, at: &At<'_>, place: Place, assumed: Option<Listed>) {
        let mut reader = self.reader();
        reader.rules_left = self.rules_left;
        let kind = kind(&reader, at, assumed);
        let read = match &kind {
            Ok(Kind::Policy(kind)) => document(&mut reader, at, *kind, self.source(place))
                .map(|document| self.parsed.documents.push(document)),
            Ok(Kind::CidrGroup) => cidr_group::cidr_group(&mut reader, at)
                .map(|group| self.parsed.cidr_groups.push(group)),
            Ok(Kind::List(_)) => Err(list::nested(&reader, at)),
            Err(error) => Err(error.clone()),
        };
        self.rules_left = reader.rules_left;
        match read {
            Ok(()) => self.index += 1,
            Err(error) => {
                let mut reader = self.reader();
                let location = reader.location(at);
                let (name, subjects) = match kind {
                    Ok(Kind::Policy(kind)) => {
                        let name = meta::name(&reader, at, kind).ok();
                        let subjects = subjects(&mut reader, at, kind);
                        (name.map(DocumentName::Policy), subjects)
                    }
                    Ok(Kind::CidrGroup) => {
                        let name = meta::plain_name(&reader, at, "group").ok();
                        (name.map(DocumentName::CidrGroup), Vec::new())
                    }
                    Ok(Kind::List(_)) | Err(_) => (None, Vec::new()),
                };
                self.refuse(location, error, name, subjects);
            }
        }
    }

    fn refuse(
        &mut self,
        location: Location,
        error: ParseError,
        name: Option<DocumentName>,
        subjects: Vec<Selector>,
    ) {
        self.parsed.refused.push(Refused {
            index: self.index,
            name,
            subjects,
            location,
            error,
        });
        self.index += 1;
    }

    fn source(&self, place: Place) -> Source {
        Source {
            text: Some(Arc::clone(&self.text)),
            index: place.tree,
            item: place.item,
        }
    }
}

/// Where an object stands in its file.
#[derive(Clone, Copy)]
struct Place {
    /// Which document of YAML or JSON.
    tree: usize,
    /// Which item of it, if it is a list.
    item: Option<usize>,
}

fn document(
    reader: &mut Reader<'_>,
    root: &At<'_>,
    kind: PolicyKind,
    source: Source,
) -> Result<Document, ParseError> {
    let name = meta::name(reader, root, kind)?;
    let specs = match kind.is_kubernetes() {
        false => cilium::specs(reader, root, kind)?,
        true => kubernetes::specs(reader, root, kind)?,
    };
    bounds::check(&specs)?;
    let staging = staging::staging(reader, root, kind, &specs)?;
    Ok(Document {
        name,
        location: reader.location(root),
        specs,
        staging,
        source,
        objections: std::mem::take(&mut reader.objections),
    })
}

/// The subjects of all specs of a document that was refused, or nothing if one of them cannot be
/// read.
fn subjects(reader: &mut Reader<'_>, root: &At<'_>, kind: PolicyKind) -> Vec<Selector> {
    let subjects = match kind.is_kubernetes() {
        false => cilium::subjects(reader, root),
        true => kubernetes::subjects(reader, root, kind),
    };
    subjects.unwrap_or_default()
}
