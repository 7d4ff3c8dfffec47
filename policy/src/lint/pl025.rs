//! PL025 icmp-zero: ICMP type 0 is every type in Cilium.

use super::code::Code;
use super::finding::Suggestion;
use super::registry::{Found, Run};
use crate::port_rule::{Port, PortProtocol, PortSpec};

pub(super) fn run(run: &Run<'_>, found: &mut Vec<Found>) {
    for clause in run.clauses.iter() {
        let Some((_, element)) = clause.element else {
            continue;
        };
        let Some(port) = element.ports.iter().find(|port| is_zero(port)) else {
            continue;
        };
        let reason = format!(
            "type 0 of {} (an echo reply, for IPv4) is every type in Cilium; strict semantics take it for type 0 alone",
            port.protocol
        );
        let advice = "leave it out: replies to allowed requests pass anyway; for every type, list those that are wanted";
        let place = (clause.document, clause.location().clone());
        found.extend(Found::new(
            run,
            Code::IcmpZero,
            place,
            None,
            reason,
            Suggestion::words(advice),
        ));
    }
}

fn is_zero(port: &PortSpec) -> bool {
    matches!(port.protocol, PortProtocol::Icmp | PortProtocol::Icmp6)
        && port.port == Port::Number(0)
}
