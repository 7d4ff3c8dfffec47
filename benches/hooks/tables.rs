//! What changes of a policy of 10,000 entries cost until they are in force.

use std::time::Instant;

use porin::{
    datapath::{Datapath, EndpointSpec},
    flow::EndpointId,
    identity::IdentityId,
    policy::{
        AuthMode, Direction, EntryAction, MapEntry, MapKey, MapState, PortPrefix, Precedence,
        Protocol, RuleCookie,
    },
};
use porin_testbed::Namespace;

use crate::{Result, median};

const ENTRIES: u32 = 10_000;
const ENDPOINT: EndpointId = EndpointId::new(3);

/// Nanoseconds, medians.
pub(crate) struct Changes {
    /// The policy is replaced by another one.
    pub(crate) swap: f64,
    /// An identity that a rule picks is added.
    pub(crate) identity_add: f64,
}

pub(crate) fn measure(
    datapath: &mut Datapath,
    node: &Namespace,
    pods: &Namespace,
    rounds: usize,
) -> Result<Changes> {
    let ifindex = node.veth("tables", pods, "tables")?.index;
    datapath.add_endpoint(EndpointSpec {
        id: ENDPOINT,
        ifindex,
        identity: IdentityId::new(70_000),
        addresses: vec!["10.9.9.9".parse()?],
    })?;
    let (mut swaps, mut adds) = (Vec::new(), Vec::new());
    for round in (0..).take(rounds) {
        let state = state(ENTRIES, 100 + round);
        let start = Instant::now();
        datapath.install(&[(ENDPOINT, &state)])?;
        swaps.push(start.elapsed().as_nanos() as f64);
        let with_one = self::state(ENTRIES + 1, 100 + round);
        let (there, back) = (with_one.diff(&state), state.diff(&with_one));
        let start = Instant::now();
        let amended = datapath.amend(&[(ENDPOINT, &there)])?;
        adds.push(start.elapsed().as_nanos() as f64);
        if !amended.left.is_empty() {
            return Err("the table cannot be edited".into());
        }
        datapath.amend(&[(ENDPOINT, &back)])?;
    }
    datapath.remove_endpoint(ENDPOINT)?;
    Ok(Changes {
        swap: median(swaps),
        identity_add: median(adds),
    })
}

/// Each of so many peers may open one port.
fn state(peers: u32, cookie: u32) -> MapState {
    let entry = |peer| {
        let key = MapKey {
            direction: Direction::Ingress,
            identity: IdentityId::new(1_000 + peer),
            protocol: Protocol::TCP,
            port: PortPrefix::exact(80),
        };
        let entry = MapEntry {
            action: EntryAction::Allow,
            auth: AuthMode::Disabled,
            precedence: Precedence::compose(1, 1),
            cookie: RuleCookie::new(cookie),
        };
        (key, entry)
    };
    (0..peers).map(entry).collect()
}
