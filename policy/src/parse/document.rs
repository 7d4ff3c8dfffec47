//! One file of policy documents.

use std::sync::Arc;

use porin_identity::Selector;

use super::at::{At, Reader};
use super::error::{ParseError, ParseErrorKind};
use super::{selector, spec};
use crate::rule::{Document, Location, PolicyKind, PolicyName, Source};
use crate::service::CidrGroup;
use crate::staged::Staging;
use crate::yaml::{Lines, Node, Value, documents};

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
    /// Which document of the file, from zero; documents that hold nothing do not count.
    pub index: usize,
    /// Its name, if that much could be read.
    pub name: Option<PolicyName>,
    /// Whom it meant to guard, as written, where that could be read; empty where it could not.
    pub subjects: Vec<Selector>,
    /// Where it begins.
    pub location: Location,
    /// Why.
    pub error: ParseError,
}

/// Reads every document of a file. Each stands alone: a refused one changes nothing for the rest.
///
/// `file` is only a name, for messages.
pub fn parse_documents(file: &str, text: &str) -> Parsed {
    let file: Arc<str> = file.into();
    let source: Arc<str> = text.into();
    let lines = Lines::new(text);
    let mut parsed = Parsed::default();
    for (index, tree) in documents(text).into_iter().enumerate() {
        let mut reader = Reader::new(Arc::clone(&file), &lines);
        let node = match tree {
            Ok(node) => node,
            Err(fault) => {
                let error = reader.fault(fault);
                let location = error.location().clone();
                parsed.refused.push(Refused {
                    index,
                    name: None,
                    subjects: Vec::new(),
                    location,
                    error,
                });
                continue;
            }
        };
        let source = Source {
            text: Arc::clone(&source),
            index,
        };
        match document(&mut reader, &node, source) {
            Ok(document) => parsed.documents.push(document),
            Err(error) => parsed
                .refused
                .push(refused(&file, &lines, &node, index, error)),
        }
    }
    parsed
}

fn document(
    reader: &mut Reader<'_>,
    node: &Node<'_>,
    source: Source,
) -> Result<Document, ParseError> {
    let root = At::root(node);
    reader
        .fields(
            &root,
            &["apiVersion", "kind", "metadata", "spec", "specs", "status"],
        )
        .or_else(|error| kind(reader, &root).and(Err(error)))?;
    let name = name(reader, &root)?;
    if let Some(status) = root.get("status") {
        reader.fields(&status, &["conditions", "derivativePolicies"])?;
    }
    let specs = spec::specs(reader, &root, name.kind)?;
    if let Some(error) = reader.not_yet.take() {
        return Err(error);
    }
    let location = reader.location(&root);
    let objections = std::mem::take(&mut reader.objections);
    Ok(Document {
        name,
        location,
        specs,
        staging: Staging::default(),
        source,
        objections,
    })
}

fn kind(reader: &Reader<'_>, root: &At<'_>) -> Result<PolicyKind, ParseError> {
    let api_version = reader.text_of(root, "apiVersion")?.unwrap_or_default();
    let kind = reader.text_of(root, "kind")?.unwrap_or_default();
    match (api_version, kind) {
        ("cilium.io/v2", "CiliumNetworkPolicy") => Ok(PolicyKind::CiliumNetworkPolicy),
        ("cilium.io/v2", "CiliumClusterwideNetworkPolicy") => {
            Ok(PolicyKind::CiliumClusterwideNetworkPolicy)
        }
        ("networking.k8s.io/v1", "NetworkPolicy")
        | ("cilium.io/v2" | "cilium.io/v2alpha1", "CiliumCIDRGroup")
        | (
            "policy.networking.k8s.io/v1alpha1",
            "AdminNetworkPolicy" | "BaselineAdminNetworkPolicy",
        )
        | ("policy.networking.k8s.io/v1alpha2", "ClusterNetworkPolicy") => {
            let at = root.get("kind").unwrap_or(*root);
            Err(reader.error(
                &at,
                ParseErrorKind::NotYet {
                    field: kind.to_owned(),
                },
            ))
        }
        _ => {
            let at = root.get("kind").unwrap_or(*root);
            let (api_version, kind) = (api_version.to_owned(), kind.to_owned());
            Err(reader.error(&at, ParseErrorKind::Kind { api_version, kind }))
        }
    }
}

/// The fields of Kubernetes' `ObjectMeta`.
const METADATA: &[&str] = &[
    "name",
    "namespace",
    "labels",
    "annotations",
    "generateName",
    "selfLink",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "ownerReferences",
    "finalizers",
    "managedFields",
];

fn name(reader: &Reader<'_>, root: &At<'_>) -> Result<PolicyName, ParseError> {
    let kind = kind(reader, root)?;
    let Some(metadata) = root.get("metadata") else {
        return Err(reader.invalid(
            root,
            "`metadata` is missing; a policy needs `metadata.name`",
        ));
    };
    reader.fields(&metadata, METADATA)?;
    for field in ["labels", "annotations"] {
        if let Some(map) = metadata.get(field) {
            texts(reader, &map)?;
        }
    }
    let Some(name) = reader.text_of(&metadata, "name")? else {
        return Err(reader.invalid(&metadata, "`name` is missing; give the policy a name"));
    };
    let namespace = match kind {
        kind if kind.is_namespaced() => Some(
            reader
                .text_of(&metadata, "namespace")?
                .unwrap_or("default")
                .into(),
        ),
        _ => {
            reader.text_of(&metadata, "namespace")?;
            None
        }
    };
    Ok(PolicyName {
        kind,
        namespace,
        name: name.into(),
    })
}

/// A map of texts.
fn texts(reader: &Reader<'_>, map: &At<'_>) -> Result<(), ParseError> {
    match map.node.value {
        Value::Map(_) => map
            .entries()
            .try_for_each(|(_, value)| reader.text(&value).map(drop)),
        _ => Err(reader.mismatch(map, "a map")),
    }
}

/// What can still be said about a document that was refused.
fn refused(
    file: &Arc<str>,
    lines: &Lines<'_>,
    node: &Node<'_>,
    index: usize,
    error: ParseError,
) -> Refused {
    let mut reader = Reader::new(Arc::clone(file), lines);
    let root = At::root(node);
    let location = reader.location(&root);
    let name = name(&reader, &root).ok();
    let subjects = subjects(&mut reader, &root).unwrap_or_default();
    Refused {
        index,
        name,
        subjects,
        location,
        error,
    }
}

/// The subjects of all specs, or nothing if one of them cannot be read.
fn subjects(reader: &mut Reader<'_>, root: &At<'_>) -> Result<Vec<Selector>, ParseError> {
    let mut found = Vec::new();
    if let Some(spec) = root.get("spec") {
        found.push(subject(reader, &spec)?);
    }
    found.extend(reader.each(root, "specs", subject)?);
    Ok(found)
}

fn subject(reader: &mut Reader<'_>, spec: &At<'_>) -> Result<Selector, ParseError> {
    match spec.get("endpointSelector") {
        Some(at) => selector::selector(reader, &at),
        None => Err(reader.invalid(spec, "`endpointSelector` is missing")),
    }
}
