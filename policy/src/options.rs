use std::collections::BTreeSet;

use porin_identity::Families;

use crate::rule::{Objector, PolicyKind};

/// Whose reading of a policy is enforced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Semantics {
    /// The answers of Cilium 1.20.1, quirks included.
    Cilium,
    /// Differs from [`Semantics::Cilium`] only where that is wider than the author's text, and
    /// always towards less access or towards the written meaning.
    #[default]
    Strict,
}

/// When policy is enforced on a subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Enforcement {
    /// In the directions for which a rule selects the subject.
    #[default]
    Default,
    /// Always, whether a rule selects the subject or not.
    Always,
    /// Never.
    Never,
}

/// Whether the local host reaches its own endpoints without a rule that says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum AllowLocalhost {
    /// It does: health checks of the node reach their workloads.
    #[default]
    Always,
    /// Only if a policy allows it.
    Policy,
}

/// What becomes of a document that cannot be enforced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RefusedDocuments {
    /// The whole load fails and what was in force stays. The default under [`Semantics::Strict`].
    Error,
    /// The document is left out and reported. The default under [`Semantics::Cilium`].
    Skip,
    /// The document is left out and reported, and its namespace (the whole cluster, if it is
    /// clusterwide or its namespace cannot be read) is closed until it is mended. For a CIDR group:
    /// whom the policies guard that name it, or name groups by labels.
    Deny,
}

/// How NetworkPolicy documents are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum NetworkPolicyReading {
    /// As the Kubernetes API defines them: `policyTypes` decides which directions count, and selectors
    /// pick pods and nothing else.
    #[default]
    Kubernetes,
    /// As Cilium translates them: rules count in a direction whatever `policyTypes` says, negative
    /// namespace selectors pick whatever lacks the label, pod or not, and blocks cover what those
    /// of the Cilium kinds do ([`Options::cidr_match`]).
    Cilium,
}

/// Whether `ipBlock` of a NetworkPolicy covers the addresses of pods. It always covers those of
/// nodes. Under [`NetworkPolicyReading::Cilium`] neither, but what [`Options::cidr_match`] says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum IpBlocks {
    /// It does: a block is what it says. Identities whose members the block tells apart have to be
    /// split by address.
    #[default]
    MatchPods,
    /// It does not: a pod is known by its labels alone.
    SkipPods,
}

/// What `fromCIDR`, `toCIDR`, `fromCIDRSet` and `toCIDRSet` cover besides the world
/// (`policy-cidr-match-mode`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct CidrMatch {
    /// Nodes of the cluster by their addresses.
    pub nodes: bool,
    /// Pods by their addresses.
    pub pods: bool,
}

/// The settings that policy answers depend on.
///
/// ```
/// use porin_policy::{Options, Semantics};
/// let options = Options::new().semantics(Semantics::Cilium).cluster_name("west");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Options {
    pub(crate) semantics: Semantics,
    pub(crate) enforcement: Enforcement,
    pub(crate) allow_localhost: AllowLocalhost,
    pub(crate) families: Families,
    pub(crate) host_firewall: bool,
    pub(crate) cluster_name: String,
    pub(crate) default_local_cluster: bool,
    pub(crate) non_default_deny: bool,
    pub(crate) refused: Option<RefusedDocuments>,
    pub(crate) node_labels: bool,
    pub(crate) portless_protocols: bool,
    pub(crate) cidr_match: CidrMatch,
    pub(crate) network_policies: NetworkPolicyReading,
    pub(crate) ip_blocks: IpBlocks,
    pub(crate) staged_namespaces: BTreeSet<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            semantics: Semantics::default(),
            enforcement: Enforcement::default(),
            allow_localhost: AllowLocalhost::default(),
            families: Families::default(),
            host_firewall: false,
            cluster_name: "default".to_owned(),
            default_local_cluster: true,
            non_default_deny: true,
            refused: None,
            node_labels: true,
            portless_protocols: false,
            cidr_match: CidrMatch::default(),
            network_policies: NetworkPolicyReading::default(),
            ip_blocks: IpBlocks::default(),
            staged_namespaces: BTreeSet::new(),
        }
    }
}

impl Options {
    /// Strict semantics, default enforcement, local host allowed, both IP families, no host
    /// firewall, cluster `default`, Kubernetes kinds as Kubernetes reads them, nothing staged.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Chooses whose reading is enforced.
    #[must_use]
    pub fn semantics(self, semantics: Semantics) -> Self {
        Self { semantics, ..self }
    }

    /// Chooses when policy is enforced.
    #[must_use]
    pub fn enforcement(self, enforcement: Enforcement) -> Self {
        Self {
            enforcement,
            ..self
        }
    }

