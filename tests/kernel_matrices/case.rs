//! Recorded truth tables: a cluster, and who reaches whom in it, step by step.

use std::collections::BTreeMap;
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use porin::identity::{Label, Labels, key, source};
use porin::policy::{NamedPort, Protocol};
use porin_testbed::suite::Failed;
use serde::Deserialize;
use serde_json::Value;

#[derive(Debug, Deserialize)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) cluster: Cluster,
    pub(crate) steps: Vec<Step>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Step {
    /// Replaces the cluster before, if it is there.
    pub(crate) cluster: Option<Cluster>,
    /// Every policy in force.
    pub(crate) policies: Vec<Value>,
    pub(crate) expect: Expect,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Cluster {
    namespaces: Vec<Namespace>,
    pub(crate) pods: Vec<Pod>,
    #[serde(default)]
    nodes: Vec<Value>,
    pub(crate) externals: Vec<External>,
}

#[derive(Debug, Deserialize)]
struct Namespace {
    name: String,
    labels: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Pod {
    namespace: String,
    name: String,
    labels: BTreeMap<String, String>,
    pub(crate) ip: IpAddr,
    ports: Vec<Port>,
}

#[derive(Debug, Deserialize)]
struct Port {
    name: String,
    port: u16,
    protocol: String,
}

/// Somebody outside of the cluster.
#[derive(Debug, Deserialize)]
pub(crate) struct External {
    name: String,
    pub(crate) ip: IpAddr,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Expect {
    /// Who stands in which row and column.
    pub(crate) endpoints: Vec<String>,
    /// A table for each list of probes.
    matrix: BTreeMap<String, String>,
}

/// What a table says of one way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Cell {
    Reaches,
    DeniedByEgress,
    DeniedByIngress,
}

/// One port of one transport protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Probe {
    pub(crate) protocol: Protocol,
    pub(crate) port: u16,
}

impl Case {
    /// Nodes need a machine each, and here there is one.
    pub(crate) fn fits_here(&self) -> bool {
        let clusters = self.steps.iter().filter_map(|step| step.cluster.as_ref());
        std::iter::once(&self.cluster)
            .chain(clusters)
            .all(|cluster| cluster.nodes.is_empty())
    }
}

impl Pod {
    pub(crate) fn name(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    pub(crate) fn ports(&self) -> Result<Vec<NamedPort>, Failed> {
        let port = |port: &Port| {
            let protocol = port.protocol.parse()?;
            Ok(NamedPort::new(&port.name, protocol, port.port))
        };
        self.ports.iter().map(port).collect()
    }
}

impl External {
    pub(crate) fn name(&self) -> String {
        format!("ext:{}", self.name)
    }
}

impl Cluster {
    /// The pod's own labels, those of its namespace, and its place.
    pub(crate) fn labels(&self, pod: &Pod) -> Result<Labels, Failed> {
        let mut labels = vec![
            Label::new(source::K8S, key::NAMESPACE, &pod.namespace)?,
            Label::new(source::K8S, key::CLUSTER, "default")?,
        ];
        for (name, value) in &pod.labels {
            labels.push(Label::new(source::K8S, name, value)?);
        }
        let own = |namespace: &&Namespace| namespace.name == pod.namespace;
        for (name, value) in self
            .namespaces
            .iter()
            .filter(own)
            .flat_map(|own| &own.labels)
        {
            let name = format!("{}{name}", key::NAMESPACE_LABELS_PREFIX);
            labels.push(Label::new(source::K8S, &name, value)?);
        }
        Ok(labels.into_iter().collect())
    }
}

impl Expect {
    pub(crate) fn probes(&self) -> Result<Vec<Probe>, Failed> {
        Ok(self.tables()?.into_keys().collect())
    }

    /// What is said of each way, for each probe, by places in the table; nothing of the ways on which
    /// nobody is governed, and of those of an endpoint to itself.
    pub(crate) fn cells(&self) -> Result<BTreeMap<(usize, usize, Probe), Cell>, Failed> {
        let mut cells = BTreeMap::new();
        for (probe, text) in self.tables()? {
            for (from, row) in text.split(' ').enumerate() {
                for (to, cell) in row.bytes().enumerate() {
                    let cell = match cell {
                        b'.' => Cell::Reaches,
                        // Of both, the source's policy is asked first.
                        b'e' | b'b' => Cell::DeniedByEgress,
                        b'i' => Cell::DeniedByIngress,
                        _ => continue,
                    };
                    if from != to {
                        cells.insert((from, to, probe), cell);
                    }
                }
            }
        }
        Ok(cells)
    }

    fn tables(&self) -> Result<BTreeMap<Probe, &str>, Failed> {
        let mut tables = BTreeMap::new();
        for (probes, text) in &self.matrix {
            for probe in probes.split(',') {
                let (protocol, port) = probe.split_once('/').ok_or("no protocol")?;
                let (protocol, port) = (protocol.parse()?, port.parse()?);
                tables.insert(Probe { protocol, port }, text.as_str());
            }
        }
        Ok(tables)
    }
}

/// The folder of the larger collection, where there is one, else the project's own.
fn folder() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let larger = match std::env::var_os("PORIN_VECTORS") {
        Some(named) => PathBuf::from(named),
        None => here.join("../shared/vectors"),
    };
    match larger.is_dir() {
        true => larger,
        false => here.join("vectors"),
    }
}

/// So many cases, from all parts of all files of NetworkPolicy alike.
pub(crate) fn some(count: usize) -> Result<Vec<Case>, Failed> {
    let mut lines = Vec::new();
    let folder = folder();
    for name in ["knp-recipes", "knp-cyclonus", "knp-generated"] {
        let path = folder.join(format!("{name}.jsonl"));
        if path.exists() {
            lines.extend(fs::read_to_string(path)?.lines().map(str::to_owned));
        }
    }
    eprintln!("matrices: {} cases in {}", lines.len(), folder.display());
    let step = (lines.len() / count.max(1)).max(1);
    let chosen = lines.iter().step_by(step).take(count);
    let cases: Result<Vec<Case>, _> = chosen.map(|line| serde_json::from_str(line)).collect();
    let (cases, apart): (Vec<_>, Vec<_>) = cases?.into_iter().partition(Case::fits_here);
    if !apart.is_empty() {
        eprintln!(
            "matrices: {} of them have nodes and are left out",
            apart.len()
        );
    }
    Ok(cases)
}
