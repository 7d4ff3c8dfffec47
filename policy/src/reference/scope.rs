//! What the selectors of a policy mean beyond their text: its namespace, its cluster, pods only.

use porin_identity::{Labels, Operator, Requirement, Selector, SelectorKey, key, source};

use crate::peers::PodPeer;
use crate::rule::{Document, PolicyKind, PolicyName, Spec};
use crate::{NetworkPolicyReading, Options};

/// Whether a subject selector selects these labels. In a namespaced policy the namespace of the
/// policy stands in place of another one that `matchLabels` asks for.
pub(super) fn is_subject(policy: &PolicyName, subject: &Selector, labels: &Labels) -> bool {
    let Some(own) = policy.namespace.as_deref() else {
        let pod = !policy.kind.is_kubernetes() || labels.namespace().is_some();
        return pod && subject.matches(labels);
    };
    let overwritten = |term: &Requirement| {
        let equals = matches!(term.operator, Operator::Equals(_));
        equals && term.key.source() == source::K8S && term.key.key() == key::NAMESPACE
    };
    let mut terms = subject.requirements().iter();
    labels.namespace() == Some(own) && terms.all(|term| overwritten(term) || term.matches(labels))
}

/// A peer selector of a Cilium kind, with what its author left to the place of the policy.
pub(super) fn endpoints(
    document: &Document,
    spec: &Spec,
    written: &Selector,
    options: &Options,
) -> Selector {
    if written.mentions_source(source::RESERVED) {
        return written.clone();
    }
    let mut scoped = written.clone();
    if !written.mentions(source::K8S, key::NAMESPACE) {
        match &document.name.namespace {
            Some(own) if !names_namespace_labels(written) => {
                scoped = scoped.with(Requirement::equals(namespace(), own));
            }
            None if !names_init(&spec.subject) => {
                scoped = scoped.with(Requirement::exists(namespace()));
            }
            _ => {}
        }
    }
    in_own_cluster(scoped, written, options)
}

/// `fromNodes` and `toNodes` never mean the local host.
pub(super) fn nodes(written: &Selector, options: &Options) -> Selector {
    let remote = SelectorKey::new(source::RESERVED, "remote-node");
    in_own_cluster(written.with(Requirement::exists(remote)), written, options)
}

/// A peer of a Kubernetes kind, which is a pod.
pub(super) fn pods(document: &Document, peer: &PodPeer, options: &Options) -> Selector {
    let upstream = document.name.kind == PolicyKind::NetworkPolicy
        && options.network_policies == NetworkPolicyReading::Cilium;
    let by_labels = peer.pods.clone().unwrap_or_default();
    let by_namespace = peer.namespaces.clone().unwrap_or_default();
    let place = match (&peer.namespaces, &document.name.namespace) {
        (None, Some(own)) => Some(Requirement::equals(namespace(), own)),
        (Some(namespaces), _) if upstream && !namespaces.is_everything() => None,
        _ => Some(Requirement::exists(namespace())),
    };
    let terms = [by_labels.requirements(), by_namespace.requirements()].concat();
    let scoped = Selector::from_parts(terms.into_iter().chain(place));
    in_own_cluster(scoped, &by_labels, options)
}

/// A peer that names no cluster lives in the own one, unless that is switched off.
pub(super) fn in_own_cluster(scoped: Selector, written: &Selector, options: &Options) -> Selector {
    if !options.default_local_cluster || written.mentions(source::K8S, key::CLUSTER) {
        return scoped;
    }
    let cluster = SelectorKey::new(source::K8S, key::CLUSTER);
    scoped.with(Requirement::equals(cluster, &options.cluster_name))
}

fn namespace() -> SelectorKey {
    SelectorKey::new(source::K8S, key::NAMESPACE)
}

fn names_namespace_labels(selector: &Selector) -> bool {
    selector.requirements().iter().any(|term| {
        let of_k8s = term.key.is_any() || term.key.source() == source::K8S;
        of_k8s && term.key.key().starts_with(key::NAMESPACE_LABELS_PREFIX)
    })
}

fn names_init(selector: &Selector) -> bool {
    let mut terms = selector.requirements().iter();
    terms.any(|term| term.key.source() == source::RESERVED && term.key.key() == "init")
}
