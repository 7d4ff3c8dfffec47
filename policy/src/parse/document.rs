//! One file of policy documents.

use std::sync::Arc;

use porin_identity::Selector;

use super::at::{At, Reader};
use super::error::{ParseError, ParseErrorKind};
use super::{cilium, kubernetes, meta};
use crate::peers::{Peer, Peers};
use crate::port_rule::{Port, PortProtocol, PortRule, PortSpec, TlsRules};
use crate::rule::{
    Document, Guards, Location, Objection, Objector, PolicyKind, PolicyName, Rule, Source, Spec,
};
use crate::service::CidrGroup;
use crate::staged::Staging;
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
    let kind = kind(reader, &root)?;
    let name = meta::name(reader, &root, kind)?;
    let specs = match kind.is_kubernetes() {
        false => cilium::specs(reader, &root, kind)?,
        true => kubernetes::specs(reader, &root, kind)?,
    };
    let late = match kind.is_kubernetes() {
        true => specs.first().map(|spec| (&spec.location, kind.name())),
        false => unenforced(&specs),
    };
    if let Some((location, field)) = late {
        let field = field.to_owned();
        let kind = ParseErrorKind::NotYet { field };
        let error = ParseError::new(location.clone(), String::new(), kind);
        let of = Objector::Engine;
        reader.objections.push(Objection { of, error });
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

/// The first construct that the engine does not enforce yet.
fn unenforced(specs: &[Spec]) -> Option<(&Location, &'static str)> {
    let rule = |rule: &'_ Rule| {
        let peer = |peer: &Peer| match peer {
            Peer::Endpoints(_) | Peer::Entity(_) => None,
            Peer::Cidr(cidr) => cidr.block().is_none().then_some("cidrGroupRef"),
            Peer::Nodes(_) => Some("nodes"),
            Peer::Fqdn(_) => Some("toFQDNs"),
            Peer::Service(_) => Some("toServices"),
            Peer::Group(_) => Some("groups"),
            Peer::Pods(_) | Peer::Unknown => Some("pods"),
        };
        let port = |port: &PortSpec| match (&port.port, port.protocol) {
            (Port::Name(_), _) => Some("port name"),
            (_, PortProtocol::Icmp | PortProtocol::Icmp6) => Some("icmps"),
            (_, PortProtocol::Portless(_)) => Some("protocol without ports"),
            _ => None,
        };
        let element = |element: &PortRule| {
            let names = (!element.server_names.is_empty()).then_some("serverNames");
            let tls = (element.tls != TlsRules::default()).then_some("terminatingTLS");
            let listener = element.listener.as_ref().map(|_| "listener");
            let mut ports = element.ports.iter();
            names.or(tls).or(listener).or_else(|| ports.find_map(port))
        };
        let peers = match &rule.peers {
            Peers::Listed(listed) => listed.iter().find_map(peer),
            Peers::Unnamed => Some("toFQDNs"),
            Peers::Unspecified => None,
        };
        let mut ports = rule.ports.iter().flatten();
        let auth = rule.auth.map(|_| "authentication");
        peers.or_else(|| ports.find_map(element)).or(auth)
    };
    specs.iter().find_map(|spec| {
        let nodes = (spec.guards == Guards::Nodes).then_some((&spec.location, "nodeSelector"));
        let mut rules = spec.rules.iter();
        nodes.or_else(|| rules.find_map(|one| Some((&one.location, rule(one)?))))
    })
}

/// Which language the document is written in.
fn kind(reader: &Reader<'_>, root: &At<'_>) -> Result<PolicyKind, ParseError> {
    let api_version = reader.text_of(root, "apiVersion")?.unwrap_or_default();
    let kind = reader.text_of(root, "kind")?.unwrap_or_default();
    Ok(match (api_version, kind) {
        ("cilium.io/v2", "CiliumNetworkPolicy") => PolicyKind::CiliumNetworkPolicy,
        ("cilium.io/v2", "CiliumClusterwideNetworkPolicy") => {
            PolicyKind::CiliumClusterwideNetworkPolicy
        }
        ("networking.k8s.io/v1", "NetworkPolicy") => PolicyKind::NetworkPolicy,
        ("policy.networking.k8s.io/v1alpha1", "AdminNetworkPolicy") => {
            PolicyKind::AdminNetworkPolicy
        }
        ("policy.networking.k8s.io/v1alpha1", "BaselineAdminNetworkPolicy") => {
            PolicyKind::BaselineAdminNetworkPolicy
        }
        ("policy.networking.k8s.io/v1alpha2", "ClusterNetworkPolicy") => {
            PolicyKind::ClusterNetworkPolicy
        }
        _ => {
            let at = root.get("kind").unwrap_or(*root);
            let (api_version, kind) = (api_version.to_owned(), kind.to_owned());
            return Err(reader.error(&at, ParseErrorKind::Kind { api_version, kind }));
        }
    })
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
    let kind = kind(&reader, &root).ok();
    let name = kind.and_then(|kind| meta::name(&reader, &root, kind).ok());
    let subjects = match kind {
        Some(kind) if kind.is_kubernetes() => kubernetes::subjects(&mut reader, &root, kind),
        _ => cilium::subjects(&mut reader, &root),
    };
    Refused {
        index,
        name,
        subjects: subjects.unwrap_or_default(),
        location,
        error,
    }
}
