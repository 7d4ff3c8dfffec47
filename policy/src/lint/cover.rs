//! When one selector or port certainly covers another, judged by their texts alone.
//!
//! "No" means "not certainly": lint would rather miss a finding than report a wrong one.

use porin_identity::{Operator, Requirement, Selector, SelectorKey, source};

use crate::port_rule::{Port, PortProtocol, PortRule, PortSpec};

/// Whether `wide` selects whatever `narrow` selects: each of its terms follows from one of theirs.
pub(super) fn covers_selector(wide: &Selector, narrow: &Selector) -> bool {
    wide.requirements().iter().all(|asked| {
        narrow
            .requirements()
            .iter()
            .any(|given| implies(given, asked))
    })
}

fn implies(given: &Requirement, asked: &Requirement) -> bool {
    use Operator::{DoesNotExist, Equals, Exists, In, NotIn};
    if !same_key(&given.key, &asked.key) {
        return false;
    }
    match (&given.operator, &asked.operator) {
        (Equals(value), Equals(wanted)) => value == wanted,
        (Equals(value), In(wanted)) => wanted.contains(value),
        (Equals(value), NotIn(unwanted)) => !unwanted.contains(value),
        (In(values), In(wanted)) => values.iter().all(|value| wanted.contains(value)),
        (In(values), NotIn(unwanted)) => !values.iter().any(|value| unwanted.contains(value)),
        (NotIn(values), NotIn(unwanted)) => unwanted.iter().all(|value| values.contains(value)),
        (Equals(_) | In(_) | Exists, Exists) | (DoesNotExist, DoesNotExist | NotIn(_)) => true,
        _ => false,
    }
}

/// Workloads carry labels of source k8s; a key without a source finds those.
fn same_key(a: &SelectorKey, b: &SelectorKey) -> bool {
    let any_or_k8s = |key: &SelectorKey| key.is_any() || key.source() == source::K8S;
    a.key() == b.key() && (a.source() == b.source() || any_or_k8s(a) && any_or_k8s(b))
}

/// Whether `wide` has every port of `narrow`; no element is every port and protocol.
pub(super) fn covers_ports(wide: Option<&PortRule>, narrow: Option<&PortRule>) -> bool {
    match (wide, narrow) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(wide), Some(narrow)) => {
            let covered = |port: &PortSpec| {
                wide.ports
                    .iter()
                    .any(|candidate| covers_port(candidate, port))
            };
            !narrow.ports.is_empty() && narrow.ports.iter().all(covered)
        }
    }
}

/// Whether a port stands in both.
pub(super) fn ports_meet(a: Option<&PortRule>, b: Option<&PortRule>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => a
            .ports
            .iter()
            .any(|one| b.ports.iter().any(|other| port_meets(one, other))),
        (Some(only), None) | (None, Some(only)) => !only.ports.is_empty(),
        (None, None) => true,
    }
}

fn covers_port(wide: &PortSpec, narrow: &PortSpec) -> bool {
    if wide == narrow {
        return true;
    }
    let (Some((first, last)), Some((from, to))) = (at_least(wide), at_most(narrow)) else {
        return false;
    };
    covers_protocol(wide.protocol, narrow.protocol) && first <= from && to <= last
}

fn port_meets(a: &PortSpec, b: &PortSpec) -> bool {
    if a == b {
        return true;
    }
    let (Some((first, last)), Some((from, to))) = (at_least(a), at_least(b)) else {
        return false;
    };
    let named = |port: &PortSpec| matches!(port.port, Port::Name(_));
    let protocols =
        covers_protocol(a.protocol, b.protocol) || covers_protocol(b.protocol, a.protocol);
    protocols && !named(a) && !named(b) && first <= to && from <= last
}

fn covers_protocol(wide: PortProtocol, narrow: PortProtocol) -> bool {
    use PortProtocol::{Any, Sctp, Tcp, Udp};
    wide == narrow || wide == Any && matches!(narrow, Tcp | Udp | Sctp)
}

