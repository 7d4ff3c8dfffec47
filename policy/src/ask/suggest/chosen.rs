//! Choosing labels that pick the observed workloads and, if possible, nobody else.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use porin_identity::{IdentityId, Label, Labels, key, source};

use crate::ask::Census;

/// Labels that pick some workloads of one namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    /// The namespace.
    pub namespace: String,
    /// The cluster.
    pub cluster: ChosenCluster,
    /// Keys and values; none picks everybody in the namespace.
    pub labels: Vec<(String, String)>,
    /// Whom they pick of the workloads in the census.
    pub picked: BTreeSet<IdentityId>,
    /// Whom of these they were not chosen for.
    pub extra: BTreeSet<IdentityId>,
}

/// What a selection has to say about the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChosenCluster {
    /// Nothing: the own one is meant, or there is no other.
    Implied,
    /// Its name.
    Named(String),
    /// That the workloads have no label of a cluster.
    Absent,
}

/// Keys that say what a workload is, most telling first.
const TELLING: [&str; 10] = [
    "app.kubernetes.io/name",
    "app",
    "k8s-app",
    "app.kubernetes.io/instance",
    "name",
    "app.kubernetes.io/component",
    "component",
    "role",
    "service",
    "tier",
];

/// Keys whose values change with every roll-out.
const PASSING: [&str; 9] = [
    "pod-template-hash",
    "controller-revision-hash",
    "pod-template-generation",
    "statefulset.kubernetes.io/pod-name",
    "apps.kubernetes.io/pod-index",
    "batch.kubernetes.io/job-name",
    "batch.kubernetes.io/controller-uid",
    "job-name",
    "controller-uid",
];

/// The workloads of a census among which labels have to choose.
pub(super) struct Chooser<'a> {
    census: &'a Census,
    everybody: BTreeSet<IdentityId>,
}

impl<'a> Chooser<'a> {
    pub(super) fn new(census: &'a Census) -> Self {
        let everybody = census.workloads().map(|party| party.identity).collect();
        Self { census, everybody }
    }

    /// Namespace and cluster of an identity.
    pub(super) fn place(&self, id: IdentityId) -> (String, String) {
        let labels = self.census.labels(id);
        let of = |key: &str| labels.and_then(|labels| labels.get(source::K8S, key));
        let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
        (text(of(key::NAMESPACE)), text(of(key::CLUSTER)))
    }

    /// Selections that pick all of some workloads of one place, as subjects of a policy or as peers:
    /// one for all, or one for each if that picks fewer others.
    pub(super) fn choose(&self, wanted: &BTreeSet<IdentityId>, subjects: bool) -> Vec<Chosen> {
        let mut chosen = self.fewest(wanted);
        for one in &mut chosen {
            let place = wanted.first().map(|id| self.place(*id));
            one.cluster = self.cluster(&place.unwrap_or_default(), subjects);
        }
        chosen
    }

    /// Peers that name no cluster are looked for in the own one; subjects in every cluster.
    fn cluster(&self, place: &(String, String), subjects: bool) -> ChosenCluster {
        let options = self.census.options();
        let scoped = !subjects && options.default_local_cluster;
        let own = place.1 == options.cluster_name;
        let elsewhere = |id: &IdentityId| {
            let (namespace, cluster) = self.place(*id);
            namespace == place.0 && cluster != place.1
        };
        match (scoped, self.everybody.iter().any(elsewhere)) {
            (true, _) if own => ChosenCluster::Implied,
            (false, false) => ChosenCluster::Implied,
            _ if place.1.is_empty() => ChosenCluster::Absent,
            _ => ChosenCluster::Named(place.1.clone()),
        }
    }

    fn fewest(&self, wanted: &BTreeSet<IdentityId>) -> Vec<Chosen> {
        let whole = self.one(wanted);
        if whole.extra.is_empty() || wanted.len() < 2 {
            return vec![whole];
        }
        let each: Vec<_> = wanted
            .iter()
            .map(|id| self.one(&BTreeSet::from([*id])))
            .collect();
        let others = |chosen: &[Chosen]| {
            let extra = chosen.iter().flat_map(|one| one.extra.difference(wanted));
            extra.collect::<BTreeSet<_>>().len()
        };
        match others(&each) < others(std::slice::from_ref(&whole)) {
            true => each,
            false => vec![whole],
        }
    }

    /// One selection: the most telling label that all share, then what excludes most others.
    fn one(&self, wanted: &BTreeSet<IdentityId>) -> Chosen {
        let place = wanted.first().map(|id| self.place(*id)).unwrap_or_default();
        let mut candidates = self.shared(wanted);
        let neighbours = self.everybody.iter().filter(|id| self.place(**id) == place);
        let mut picked: BTreeSet<IdentityId> = neighbours.copied().collect();
        let mut labels: Vec<Label> = Vec::new();
        while !candidates.is_empty() && (labels.is_empty() || picked.len() > wanted.len()) {
            let left = |label: &Label| picked.iter().filter(|id| self.has(**id, label)).count();
            // The first label is chosen for what it says, so that newcomers are left out too.
            let best = match labels.is_empty() {
                true => candidates
                    .iter()
                    .enumerate()
                    .min_by_key(|(_, label)| rank(label)),
                false => candidates
                    .iter()
                    .enumerate()
                    .min_by_key(|(_, label)| (left(label), rank(label))),
            };
            let Some(at) = best.map(|(at, _)| at) else {
                break;
            };
            let label = candidates.swap_remove(at);
            let before = picked.len();
            picked.retain(|id| self.has(*id, &label));
            if labels.is_empty() || picked.len() < before {
                labels.push(label);
            }
        }
        let pairs = labels.iter();
        Chosen {
            namespace: place.0,
            cluster: ChosenCluster::Implied,
            labels: pairs
                .map(|label| (label.key().to_owned(), label.value().to_owned()))
                .collect(),
            extra: picked.difference(wanted).copied().collect(),
            picked,
        }
    }

    /// The labels that all carry and that say something about them.
    fn shared(&self, wanted: &BTreeSet<IdentityId>) -> Vec<Label> {
        let of = |id: &IdentityId| self.census.labels(*id).cloned().unwrap_or_default();
        let Some(first) = wanted.first().map(of) else {
            return Vec::new();
        };
        let lasting = |label: &&Label| {
            label.source() == source::K8S
                && !key::is_trusted(label.key())
                && !PASSING.contains(&label.key())
        };
        let everywhere = |label: &&Label| wanted.iter().all(|id| self.has(*id, label));
        first
            .iter()
            .filter(lasting)
            .filter(everywhere)
            .cloned()
            .collect()
    }

    fn has(&self, id: IdentityId, label: &Label) -> bool {
        let carries = |labels: &Labels| labels.contains(label.source(), label.key(), label.value());
        self.census.labels(id).is_some_and(carries)
    }
}

fn rank(label: &Label) -> (usize, Reverse<bool>, String) {
    let place = TELLING.iter().position(|key| *key == label.key());
    let filled = Reverse(!label.value().is_empty());
    (
        place.unwrap_or(TELLING.len()),
        filled,
        label.key().to_owned(),
    )
}
