//! The figures that are reported, in order.

/// What a value counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    /// Nanoseconds per operation.
    Nanoseconds,
    /// Multiples of `datapath.lookup_unit`, so that machines can be compared.
    Lookups,
    /// 2^20 bytes of heap.
    Mebibytes,
    /// Flows that are answered in two ways.
    Flows,
    /// Multiples of the same traffic without anybody who judges it.
    Times,
    /// Bytes of kernel memory.
    Bytes,
}

impl Unit {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Nanoseconds => "ns",
            Self::Lookups => "lookups",
            Self::Mebibytes => "MiB",
            Self::Flows => "flows",
            Self::Times => "times none",
            Self::Bytes => "bytes",
        }
    }
}

/// What is accepted.
#[derive(Debug, Clone, Copy)]
pub(super) enum Bar {
    /// Anything.
    None,
    /// So much or less.
    AtMost(f64),
    /// So much or more.
    AtLeast(f64),
    /// The reference divided by this.
    Faster(f64),
}

impl Bar {
    /// The bar as a value, beside a reference.
    pub(super) fn beside(self, reference: Option<f64>) -> Option<f64> {
        match self {
            Self::None => None,
            Self::AtMost(bar) | Self::AtLeast(bar) => Some(bar),
            Self::Faster(times) => reference.map(|reference| reference / times),
        }
    }

    /// Whether a value beyond the bar is the better one.
    pub(super) const fn rises(self) -> bool {
        matches!(self, Self::AtLeast(_))
    }
}

/// One figure that is asked for.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) id: &'static str,
    pub(super) unit: Unit,
    /// Recorded once elsewhere; a peer measured in the same run takes its place.
    pub(super) reference: Option<f64>,
    pub(super) bar: Bar,
}

const fn time(id: &'static str) -> Entry {
    Entry {
        id,
        unit: Unit::Nanoseconds,
        reference: None,
        bar: Bar::None,
    }
}

/// A time that has to be so many times shorter than Cilium 1.20.1's: on an AMD EPYC of 2.45 GHz
/// for the big world, for the sets of blocks an older release's on a Xeon of 2.1 GHz.
const fn faster(id: &'static str, reference: f64, times: f64) -> Entry {
    Entry {
        id,
        unit: Unit::Nanoseconds,
        reference: Some(reference),
        bar: Bar::Faster(times),
    }
}

const fn at_most(id: &'static str, unit: Unit, reference: Option<f64>, most: f64) -> Entry {
    Entry {
        id,
        unit,
        reference,
        bar: Bar::AtMost(most),
    }
}

/// Work per packet. The reference is Cilium 1.17's, pod to pod on one node with hot caches,
/// measured the same way on another machine and divided by that machine's lookup.
const fn work(id: &'static str, reference: f64, bar: Bar) -> Entry {
    Entry {
        id,
        unit: Unit::Lookups,
        reference: Some(reference),
        bar,
    }
}

/// Real traffic beside the same without a judge. The reference is the best of Cilium 1.17's builds,
/// measured the same way on another machine; nftables and empty programs are measured in the same run.
const fn traffic(id: &'static str, reference: Option<f64>, bar: Bar) -> Entry {
    Entry {
        id,
        unit: Unit::Times,
        reference,
        bar,
    }
}

pub(super) const CATALOGUE: &[Entry] = &[
    time("identity.parse_labels"),
    time("identity.fingerprint"),
    time("identity.intern"),
    time("identity.match"),
    time("identity.prefix"),
    faster("policy.load", 120e6, 3.0),
    faster("policy.resolve_cold", 20.7e6, 10.0),
    faster("policy.resolve_warm", 4.63e6, 10.0),
    faster("policy.resolve_100", 1.48e9, 10.0),
    faster("policy.identity_add_1", 0.72e6, 20.0),
    faster("policy.identity_add_100", 1.20e6, 20.0),
    faster("policy.decision_exact", 48.0, 1.0),
    faster("policy.decision_range", 347.0, 4.0),
    faster("policy.decision_miss", 241.0, 4.0),
    faster("policy.cidr", 31e6, 5.0),
    faster("policy.cidr_deny", 159e6, 5.0),
    at_most("policy.memory_100", Unit::Mebibytes, Some(93.8), 40.0),
    at_most("policy.memory_repo", Unit::Mebibytes, Some(20.9), 10.0),
    at_most("policy.explain", Unit::Nanoseconds, None, 20e3),
    at_most("policy.differential", Unit::Flows, None, 0.0),
    time("datapath.empty"),
    time("datapath.lookup_unit"),
    work("datapath.established", 31.9, Bar::AtMost(10.0)),
    work("datapath.established_20k", 138.0, Bar::AtMost(52.0)),
    work("datapath.established_big", 54.0, Bar::AtMost(13.0)),
    work("datapath.new", 184.7, Bar::AtMost(56.0)),
    work("datapath.dropped", 15.2, Bar::None),
    traffic("datapath.udp_1", Some(1.33), Bar::AtMost(1.10)),
    traffic("datapath.udp_1.empty", None, Bar::None),
    traffic("datapath.udp_1.nftables", None, Bar::None),
    traffic("datapath.udp_8k", Some(1.84), Bar::AtMost(1.25)),
    traffic("datapath.udp_8k.empty", None, Bar::None),
    traffic("datapath.udp_8k.nftables", None, Bar::None),
    traffic("datapath.udp_peer", Some(1.22), Bar::AtMost(0.95)),
    traffic("datapath.connect", Some(1.45), Bar::AtMost(1.20)),
    traffic("datapath.connect.empty", None, Bar::None),
    traffic("datapath.connect.nftables", None, Bar::None),
    traffic("datapath.connect_rate", Some(0.49), Bar::AtLeast(0.80)),
    traffic("datapath.connect_rate.empty", None, Bar::None),
    traffic("datapath.connect_rate.nftables", None, Bar::None),
    time("datapath.swap"),
    at_most("datapath.identity_add", Unit::Nanoseconds, None, 50e3),
    at_most("datapath.ct_bytes", Unit::Bytes, Some(136.0), 128.0),
    time("flow.build"),
    time("flow.json"),
    time("flow.filter"),
];
