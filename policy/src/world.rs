//! World files: who exists, what listens where, and which ranges lie outside the cluster.
//!
//! Lint needs one to tell whom a selector was probably meant for; `check` and `matrix` need one
//! to speak of workloads by name.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use porin_identity::{Labels, ParseLabelError};

use crate::parse::{At, ParseError, Reader, parse_block};
use crate::protocol::Protocol;
use crate::rule::Location;
use crate::yaml::{Lines, Value, documents};

/// The workloads of a cluster and the ranges around it.
///
/// ```
/// let world = porin_policy::World::parse("world.yaml", "
/// workloads:
/// - name: web
///   namespace: shop
///   labels: {app: web}
///   ports: [{port: 443, protocol: TCP}]
///   addresses: [10.1.0.7]
/// outside:
/// - {name: internet, cidr: 203.0.113.0/24}
/// ")?;
/// assert_eq!(world.workload("web").map(|web| &*web.namespace), Some("shop"));
/// # Ok::<(), porin_policy::ParseError>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct World {
    /// What runs in the cluster, by unique names.
    pub workloads: Vec<Workload>,
    /// What lies around it, by unique names.
    pub outside: Vec<Outside>,
}

/// One workload.
#[derive(Debug, Clone)]
pub struct Workload {
    /// Its name in the file.
    pub name: Arc<str>,
    /// Its namespace (`default` if the file does not say).
    pub namespace: Arc<str>,
    /// Its service account.
    pub service_account: Option<Arc<str>>,
    /// The labels that its owner gave it.
    pub labels: Vec<(Box<str>, Box<str>)>,
    /// What it listens on.
    pub ports: Vec<WorkloadPort>,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// Where it stands in the file.
    pub location: Location,
}

impl Workload {
    /// The labels that make its identity in `cluster`.
    ///
    /// # Errors
    /// When the cluster's name is no label value. (The rest was checked when the file was read.)
    pub fn identity(&self, cluster: &str) -> Result<Labels, ParseLabelError> {
        let labels = self
            .labels
            .iter()
            .map(|(key, value)| (key.as_ref(), value.as_ref()));
        Labels::workload(
            &self.namespace,
            self.service_account.as_deref(),
            cluster,
            labels,
        )
    }
}

/// A port on which a workload listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct WorkloadPort {
    /// The port.
    pub port: u16,
    /// The protocol; TCP if the file does not say.
    pub protocol: Protocol,
}

/// A range outside of the cluster.
#[derive(Debug, Clone)]
pub struct Outside {
    /// Its name in the file.
    pub name: Arc<str>,
    /// The block.
    pub cidr: IpNet,
    /// Addresses inside the block that somebody really has.
    pub addresses: Vec<IpAddr>,
    /// Where it stands in the file.
    pub location: Location,
}

impl World {
    /// Reads a world file. `file` is only a name, for messages.
    ///
    /// # Errors
    /// What [`parse_documents`](crate::parse_documents) refuses about YAML; unknown fields; a name
    /// or an address that stands twice; labels that no workload may have; an address outside the
    /// block that it is listed under.
    pub fn parse(file: &str, text: &str) -> Result<Self, ParseError> {
        let lines = Lines::new(text);
        let mut reader = Reader::new(file.into(), &lines);
        let mut trees = documents(text).into_iter();
        let node = match trees.next() {
            Some(tree) => tree.map_err(|fault| reader.fault(fault))?,
            None => return Ok(Self::default()),
        };
        if let Some(Ok(second)) = trees.next() {
            let at = At::root(&second);
            return Err(reader.invalid(&at, "a world file holds one document; merge them"));
        }
        let root = At::root(&node);
        reader.fields(&root, &["workloads", "outside"])?;
        let world = Self {
            workloads: reader.each(&root, "workloads", workload)?,
            outside: reader.each(&root, "outside", outside)?,
        };
        unique(&reader, &root)?;
        Ok(world)
    }

    /// The workload of that name.
    pub fn workload(&self, name: &str) -> Option<&Workload> {
        self.workloads
            .iter()
            .find(|workload| &*workload.name == name)
    }

    /// The range of that name.
    pub fn range(&self, name: &str) -> Option<&Outside> {
        self.outside.iter().find(|outside| &*outside.name == name)
    }
}

fn name(reader: &Reader<'_>, at: &At<'_>) -> Result<Arc<str>, ParseError> {
    match reader.text_of(at, "name")? {
        Some(name) => Ok(name.into()),
        None => Err(reader.invalid(at, "`name` is missing; name it")),
    }
}

