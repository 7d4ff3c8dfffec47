//! Who exists, as far as lint was told.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use ipnet::IpNet;
use porin_identity::{Labels, Operator, Requirement, Selector, key, source};

use crate::world::{Workload, World};

/// The workloads of a world with the labels that policies see.
pub(super) struct People<'w> {
    all: Vec<(&'w Workload, Labels)>,
    by_namespace: HashMap<&'w str, Vec<usize>>,
    by_address: BTreeMap<IpAddr, &'w Workload>,
    cluster: String,
}

impl<'w> People<'w> {
    pub(super) fn of(world: &'w World, cluster: &str) -> Self {
        let labelled = |workload: &'w Workload| Some((workload, workload.identity(cluster).ok()?));
        let all: Vec<_> = world.workloads.iter().filter_map(labelled).collect();
        let mut by_namespace: HashMap<&str, Vec<usize>> = HashMap::new();
        let mut by_address = BTreeMap::new();
        for (place, (workload, _)) in all.iter().enumerate() {
            by_namespace
                .entry(&workload.namespace)
                .or_default()
                .push(place);
            by_address.extend(
                workload
                    .addresses
                    .iter()
                    .map(|address| (*address, *workload)),
            );
        }
        Self {
            all,
            by_namespace,
            by_address,
            cluster: cluster.to_owned(),
        }
    }

    pub(super) fn iter(&self) -> std::slice::Iter<'_, (&'w Workload, Labels)> {
        self.all.iter()
    }

    /// Those whom a selector fits.
    pub(super) fn fitting(&self, selector: &Selector) -> impl Iterator<Item = &'w Workload> {
        self.near(selector)
            .filter(|(_, labels)| selector.matches(labels))
            .map(|(workload, _)| *workload)
    }

    /// Those of the namespace that a selector names, or everybody.
    fn near(&self, selector: &Selector) -> impl Iterator<Item = &(&'w Workload, Labels)> {
        let named = selector.requirements().iter().find_map(namespace_of);
        let places = named.map(|name| self.by_namespace.get(name).map_or(&[][..], Vec::as_slice));
        let all = places.is_none().then(|| self.all.iter());
        let some = places.unwrap_or_default().iter();
        all.into_iter()
            .flatten()
            .chain(some.filter_map(|place| self.all.get(*place)))
    }

    /// Whether the world knows names of ports at all.
    pub(super) fn have_port_names(&self) -> bool {
        let named = |workload: &Workload| workload.ports.iter().any(|port| port.name.is_some());
        self.iter().any(|(workload, _)| named(workload))
    }

    /// Those with an address in a block.
    pub(super) fn inside(&self, block: IpNet) -> impl Iterator<Item = (IpAddr, &'w Workload)> {
        self.by_address
            .range(block.network()..=block.broadcast())
            .map(|(address, workload)| (*address, *workload))
    }

    /// Whether a world can tell if a selector fits anybody: it asks for labels of workloads of the
    /// own cluster, and for those of namespaces only if the world knows them.
    pub(super) fn can_tell(&self, selector: &Selector) -> bool {
        let knows = |term: &Requirement| {
            let of_workloads = term.key.is_any() || term.key.source() == source::K8S;
            let elsewhere = term.key.key() == key::CLUSTER
                && !matches!(&term.operator, Operator::Equals(name) if **name == *self.cluster);
            let known = !term.key.key().starts_with(key::NAMESPACE_LABELS_PREFIX)
                || self
                    .iter()
                    .any(|(_, labels)| labels.has_key(source::K8S, term.key.key()));
            of_workloads && !elsewhere && known
        };
        !self.all.is_empty() && selector.requirements().iter().all(knows)
    }
}

fn namespace_of(term: &Requirement) -> Option<&str> {
    match &term.operator {
        Operator::Equals(name) if term.key.covers(source::K8S, key::NAMESPACE) => Some(name),
        _ => None,
    }
}
