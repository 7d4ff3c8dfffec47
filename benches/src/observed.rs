use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use porin::{
    flow::{
        DropReason, EndpointId, Flow, FlowBuilder, Observation, ObservationKind, Outcome,
        PolicyMatch, TcpFlags, Timestamp, Tuple,
    },
    identity::{Identities, Snapshot},
    policy::{Direction, Protocol, RuleCookie},
};

use crate::World;

/// A refused SYN between two pods of the world, as the datapath reports it.
#[must_use]
pub fn refused_syn() -> Observation {
    Observation {
        time: Timestamp::from_nanos(1_700_000_000_123_456_789),
        kind: ObservationKind::Drop,
        direction: Direction::Ingress,
        endpoint: EndpointId::new(7),
        source: World::pod(1),
        destination: World::pod(2),
        tuple: Tuple {
            source: IpAddr::V4(Ipv4Addr::new(10, 1, 0, 1)),
            destination: IpAddr::V4(Ipv4Addr::new(10, 1, 0, 2)),
            protocol: Protocol::TCP,
            source_port: 40_000,
            destination_port: 8080,
            tcp_flags: TcpFlags::SYN,
            icmp: None,
        },
        outcome: Outcome::Drop(DropReason::POLICY_DENIED),
        reply: Some(false),
        cookie: RuleCookie::NONE,
        match_kind: PolicyMatch::None,
        epoch: 3,
        ifindex: 12,
        length: 74,
        totals: None,
    }
}

/// The identities of the two pods, six labels each.
#[must_use]
pub fn two_pods() -> Snapshot {
    let mut identities = Identities::default();
    for number in [1, 2] {
        // Fresh numbers above the reserved ones are always free.
        let _ = identities.insert_fixed(
            World::pod(number),
            World::pod_labels(number, &number.to_string()),
        );
    }
    identities.snapshot()
}

/// The flow of [`refused_syn`].
#[must_use]
pub fn refused_flow() -> Arc<Flow> {
    Arc::new(FlowBuilder::new("node-1").record(&refused_syn(), &two_pods(), &()))
}