fn workload(reader: &mut Reader<'_>, at: &At<'_>) -> Result<Workload, ParseError> {
    reader.fields(
        at,
        &[
            "name",
            "namespace",
            "labels",
            "ports",
            "addresses",
            "serviceAccount",
        ],
    )?;
    let mut labels = Vec::new();
    if let Some(map) = at.get("labels") {
        if !matches!(map.node.value, Value::Map(_)) {
            return Err(reader.mismatch(&map, "a map"));
        }
        for (key, value) in map.entries() {
            labels.push((key.into(), reader.text(&value)?.into()));
        }
    }
    let workload = Workload {
        name: name(reader, at)?,
        namespace: reader.text_of(at, "namespace")?.unwrap_or("default").into(),
        service_account: reader.text_of(at, "serviceAccount")?.map(Into::into),
        labels,
        ports: reader.each(at, "ports", port)?,
        addresses: reader.each(at, "addresses", address)?,
        location: reader.location(at),
    };
    match workload.identity("default") {
        Ok(_) => Ok(workload),
        Err(error) => Err(reader.invalid(at, error.to_string())),
    }
}

fn port(reader: &mut Reader<'_>, at: &At<'_>) -> Result<WorkloadPort, ParseError> {
    reader.fields(at, &["port", "protocol"])?;
    let Some(value) = at.get("port") else {
        return Err(reader.invalid(at, "`port` is missing; write its number"));
    };
    let number = reader.integer(&value)?;
    let port = u16::try_from(number)
        .ok()
        .filter(|port| *port > 0)
        .ok_or_else(|| {
            reader.invalid(
                &value,
                format!("{number} is no port; use a number from 1 to 65535"),
            )
        })?;
    let protocol = match reader.text_of(at, "protocol")? {
        None => Protocol::TCP,
        Some(text) => text.parse().map_err(|_| {
            reader.invalid(
                at,
                format!("unknown protocol `{text}`; use TCP, UDP or SCTP"),
            )
        })?,
    };
    Ok(WorkloadPort { port, protocol })
}

fn address(reader: &mut Reader<'_>, at: &At<'_>) -> Result<IpAddr, ParseError> {
    let text = reader.text(at)?;
    text.parse().map_err(|_| {
        reader.invalid(
            at,
            format!("`{text}` is no address; write it like 10.0.0.1 or 2001:db8::1"),
        )
    })
}

fn outside(reader: &mut Reader<'_>, at: &At<'_>) -> Result<Outside, ParseError> {
    reader.fields(at, &["name", "cidr", "addresses"])?;
    let Some(value) = at.get("cidr") else {
        return Err(reader.invalid(at, "`cidr` is missing; write the block, like 10.0.0.0/24"));
    };
    let text = reader.text(&value)?;
    let Some(cidr) = parse_block(text) else {
        let reason =
            format!("`{text}` is no block; write it with a prefix length, like 10.0.0.0/24");
        return Err(reader.invalid(&value, reason));
    };
    let addresses = reader.each(at, "addresses", |reader, at| {
        let address = address(reader, at)?;
        match cidr.contains(&address) {
            true => Ok(address),
            false => Err(reader.invalid(
                at,
                format!("{address} does not lie in {cidr}; move it or widen the block"),
            )),
        }
    })?;
    Ok(Outside {
        name: name(reader, at)?,
        cidr: cidr.trunc(),
        addresses,
        location: reader.location(at),
    })
}

/// Names and addresses stand for one thing each.
fn unique(reader: &Reader<'_>, root: &At<'_>) -> Result<(), ParseError> {
    let mut names = std::collections::HashSet::new();
    let mut addresses = std::collections::HashSet::new();
    for list in ["workloads", "outside"] {
        let Some(list) = root.get(list) else { continue };
        for at in reader.items(&list)? {
            if let Some(name) = at.get("name")
                && !names.insert(reader.text(&name)?.to_owned())
            {
                return Err(reader.invalid(&name, "this name stands twice; rename one"));
            }
            let Some(list) = at.get("addresses") else {
                continue;
            };
            for at in reader.items(&list)? {
                if !addresses.insert(reader.text(&at)?.parse::<IpAddr>().ok()) {
                    return Err(reader.invalid(&at, "this address stands twice; remove one"));
                }
            }
        }
    }
    Ok(())
}
