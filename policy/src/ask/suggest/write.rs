//! Suggestions as documents.

use ipnet::IpNet;
use porin_identity::{key, source};

use super::chosen::{Chosen, ChosenCluster};
use super::policy::{SuggestedPeers, SuggestedPolicy, SuggestedRule};
use super::suggestion::Suggestion;
use crate::print::{Fields, Json};
use crate::{Direction, Protocol};

/// How many ports the policy API takes in one element.
const MOST_PORTS: usize = 40;

impl Suggestion {
    /// The policies as YAML, a document each, the remarks in front as comments.
    #[must_use]
    pub fn to_yaml(&self) -> String {
        let mut text = String::new();
        for remark in &self.remarks {
            let line: String = remark
                .to_string()
                .chars()
                .filter(|c| !c.is_control())
                .collect();
            text.push_str(&format!("# {line}\n"));
        }
        for policy in &self.policies {
            text.push_str("---\n");
            text.push_str(&document(policy).to_yaml());
        }
        text
    }

    /// The policies as one JSON text: a `List`.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut list = Fields::default();
        list.put("apiVersion", "v1");
        list.put("kind", "List");
        let items: Vec<Json> = self
            .policies
            .iter()
            .map(|policy| document(policy).into())
            .collect();
        list.put("items", items);
        Json::from(list).to_string()
    }
}

fn document(policy: &SuggestedPolicy) -> Fields {
    let mut metadata = Fields::default();
    metadata.put("name", policy.name.as_str());
    metadata.put("namespace", policy.subject.namespace.as_str());
    let mut spec = Fields::default();
    spec.put("endpointSelector", selector(&policy.subject, None));
    for direction in Direction::ALL {
        let rules = policy
            .rules
            .iter()
            .filter(|rule| rule.direction == direction);
        spec.filled(direction.name(), rules.map(|rule| element(rule, policy)));
    }
    let mut document = Fields::default();
    document.put("apiVersion", "cilium.io/v2");
    document.put("kind", "CiliumNetworkPolicy");
    document.put("metadata", metadata);
    document.put("spec", spec);
    document
}

/// `matchLabels`; `from` is the namespace that goes without saying, `None` that of the subject.
fn selector(chosen: &Chosen, from: Option<&str>) -> Fields {
    let mut labels = Fields::default();
    let mut put = |key: &str, value: &str| labels.put(&format!("{}:{key}", source::K8S), value);
    for (key, value) in &chosen.labels {
        put(key, value);
    }
    if from.is_some_and(|from| from != chosen.namespace) {
        put(key::NAMESPACE, &chosen.namespace);
    }
    if let ChosenCluster::Named(cluster) = &chosen.cluster {
        put(key::CLUSTER, cluster);
    }
    let mut selector = Fields::default();
    if !labels.is_empty() {
        selector.put("matchLabels", labels);
    }
    if chosen.cluster == ChosenCluster::Absent {
        let mut absent = Fields::default();
        absent.put("key", format!("{}:{}", source::K8S, key::CLUSTER));
        absent.put("operator", "DoesNotExist");
        selector.put("matchExpressions", vec![Json::from(absent)]);
    }
    selector
}

fn element(rule: &SuggestedRule, policy: &SuggestedPolicy) -> Fields {
    let prefix = match rule.direction {
        Direction::Ingress => "from",
        Direction::Egress => "to",
    };
    let (field, peers): (&str, Vec<Json>) = match &rule.peers {
        SuggestedPeers::Workloads(chosen) => {
            let own = policy.subject.namespace.as_str();
            let peers = chosen.iter().map(|one| selector(one, Some(own)).into());
            ("Endpoints", peers.collect())
        }
        SuggestedPeers::Entities(entities) => (
            "Entities",
            entities.iter().map(|one| one.to_string().into()).collect(),
        ),
        SuggestedPeers::Addresses(addresses) => {
            let blocks = addresses.iter().map(|address| IpNet::from(*address));
            (
                "CIDR",
                blocks.map(|block| block.to_string().into()).collect(),
            )
        }
    };
    let mut element = Fields::default();
    element.put(&format!("{prefix}{field}"), peers);
    let ports: Vec<_> = rule.ports.iter().copied().collect();
    let (numbered, types): (Vec<_>, Vec<_>) = ports.into_iter().partition(|(of, _)| of.has_ports());
    element.filled("toPorts", numbered.chunks(MOST_PORTS).map(to_ports));
    element.filled("icmps", types.chunks(MOST_PORTS).map(icmps));
    element
}

fn to_ports(ports: &[(Protocol, u16)]) -> Fields {
    let port = |(protocol, port): &(Protocol, u16)| {
        let mut fields = Fields::default();
        fields.put("port", port.to_string());
        fields.put("protocol", protocol.to_string());
        Json::from(fields)
    };
    let mut element = Fields::default();
    element.put("ports", ports.iter().map(port).collect::<Vec<_>>());
    element
}

fn icmps(types: &[(Protocol, u16)]) -> Fields {
    let kind = |(protocol, kind): &(Protocol, u16)| {
        let family = if *protocol == Protocol::ICMP {
            "IPv4"
        } else {
            "IPv6"
        };
        let mut fields = Fields::default();
        fields.put("family", family);
        fields.put("type", *kind);
        Json::from(fields)
    };
    let mut element = Fields::default();
    element.put("fields", types.iter().map(kind).collect::<Vec<_>>());
    element
}
