//! The figures that are reported, in order.

/// What a value counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    /// Nanoseconds per operation.
    Nanoseconds,
    /// Multiples of `datapath.lookup_unit`, so that machines can be compared.
    Lookups,
}

impl Unit {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Nanoseconds => "ns",
            Self::Lookups => "lookups",
        }
    }
}

/// One figure that is asked for.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) id: &'static str,
    pub(super) unit: Unit,
    /// Recorded once elsewhere; a peer measured in the same run takes its place.
    pub(super) reference: Option<f64>,
    /// The most that is accepted.
    pub(super) bar: Option<f64>,
}

const fn time(id: &'static str) -> Entry {
    Entry {
        id,
        unit: Unit::Nanoseconds,
        reference: None,
        bar: None,
    }
}

/// Work per packet. The reference is Cilium 1.17's, pod to pod on one node with hot caches,
/// measured the same way on another machine and divided by that machine's lookup.
const fn work(id: &'static str, reference: f64) -> Entry {
    Entry {
        id,
        unit: Unit::Lookups,
        reference: Some(reference),
        bar: None,
    }
}

pub(super) const CATALOGUE: &[Entry] = &[
    time("identity.parse_labels"),
    time("identity.fingerprint"),
    time("identity.intern"),
    time("identity.match"),
    time("identity.prefix"),
    time("policy.load"),
    time("policy.resolve_cold"),
    time("policy.resolve"),
    time("policy.identity_add_1"),
    time("policy.decision"),
    time("policy.decision_range"),
    time("policy.decision_miss"),
    time("datapath.empty"),
    time("datapath.lookup_unit"),
    work("datapath.established", 31.9),
    work("datapath.new", 184.7),
    work("datapath.dropped", 15.2),
    time("flow.build"),
    time("flow.json"),
    time("flow.filter"),
];
