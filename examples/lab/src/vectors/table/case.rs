//! The format of a truth table.

use std::collections::BTreeMap;
use std::net::IpAddr;

use porin::policy::{NamedPort, Protocol};
use serde::Deserialize;
use serde_json::Value;

use crate::vectors::Fault;

/// A cluster and what happens to it.
#[derive(Debug, Deserialize)]
pub(super) struct Case {
    #[serde(default)]
    pub(super) tags: Vec<String>,
    pub(super) cluster: Cluster,
    pub(super) steps: Vec<Step>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Step {
    /// Replaces the cluster before, if it is there.
    pub(super) cluster: Option<Cluster>,
    /// Every policy in force.
    pub(super) policies: Vec<Value>,
    pub(super) expect: Expect,
}

#[derive(Debug, Deserialize)]
pub(super) struct Cluster {
    pub(super) namespaces: Vec<Namespace>,
    pub(super) pods: Vec<Pod>,
    #[serde(default)]
    pub(super) nodes: Vec<Node>,
    pub(super) externals: Vec<External>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Namespace {
    pub(super) name: String,
    pub(super) labels: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Pod {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) ip: IpAddr,
    ports: Vec<Port>,
    /// Such a pod is a process of its node, with the node's address.
    #[serde(default)]
    pub(super) host_network: bool,
}

#[derive(Debug, Deserialize)]
struct Port {
    name: String,
    port: u16,
    protocol: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Node {
    pub(super) name: String,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) ips: Vec<IpAddr>,
}

/// Somebody outside of the cluster.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct External {
    pub(super) name: String,
    pub(super) ip: IpAddr,
    #[serde(default)]
    pub(super) dns_names: Vec<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Expect {
    /// Who stands in which row and column.
    pub(super) endpoints: Vec<String>,
    /// A table for each list of probes.
    matrix: BTreeMap<String, String>,
    /// Tables that replace those above for engines of another reading.
    #[serde(default)]
    pub(super) alt: BTreeMap<String, BTreeMap<String, String>>,
}

/// Who reaches whom on one port.
#[derive(Debug)]
pub(super) struct Table<'a> {
    pub(super) protocol: Protocol,
    pub(super) port: u16,
    /// Rows are sources, columns destinations.
    rows: Vec<&'a [u8]>,
}

impl Pod {
    pub(super) fn ports(&self) -> Result<Vec<NamedPort>, Fault> {
        let port = |port: &Port| {
            let protocol = port.protocol.parse().map_err(Fault::of)?;
            Ok(NamedPort::new(&port.name, protocol, port.port))
        };
        self.ports.iter().map(port).collect()
    }
}

impl Expect {
    /// The tables of a reading; those that it does not replace stay.
    pub(super) fn tables(&self, reading: Option<&str>) -> Result<Vec<Table<'_>>, Fault> {
        let other = reading.and_then(|name| self.alt.get(name));
        let mut found = BTreeMap::new();
        for (probes, text) in self.matrix.iter().chain(other.into_iter().flatten()) {
            for probe in probes.split(',') {
                found.insert(probe, text.as_str());
            }
        }
        found
            .into_iter()
            .map(|(probe, text)| self.table(probe, text))
            .collect()
    }

    fn table<'a>(&self, probe: &str, text: &'a str) -> Result<Table<'a>, Fault> {
        let (protocol, port) = probe.split_once('/').ok_or_else(|| Fault::of(probe))?;
        let rows: Vec<_> = text.split(' ').map(str::as_bytes).collect();
        let size = self.endpoints.len();
        if rows.len() != size || rows.iter().any(|row| row.len() != size) {
            return Err(Fault::of(format!(
                "the table of {probe} is not {size} by {size}"
            )));
        }
        Ok(Table {
            protocol: protocol.parse().map_err(Fault::of)?,
            port: port.parse().map_err(Fault::of)?,
            rows,
        })
    }
}

impl Table<'_> {
    /// Whether the source's egress allows it, and the destination's ingress; `None` if nobody says.
    pub(super) fn allowed(&self, from: usize, to: usize) -> Option<(bool, bool)> {
        match self.rows.get(from)?.get(to)? {
            b'.' => Some((true, true)),
            b'e' => Some((false, true)),
            b'i' => Some((true, false)),
            b'b' => Some((false, false)),
            _ => None,
        }
    }
}
