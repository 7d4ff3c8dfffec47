//! What the selectors of one policy mean beyond their text: its namespace and its cluster.

use porin_identity::{Operator, Requirement, Selector, SelectorKey, key, source};

use crate::peers::PodPeer;
use crate::rule::{PolicyKind, PolicyName};
use crate::{NetworkPolicyReading, Options};

/// The terms that a policy adds to its selectors.
pub(crate) struct Scope {
    kind: PolicyKind,
    reading: NetworkPolicyReading,
    /// The subject lives here; `None` for clusterwide policies.
    namespace: Option<Requirement>,
    any_namespace: Requirement,
    /// Peers live here unless their selector names a cluster; `None` if that is switched off.
    cluster: Option<Requirement>,
}

impl Scope {
    pub(crate) fn new(policy: &PolicyName, options: &Options) -> Self {
        let namespace = SelectorKey::new(source::K8S, key::NAMESPACE);
        let own_cluster = || {
            let cluster = SelectorKey::new(source::K8S, key::CLUSTER);
            Requirement::equals(cluster, &options.cluster_name)
        };
        let own = policy.namespace.as_deref();
        Self {
            kind: policy.kind,
            reading: options.network_policies,
            namespace: own.map(|own| Requirement::equals(namespace.clone(), own)),
            any_namespace: Requirement::exists(namespace),
            cluster: options.default_local_cluster.then(own_cluster),
        }
    }

    /// The subject of a namespaced policy lives in its namespace, whatever else its selector says;
    /// that of a clusterwide one anywhere, but of a Kubernetes kind it is a pod.
    pub(crate) fn subject(&self, written: &Selector) -> Selector {
        let Some(namespace) = &self.namespace else {
            if self.kind.is_kubernetes() {
                return written.with(self.any_namespace.clone());
            }
            return written.clone();
        };
        let overwritten = |term: &&Requirement| {
            term.key == namespace.key && matches!(term.operator, Operator::Equals(_))
        };
        let kept = written
            .requirements()
            .iter()
            .filter(|term| !overwritten(term));
        kept.chain([namespace]).cloned().collect()
    }

    /// A peer selector with what its author left to the policy's own place. `subject` is the subject
    /// as written.
    pub(crate) fn peer(&self, written: &Selector, subject: &Selector) -> Selector {
        if written.mentions_source(source::RESERVED) {
            return written.clone();
        }
        let namespace = match &self.namespace {
            _ if written.mentions(source::K8S, key::NAMESPACE) => None,
            Some(namespace) => Some(namespace).filter(|_| !mentions_namespace_labels(written)),
            None => Some(&self.any_namespace).filter(|_| !mentions_init(subject)),
        };
        let cluster = self.cluster_for(written);
        if namespace.is_none() && cluster.is_none() {
            return written.clone();
        }
        joined(written, namespace.into_iter().chain(cluster))
    }

    /// Pods by their labels and those of their namespace.
    pub(crate) fn pods(&self, written: &PodPeer) -> Selector {
        let all = Selector::everything();
        let pods = written.pods.as_ref().unwrap_or(&all);
        let upstream =
            self.reading == NetworkPolicyReading::Cilium && self.kind == PolicyKind::NetworkPolicy;
        let (labels, place) = match (&written.namespaces, &self.namespace) {
            (None, namespace) => (&all, namespace.as_ref()),
            (Some(labels), _) if upstream && !labels.is_everything() => (labels, None),
            (Some(labels), _) => (labels, Some(&self.any_namespace)),
        };
        let terms = labels.requirements().iter().chain(place);
        joined(pods, terms.chain(self.cluster_for(pods)))
    }

    /// Nodes by their labels. For the Cilium kinds these are other nodes only.
    pub(crate) fn nodes(&self, written: &Selector) -> Vec<Selector> {
        let kinds: &[&str] = if self.kind.is_kubernetes() {
            &["host", "remote-node"]
        } else {
            &["remote-node"]
        };
        let of_kind = |name: &&str| {
            let node = Requirement::exists(SelectorKey::new(source::RESERVED, name));
            joined(
                written,
                [&node].into_iter().chain(self.cluster_for(written)),
            )
        };
        kinds.iter().map(of_kind).collect()
    }

    fn cluster_for(&self, written: &Selector) -> Option<&Requirement> {
        let named = written.mentions(source::K8S, key::CLUSTER);
        self.cluster.as_ref().filter(|_| !named)
    }
}

fn joined<'a>(written: &'a Selector, terms: impl Iterator<Item = &'a Requirement>) -> Selector {
    written
        .requirements()
        .iter()
        .chain(terms)
        .cloned()
        .collect()
}

/// One subject of one policy, scoped.
pub(crate) fn scope_subject(subject: &Selector, policy: &PolicyName) -> Selector {
    Scope::new(policy, &Options::default()).subject(subject)
}

/// One peer selector of one policy, scoped.
pub(crate) fn scope_peer(
    peer: &Selector,
    subject: &Selector,
    policy: &PolicyName,
    options: &Options,
) -> Selector {
    Scope::new(policy, options).peer(peer, subject)
}

fn mentions_namespace_labels(selector: &Selector) -> bool {
    selector.requirements().iter().any(|term| {
        let of_k8s = term.key.is_any() || term.key.source() == source::K8S;
        of_k8s && term.key.key().starts_with(key::NAMESPACE_LABELS_PREFIX)
    })
}

fn mentions_init(selector: &Selector) -> bool {
    let mut terms = selector.requirements().iter();
    terms.any(|term| term.key.source() == source::RESERVED && term.key.key() == "init")
}