/// First and last port that are meant whoever reads it. `None` for names, which stand for other
/// numbers at every workload, and for ICMP type 0, which is every type for Cilium.
fn at_least(port: &PortSpec) -> Option<(u16, u16)> {
    let Port::Number(first) = port.port else {
        return None;
    };
    let is_icmp = matches!(port.protocol, PortProtocol::Icmp | PortProtocol::Icmp6);
    match port.end_port {
        None if first == 0 && is_icmp => None,
        None if first == 0 => Some((0, u16::MAX)),
        Some(end) if end > first => Some((first, end)),
        _ => Some((first, first)),
    }
}

/// First and last port that somebody may read it as: a name is any port, and zero with an end is
/// every port for Cilium.
fn at_most(port: &PortSpec) -> Option<(u16, u16)> {
    match port.port {
        Port::Name(_) | Port::Number(0) => Some((0, u16::MAX)),
        Port::Number(_) => at_least(port),
    }
}

/// Whether no label set can satisfy both: they ask different values of one key.
pub(super) fn excludes(a: &Selector, b: &Selector) -> bool {
    let mut pairs = a
        .requirements()
        .iter()
        .flat_map(|one| b.requirements().iter().map(move |other| (one, other)));
    pairs.any(|(one, other)| contradicts(one, other) || contradicts(other, one))
}

fn contradicts(one: &Requirement, other: &Requirement) -> bool {
    use Operator::{DoesNotExist, Equals, Exists, In, NotIn};
    if !same_key(&one.key, &other.key) {
        return false;
    }
    match (&one.operator, &other.operator) {
        (Equals(value), Equals(wanted)) => value != wanted,
        (Equals(value), In(wanted)) => !wanted.contains(value),
        (Equals(value), NotIn(unwanted)) => unwanted.contains(value),
        (In(values), In(wanted)) => !values.iter().any(|value| wanted.contains(value)),
        (In(values), NotIn(unwanted)) => values.iter().all(|value| unwanted.contains(value)),
        (Equals(_) | In(_) | Exists, DoesNotExist) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selector(terms: &[(&str, &str)]) -> Selector {
        terms
            .iter()
            .filter_map(|(key, value)| Requirement::parse_label(key, value).ok())
            .collect()
    }

    #[test]
    fn a_selector_covers_those_with_more_terms() {
        let app = selector(&[("app", "a")]);
        let both = selector(&[("k8s:app", "a"), ("tier", "x")]);
        assert!(covers_selector(&app, &both) && !covers_selector(&both, &app));
        assert!(covers_selector(&Selector::everything(), &app));
        assert!(!covers_selector(&app, &selector(&[("app", "b")])));
        assert!(!covers_selector(&selector(&[("reserved:app", "a")]), &app));
    }

    #[test]
    fn selectors_exclude_each_other_by_their_values() {
        let app = selector(&[("app", "a")]);
        assert!(excludes(&app, &selector(&[("k8s:app", "b")])));
        assert!(!excludes(&app, &selector(&[("tier", "b")])));
        assert!(!excludes(&app, &Selector::everything()));
    }

    #[test]
    fn ports_cover_whoever_reads_them() {
        let port = |port: Port, end_port: Option<u16>, protocol| PortSpec {
            port,
            end_port,
            protocol,
        };
        let number = |first, end| port(Port::Number(first), end, PortProtocol::Tcp);
        let all = number(0, None);
        let low = number(0, Some(1023));
        assert!(covers_port(&all, &low));
        assert!(covers_port(&low, &number(80, None)) && !covers_port(&low, &number(8080, None)));
        assert!(!covers_port(&number(0, Some(2000)), &low));
        let name = port(Port::Name("web".into()), None, PortProtocol::Tcp);
        assert!(covers_port(&all, &name) && !covers_port(&number(80, None), &name));
        assert!(covers_port(&name, &name) && !port_meets(&name, &number(80, None)));
        let any = port(Port::Number(0), None, PortProtocol::Any);
        let reply = port(Port::Number(0), None, PortProtocol::Icmp);
        let echo = port(Port::Number(8), None, PortProtocol::Icmp);
        assert!(covers_port(&any, &number(80, None)) && !covers_port(&any, &echo));
        assert!(!covers_port(&reply, &echo) && !port_meets(&reply, &echo));
    }
}
