//! The configuration file.
//!
//! `node.toml` beside this crate's sources is a complete one.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use porin::datapath::Aggregation;
use porin::identity::{Families, LabelFilter, Labels, Workload};
use porin::policy::{Enforcement, NamedPort, Options, Protocol, Semantics};
use serde::Deserialize;

use super::error::ConfigError;
use super::output::Format;

/// What a node is to enforce, with every path made absolute and every name checked.
#[derive(Debug)]
pub(crate) struct Config {
    /// The node's name in flows.
    pub(crate) node: String,
    /// The directory of policies.
    pub(crate) policies: PathBuf,
    /// The directory of pins.
    pub(crate) pins: PathBuf,
    /// Where flows go.
    pub(crate) flows: FlowsTo,
    /// How they are written.
    pub(crate) format: Format,
    /// How much is told of flows that go on.
    pub(crate) aggregation: Aggregation,
    /// How policies are understood.
    pub(crate) options: Options,
    /// The address families of the node.
    pub(crate) families: Families,
    /// Which labels make an identity.
    pub(crate) filter: LabelFilter,
    /// Addresses of the node itself.
    pub(crate) addresses: Vec<IpAddr>,
    /// The node itself, if it is to be judged.
    pub(crate) host: Option<HostConfig>,
    /// The endpoints.
    pub(crate) endpoints: Vec<EndpointConfig>,
}

/// How the node itself is judged.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct HostConfig {
    /// The devices that lead out of the node.
    pub(crate) interfaces: Vec<String>,
    /// The node's labels.
    #[serde(default)]
    pub(crate) labels: BTreeMap<String, String>,
    /// Seconds in which a change of its policy has to be confirmed.
    pub(crate) confirm: Option<NonZeroU32>,
}

/// Where flows go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum FlowsTo {
    /// Standard output.
    Stdout,
    /// Appended to a file.
    File(PathBuf),
    /// Nowhere.
    Nowhere,
}

/// One endpoint of the configuration.
#[derive(Debug, Clone)]
pub(crate) struct EndpointConfig {
    /// Its name.
    pub(crate) name: String,
    /// What it is.
    pub(crate) labels: Labels,
    /// Where it is attached.
    pub(crate) device: DeviceConfig,
    /// Its addresses.
    pub(crate) addresses: Vec<IpAddr>,
    /// The names of its ports.
    pub(crate) ports: Vec<NamedPort>,
}

