//! Reading world files.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use super::entry::{NodeEntry, Outside, Workload, WorkloadPort, World};
use crate::parse::{At, ParseError, Reader, parse_block};
use crate::protocol::Protocol;
use crate::service::{Backends, Service};
use crate::yaml::{Lines, Value, documents};

type Pairs = Vec<(Box<str>, Box<str>)>;
type Namespaces = HashMap<Arc<str>, Arc<[(Box<str>, Box<str>)]>>;

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
        let mut trees = documents(text);
        let node = match trees.next() {
            Some(tree) => tree.map_err(|fault| reader.fault(fault))?,
            None => return Ok(Self::default()),
        };
        if let Some(Ok(second)) = trees.next() {
            let at = At::root(&second);
            return Err(reader.invalid(&at, "a world file holds one document; merge them"));
        }
        let root = At::root(&node);
        let lists = ["workloads", "namespaces", "nodes", "services", "outside"];
        reader.fields(&root, &lists)?;
        let namespaces = namespaces(&mut reader, &root)?;
        let world = Self {
            workloads: reader.each(&root, "workloads", |reader, at| {
                workload(reader, at, &namespaces)
            })?,
            nodes: reader.each(&root, "nodes", node_entry)?,
            services: reader.each(&root, "services", service)?,
            outside: reader.each(&root, "outside", outside)?,
        };
        unique(&reader, &root)?;
        Ok(world)
    }
}

fn name(reader: &Reader<'_>, at: &At<'_>) -> Result<Arc<str>, ParseError> {
    match reader.text_of(at, "name")? {
        Some(name) => Ok(name.into()),
        None => Err(reader.invalid(at, "`name` is missing; name it")),
    }
}

fn pairs(reader: &Reader<'_>, at: &At<'_>, field: &str) -> Result<Pairs, ParseError> {
    let Some(map) = at.get(field) else {
        return Ok(Vec::new());
    };
    if !matches!(map.node.value, Value::Map(_)) {
        return Err(reader.mismatch(&map, "a map"));
    }
    map.entries()
        .map(|(key, value)| Ok((key.into(), reader.text(&value)?.into())))
        .collect()
}

/// The labels of the namespaces that the file describes.
fn namespaces(reader: &mut Reader<'_>, root: &At<'_>) -> Result<Namespaces, ParseError> {
    let mut found = Namespaces::new();
    reader.each(root, "namespaces", |reader, at| {
        reader.fields(at, &["name", "labels"])?;
        let labels = pairs(reader, at, "labels")?.into();
        match found.insert(name(reader, at)?, labels) {
            None => Ok(()),
            Some(_) => Err(reader.invalid(at, "this namespace stands twice; merge the two")),
        }
    })?;
    Ok(found)
}

fn workload(
    reader: &mut Reader<'_>,
    at: &At<'_>,
    namespaces: &Namespaces,
) -> Result<Workload, ParseError> {
    reader.fields(
        at,
        &[
            "name",
            "namespace",
            "cluster",
            "labels",
            "ports",
            "addresses",
            "serviceAccount",
        ],
    )?;
    let namespace: Arc<str> = reader.text_of(at, "namespace")?.unwrap_or("default").into();
    let workload = Workload {
        name: name(reader, at)?,
        namespace_labels: namespaces.get(&namespace).cloned().unwrap_or_default(),
        namespace,
        cluster: reader.text_of(at, "cluster")?.map(Into::into),
        service_account: reader.text_of(at, "serviceAccount")?.map(Into::into),
        labels: pairs(reader, at, "labels")?,
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
    reader.fields(at, &["port", "protocol", "name"])?;
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
    Ok(WorkloadPort {
        port,
        protocol,
        name: reader.text_of(at, "name")?.map(Into::into),
    })
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

fn node_entry(reader: &mut Reader<'_>, at: &At<'_>) -> Result<NodeEntry, ParseError> {
    reader.fields(at, &["name", "labels", "addresses"])?;
    Ok(NodeEntry {
        name: name(reader, at)?,
        labels: pairs(reader, at, "labels")?,
        addresses: reader.each(at, "addresses", address)?,
        location: reader.location(at),
    })
}

fn service(reader: &mut Reader<'_>, at: &At<'_>) -> Result<Service, ParseError> {
    reader.fields(
        at,
        &["name", "namespace", "labels", "selector", "addresses"],
    )?;
    let map = |pairs: Pairs| pairs.into_iter().collect::<BTreeMap<_, _>>();
    let backends = match (at.get("selector"), at.get("addresses")) {
        (Some(_), None) => Backends::Pods(map(pairs(reader, at, "selector")?)),
        (None, Some(_)) => Backends::Addresses(reader.each(at, "addresses", address)?),
        _ => {
            let reason = "a service has either a `selector` or `addresses`; write one of them";
            return Err(reader.invalid(at, reason));
        }
    };
    Ok(Service {
        name: name(reader, at)?.as_ref().into(),
        namespace: reader.text_of(at, "namespace")?.unwrap_or("default").into(),
        labels: map(pairs(reader, at, "labels")?),
        backends,
    })
}

fn outside(reader: &mut Reader<'_>, at: &At<'_>) -> Result<Outside, ParseError> {
    reader.fields(at, &["name", "cidr", "addresses", "names"])?;
    let Some(value) = at.get("cidr") else {
        return Err(reader.invalid(at, "`cidr` is missing; write the block, like 10.0.0.0/24"));
    };
    let text = reader.text(&value)?;
    let Some(cidr) = parse_block(text) else {
        let reason =
            format!("`{text}` is no block; write it with a prefix length, like 10.0.0.0/24");
        return Err(reader.invalid(&value, reason));
    };
    Ok(Outside {
        name: name(reader, at)?,
        cidr: cidr.trunc(),
        addresses: reader.each(at, "addresses", |reader, at| inside(reader, at, cidr))?,
        names: reader.each(at, "names", |reader, at| Ok(reader.text(at)?.into()))?,
        location: reader.location(at),
    })
}

fn inside(reader: &mut Reader<'_>, at: &At<'_>, cidr: IpNet) -> Result<IpAddr, ParseError> {
    let address = address(reader, at)?;
    match cidr.contains(&address) {
        true => Ok(address),
        false => Err(reader.invalid(
            at,
            format!("{address} does not lie in {cidr}; move it or widen the block"),
        )),
    }
}

/// Names and addresses stand for one thing each.
fn unique(reader: &Reader<'_>, root: &At<'_>) -> Result<(), ParseError> {
    let (mut names, mut addresses) = (HashSet::new(), HashSet::new());
    for list in ["workloads", "nodes", "outside"] {
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
