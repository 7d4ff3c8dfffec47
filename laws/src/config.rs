//! The settings of a world, as its JSON has them.

use porin_identity::Families;
use porin_policy::{
    AllowLocalhost, CidrMatch, Enforcement, IpBlocks, NetworkPolicyReading, Options,
    RefusedDocuments, Semantics,
};
use serde::Deserialize;

/// The settings that answers depend on. What the older format lacks is as Cilium has it.
#[derive(Debug, Deserialize)]
pub(crate) struct Config {
    #[serde(default)]
    semantics: Reading,
    enforcement: Enforced,
    allow_localhost: Localhost,
    dual_stack: bool,
    host_firewall: bool,
    cluster_name: String,
    default_local_cluster: bool,
    node_selector_labels: bool,
    non_default_deny: bool,
    #[serde(default)]
    network_policies: NetworkPolicies,
    #[serde(default)]
    ip_blocks: Blocks,
    #[serde(default)]
    cidr_match: Reach,
    #[serde(default)]
    portless_protocols: bool,
    #[serde(default)]
    refused: Refused,
    #[serde(default)]
    staged_namespaces: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Reading {
    #[default]
    Cilium,
    Strict,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Enforced {
    Default,
    Always,
    Never,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Localhost {
    Always,
    Policy,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum NetworkPolicies {
    #[default]
    Cilium,
    Kubernetes,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Blocks {
    #[default]
    SkipPods,
    MatchPods,
}

#[derive(Debug, Default, Deserialize)]
struct Reach {
    nodes: bool,
    pods: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Refused {
    #[default]
    Skip,
    Deny,
}

impl Config {
    pub(crate) fn families(&self) -> Families {
        match self.dual_stack {
            true => Families::Dual,
            false => Families::V4,
        }
    }

    pub(crate) fn options(&self) -> Options {
        let reach = CidrMatch {
            nodes: self.cidr_match.nodes,
            pods: self.cidr_match.pods,
        };
        Options::new()
            .semantics(match self.semantics {
                Reading::Cilium => Semantics::Cilium,
                Reading::Strict => Semantics::Strict,
            })
            .enforcement(match self.enforcement {
                Enforced::Default => Enforcement::Default,
                Enforced::Always => Enforcement::Always,
                Enforced::Never => Enforcement::Never,
            })
            .allow_localhost(match self.allow_localhost {
                Localhost::Always => AllowLocalhost::Always,
                Localhost::Policy => AllowLocalhost::Policy,
            })
            .families(self.families())
            .host_firewall(self.host_firewall)
            .cluster_name(self.cluster_name.clone())
            .default_local_cluster(self.default_local_cluster)
            .node_labels(self.node_selector_labels)
            .non_default_deny(self.non_default_deny)
            .network_policies(match self.network_policies {
                NetworkPolicies::Cilium => NetworkPolicyReading::Cilium,
                NetworkPolicies::Kubernetes => NetworkPolicyReading::Kubernetes,
            })
            .ip_blocks(match self.ip_blocks {
                Blocks::SkipPods => IpBlocks::SkipPods,
                Blocks::MatchPods => IpBlocks::MatchPods,
            })
            .cidr_match(reach)
            .portless_protocols(self.portless_protocols)
            .refused(match self.refused {
                Refused::Skip => RefusedDocuments::Skip,
                Refused::Deny => RefusedDocuments::Deny,
            })
            .staged_namespaces(self.staged_namespaces.iter().cloned())
    }
}