/// How the configuration names a device.
#[derive(Debug, Clone)]
pub(crate) enum DeviceConfig {
    /// The device on the node's side.
    Interface(String),
    /// The endpoint's namespace and the device in it, whose other end is on the node's side.
    Namespace { path: PathBuf, device: String },
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct File {
    node: Option<String>,
    policies: PathBuf,
    #[serde(default = "default_pins")]
    pins: PathBuf,
    #[serde(default = "default_flows")]
    flows: String,
    #[serde(default)]
    format: Format,
    report_seconds: Option<NonZeroU32>,
    #[serde(default)]
    semantics: SemanticsName,
    #[serde(default)]
    enforcement: EnforcementName,
    #[serde(default)]
    families: FamiliesName,
    #[serde(default = "default_cluster")]
    cluster: String,
    label_filter: Option<String>,
    #[serde(default)]
    addresses: Vec<IpAddr>,
    host: Option<HostConfig>,
    #[serde(default, rename = "endpoint")]
    endpoints: Vec<EndpointTable>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct EndpointTable {
    name: String,
    namespace: String,
    service_account: Option<String>,
    interface: Option<String>,
    netns: Option<PathBuf>,
    #[serde(default = "default_device")]
    device: String,
    addresses: Vec<IpAddr>,
    #[serde(default)]
    ports: Vec<PortTable>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    namespace_labels: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PortTable {
    name: String,
    port: u16,
    protocol: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum SemanticsName {
    #[default]
    Strict,
    Cilium,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum EnforcementName {
    #[default]
    Default,
    Always,
    Never,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum FamiliesName {
    #[default]
    Dual,
    Ipv4,
    Ipv6,
}

fn default_pins() -> PathBuf {
    PathBuf::from("/run/porin/bpf")
}

fn default_flows() -> String {
    "-".to_owned()
}

fn default_cluster() -> String {
    "default".to_owned()
}

fn default_device() -> String {
    "eth0".to_owned()
}

impl Config {
    /// Reads and checks a configuration file. Paths in it are relative to its directory.
    pub(crate) fn read(path: &Path) -> Result<Self, ConfigError> {
        let file = path.to_owned();
        let text = fs::read_to_string(path).map_err(|source| ConfigError::Read { file, source })?;
        Self::parse(path, &text)
    }

    fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let file: File = toml::from_str(text).map_err(|error| ConfigError::Syntax {
            file: path.to_owned(),
            source: Box::new(error),
        })?;
        let base = path.parent().unwrap_or(Path::new("."));
        let field = |field: &'static str, reason: String| ConfigError::Field {
            file: path.to_owned(),
            field,
            reason,
        };
        let filter = match &file.label_filter {
            Some(text) => text
                .parse()
                .map_err(|error| field("label-filter", format!("{error}")))?,
            None => LabelFilter::default(),
        };
        let families = match file.families {
            FamiliesName::Dual => Families::Dual,
            FamiliesName::Ipv4 => Families::V4,
            FamiliesName::Ipv6 => Families::V6,
        };
        let options = options(&file, families);
        if file
            .host
            .as_ref()
            .is_some_and(|host| host.interfaces.is_empty())
        {
            let reason = "is empty; name the devices that lead out of the node";
            return Err(field("host.interfaces", reason.to_owned()));
        }
        let endpoints = endpoints(path, base, &file)?;
        Ok(Self {
            node: file.node.unwrap_or_else(host_name),
            policies: base.join(file.policies),
            pins: base.join(file.pins),
            flows: match file.flows.as_str() {
                "-" => FlowsTo::Stdout,
                "none" => FlowsTo::Nowhere,
                name => FlowsTo::File(base.join(name)),
            },
            format: file.format,
            aggregation: file.report_seconds.map_or(Aggregation::Flows, |seconds| {
                Aggregation::Interval(Duration::from_secs(seconds.get().into()))
            }),
            options,
            families,
            filter,
            addresses: file.addresses,
            host: file.host,
            endpoints,
        })
    }
}

fn options(file: &File, families: Families) -> Options {
    let semantics = match file.semantics {
        SemanticsName::Strict => Semantics::Strict,
        SemanticsName::Cilium => Semantics::Cilium,
    };
    let enforcement = match file.enforcement {
        EnforcementName::Default => Enforcement::Default,
        EnforcementName::Always => Enforcement::Always,
        EnforcementName::Never => Enforcement::Never,
    };
    Options::new()
        .semantics(semantics)
        .enforcement(enforcement)
        .families(families)
        .cluster_name(file.cluster.clone())
}

fn endpoints(path: &Path, base: &Path, file: &File) -> Result<Vec<EndpointConfig>, ConfigError> {
    let mut names = BTreeSet::new();
    let mut addresses = BTreeSet::new();
    let mut endpoints = Vec::new();
    for table in &file.endpoints {
        let refuse = |reason: String| ConfigError::Endpoint {
            file: path.to_owned(),
            endpoint: format!("{}/{}", table.namespace, table.name),
            reason,
        };
        if !names.insert((&table.namespace, &table.name)) {
            return Err(refuse("is there twice".to_owned()));
        }
        if let Some(address) = table
            .addresses
            .iter()
            .find(|address| !addresses.insert(**address))
        {
            return Err(refuse(format!(
                "address {address} belongs to another endpoint"
            )));
        }
        endpoints.push(endpoint(base, &file.cluster, table).map_err(refuse)?);
    }
    Ok(endpoints)
}

fn endpoint(base: &Path, cluster: &str, table: &EndpointTable) -> Result<EndpointConfig, String> {
    let device = match (&table.interface, &table.netns) {
        (Some(interface), None) => DeviceConfig::Interface(interface.clone()),
        (None, Some(netns)) => DeviceConfig::Namespace {
            path: base.join(netns),
            device: table.device.clone(),
        },
        _ => return Err("give either `interface` or `netns`".to_owned()),
    };
    let mut workload = Workload::new(&table.namespace)
        .cluster(cluster)
        .labels(&table.labels);
    for (key, value) in &table.namespace_labels {
        workload = workload.namespace_label(key, value);
    }
    if let Some(name) = &table.service_account {
        workload = workload.service_account(name);
    }
    let labels = workload.build().map_err(|error| error.to_string())?;
    Ok(EndpointConfig {
        name: table.name.clone(),
        labels,
        device,
        addresses: table.addresses.clone(),
        ports: table.ports.iter().map(port).collect::<Result<_, _>>()?,
    })
}

fn port(table: &PortTable) -> Result<NamedPort, String> {
    let protocol = match &table.protocol {
        None => Protocol::TCP,
        Some(text) => text
            .parse::<Protocol>()
            .map_err(|error| error.to_string())?,
    };
    if table.port == 0 || !protocol.has_ports() {
        return Err(format!(
            "port `{}`: {protocol} {} cannot be named; use a TCP, UDP or SCTP port from 1 to 65535",
            table.name, table.port
        ));
    }
    Ok(NamedPort::new(&table.name, protocol, table.port))
}

fn host_name() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    if name.is_empty() {
        "node".to_owned()
    } else {
        name.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
policies = "policies"
[[endpoint]]
name = "api-0"
namespace = "backend"
interface = "veth0"
addresses = ["10.0.1.5", "fd00::5"]
labels = { app = "api" }
"#;

    fn parse(text: &str) -> Result<Config, ConfigError> {
        Config::parse(Path::new("/etc/porin/node.toml"), text)
    }

    #[test]
    fn paths_are_relative_to_the_file() {
        let config = parse(GOOD).unwrap();
        assert_eq!(config.policies, Path::new("/etc/porin/policies"));
        assert_eq!(config.pins, Path::new("/run/porin/bpf"));
        assert_eq!(config.flows, FlowsTo::Stdout);
        assert_eq!(config.endpoints[0].labels.namespace(), Some("backend"));
    }

    #[test]
    fn the_sample_is_good() {
        let config = parse(include_str!("../../node.toml")).unwrap();
        assert_eq!(config.endpoints.len(), 2);
        let host = config.host.unwrap();
        assert_eq!(host.confirm.map(NonZeroU32::get), Some(60));
    }

    #[test]
    fn what_is_unknown_doubled_or_forged_is_refused() {
        let twice = format!("{GOOD}{}", GOOD.replace("policies = \"policies\"", ""));
        let wrong = [
            (GOOD.replace("policies =", "policy ="), "policy"),
            (twice, "is there twice"),
            (
                GOOD.replace("interface = \"veth0\"", ""),
                "either `interface` or `netns`",
            ),
            (
                GOOD.replace("app = \"api\"", "\"io.kubernetes.pod.namespace\" = \"x\""),
                "orchestrator",
            ),
            (GOOD.replace("10.0.1.5", "10.0.1"), "10.0.1"),
            (format!("{GOOD}[host]\ninterfaces = []"), "host.interfaces"),
            (
                format!("{GOOD}[host]\ninterfaces = [\"eth0\"]\nconfirm = 0"),
                "nonzero",
            ),
        ];
        for (text, reason) in wrong {
            let error = parse(&text).unwrap_err();
            let told = super::super::error::with_causes(&error);
            assert!(
                told.contains(reason),
                "`{told}` does not speak of `{reason}`"
            );
        }
    }
}