    /// Chooses whether the local host needs a rule.
    #[must_use]
    pub fn allow_localhost(self, allow_localhost: AllowLocalhost) -> Self {
        Self {
            allow_localhost,
            ..self
        }
    }

    /// Names the IP families in use.
    #[must_use]
    pub fn families(self, families: Families) -> Self {
        Self { families, ..self }
    }

    /// Enforces policy on the host itself.
    #[must_use]
    pub fn host_firewall(self, host_firewall: bool) -> Self {
        Self {
            host_firewall,
            ..self
        }
    }

    /// Names the own cluster, as the label `k8s:io.cilium.k8s.policy.cluster` does.
    #[must_use]
    pub fn cluster_name(self, name: impl Into<String>) -> Self {
        Self {
            cluster_name: name.into(),
            ..self
        }
    }

    /// Whether a peer selector that names no cluster means the own one (it does by default).
    #[must_use]
    pub fn default_local_cluster(self, own: bool) -> Self {
        Self {
            default_local_cluster: own,
            ..self
        }
    }

    /// Whether `enableDefaultDeny` is heeded (it is by default).
    #[must_use]
    pub fn non_default_deny(self, heeded: bool) -> Self {
        Self {
            non_default_deny: heeded,
            ..self
        }
    }

    /// Chooses what becomes of refused documents, whatever the semantics.
    #[must_use]
    pub fn refused(self, refused: RefusedDocuments) -> Self {
        Self {
            refused: Some(refused),
            ..self
        }
    }

    /// Whether the labels of nodes are known, so that `fromNodes` and `toNodes` can be enforced
    /// (they are by default; a document that uses them is refused otherwise).
    #[must_use]
    pub fn node_labels(self, known: bool) -> Self {
        Self {
            node_labels: known,
            ..self
        }
    }

    /// Whether rules may name protocols without ports: VRRP, IGMP, GRE, IPIP, IPV6, ESP, AH
    /// (`enable-extended-ip-protocols`; they may not by default). Where they may not, Strict
    /// semantics refuses a document that does; Cilium takes it if the port is `"0"`.
    #[must_use]
    pub fn portless_protocols(self, allowed: bool) -> Self {
        Self {
            portless_protocols: allowed,
            ..self
        }
    }

    /// Chooses what CIDR rules of the Cilium kinds cover besides the world (nothing by default).
    #[must_use]
    pub fn cidr_match(self, cidr_match: CidrMatch) -> Self {
        Self { cidr_match, ..self }
    }

    /// Chooses how NetworkPolicy documents are read.
    #[must_use]
    pub fn network_policies(self, reading: NetworkPolicyReading) -> Self {
        Self {
            network_policies: reading,
            ..self
        }
    }

    /// Chooses what `ipBlock` covers.
    #[must_use]
    pub fn ip_blocks(self, ip_blocks: IpBlocks) -> Self {
        Self { ip_blocks, ..self }
    }

    /// Stages every policy of these namespaces: its rules are tried, not enforced.
    #[must_use]
    pub fn staged_namespaces<N: Into<String>>(self, names: impl IntoIterator<Item = N>) -> Self {
        Self {
            staged_namespaces: names.into_iter().map(Into::into).collect(),
            ..self
        }
    }

    /// Which identities the blocks of a kind are held against besides the world.
    pub(crate) fn block_reach(&self, kind: PolicyKind) -> CidrMatch {
        match (kind, self.network_policies, self.ip_blocks) {
            (PolicyKind::NetworkPolicy, NetworkPolicyReading::Cilium, _) => self.cidr_match,
            (PolicyKind::NetworkPolicy, _, IpBlocks::SkipPods) => CidrMatch {
                nodes: true,
                pods: false,
            },
            (kind, _, _) if kind.is_kubernetes() => CidrMatch {
                nodes: true,
                pods: true,
            },
            _ => self.cidr_match,
        }
    }

    /// Whether these options are among those that object to a document.
    pub(crate) fn shares(&self, objector: Objector) -> bool {
        match objector {
            Objector::Cilium => self.semantics == Semantics::Cilium,
            Objector::Strict => self.semantics == Semantics::Strict,
            Objector::WithoutNodeLabels => !self.node_labels,
            Objector::WithoutPortless => !self.portless_protocols,
            Objector::StrictWithoutPortless => {
                !self.portless_protocols && self.semantics == Semantics::Strict
            }
        }
    }

    /// Whose reading is enforced.
    #[must_use]
    pub fn chosen_semantics(&self) -> Semantics {
        self.semantics
    }

    /// What becomes of refused documents: what was chosen, else the default of the semantics.
    #[must_use]
    pub fn refused_documents(&self) -> RefusedDocuments {
        self.refused.unwrap_or(match self.semantics {
            Semantics::Cilium => RefusedDocuments::Skip,
            Semantics::Strict => RefusedDocuments::Error,
        })
    }
}
