//! A long random history of endpoints, labels and policies: after every step the kernel holds what
//! somebody would compute who starts afresh.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failed step is a failed test"
)]

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use porin::enforcer::{EndpointSpec, Enforcer};
use porin::flow::EndpointId;
use porin::identity::Labels;
use porin_testbed::Namespace;
use porin_testbed::suite::{Outcome, Test, run};

const DEVICES: usize = 8;
const STEPS: usize = 150;

/// Allowances, denials, both directions, everybody, and nobody at all.
const POLICIES: [&str; 5] = [
    "endpointSelector: {matchLabels: {app: a}}\n  ingress: [{fromEndpoints: [{matchLabels: {tier: one}}], toPorts: [{ports: [{port: '80'}]}]}]",
    "endpointSelector: {}\n  ingress: [{fromEndpoints: [{matchLabels: {app: b}}]}]\n  ingressDeny: [{fromEndpoints: [{matchLabels: {tier: two}}], toPorts: [{ports: [{port: '81', protocol: TCP}]}]}]",
    "endpointSelector: {matchExpressions: [{key: tier, operator: Exists}]}\n  egress: [{toEndpoints: [{matchExpressions: [{key: app, operator: NotIn, values: [c]}]}]}, {toCIDRSet: [{cidr: 10.0.0.0/8, except: [10.1.0.0/16]}]}]",
    "endpointSelector: {matchLabels: {app: c}}\n  ingress: [{toPorts: [{ports: [{port: '443', protocol: TCP}]}]}]\n  egress: []",
    "endpointSelector: {matchLabels: {app: b}}\n  ingress: [{fromEntities: [cluster]}]\n  egressDeny: [{toEndpoints: [{matchLabels: {app: a}}]}]",
];

fn main() -> std::process::ExitCode {
    run(vec![Test::new(
        "kernel_ac_16_tables_follow_any_history",
        || {
            let node = Namespace::new()?;
            node.run(|| history(&node))?
        },
    )])
}

/// SplitMix64, seeded by `PORIN_SEED` or the clock.
struct Random(u64);

impl Random {
    fn announced() -> Self {
        let given = std::env::var("PORIN_SEED")
            .ok()
            .and_then(|seed| seed.parse().ok());
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let seed = given.unwrap_or_else(|| u64::from(now.subsec_nanos()) | 1);
        eprintln!("history: PORIN_SEED={seed}");
        Self(seed)
    }

    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % limit as u64).unwrap()
    }

    fn labels(&mut self) -> Labels {
        let app = ["a", "b", "c"][self.below(3)];
        let tier = ["one", "two"][self.below(2)];
        let all = [("app", app), ("tier", tier)];
        let some = if self.below(4) == 0 { 1 } else { 2 };
        Labels::workload("shop", None, "default", all.into_iter().take(some)).unwrap()
    }

    fn policies(&mut self) -> Vec<(String, String)> {
        let chosen = POLICIES.iter().enumerate().filter(|_| self.below(2) == 0);
        let file = |(number, spec): (usize, &&str)| {
            let text = format!(
                "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {{name: p{number}, namespace: shop}}\nspec:\n  {spec}\n"
            );
            (format!("p{number}.yaml"), text)
        };
        chosen.map(file).collect()
    }
}

fn history(node: &Namespace) -> Outcome {
    let pods = Namespace::new()?;
    let mut devices = Vec::new();
    for number in 0..DEVICES {
        let name = format!("pod{number}");
        devices.push(node.veth(&name, &pods, &name)?.index);
    }
    let mut random = Random::announced();
    let mut enforcer = Enforcer::builder().node("test").open()?;
    let mut attached: BTreeMap<usize, EndpointId> = BTreeMap::new();
    let mut edits = 0_usize;
    for step in 0..STEPS {
        let now = Duration::from_secs(step as u64 * 60);
        let before = tables(&enforcer);
        let place = random.below(DEVICES);
        let loads = random.below(8) == 0;
        match (attached.get(&place).copied(), random.below(3)) {
            _ if loads => drop(enforcer.load_policies(random.policies(), now)?),
            (Some(id), 0) => {
                enforcer.remove_endpoint(id, now)?;
                attached.remove(&place);
            }
            (Some(id), _) => enforcer.relabel(id, random.labels(), now)?,
            (None, _) => {
                let address = Ipv4Addr::new(10, 1, 0, u8::try_from(place).unwrap() + 1);
                let spec =
                    EndpointSpec::new(&format!("pod{place}"), random.labels(), devices[place]);
                let id = enforcer.add_endpoint(spec.address(address.into()), now)?;
                attached.insert(place, id);
            }
        }
        enforcer.tick(now)?;
        edits += edited(&before, &tables(&enforcer));
        check(&enforcer, step)?;
    }
    assert!(edits > 0, "no table was ever edited in place");
    eprintln!("history: {STEPS} steps, {edits} edits in place");
    Ok(enforcer.close()?)
}

/// Table and epoch of every endpoint.
fn tables(enforcer: &Enforcer) -> BTreeMap<EndpointId, (u32, u64)> {
    let dump = enforcer.datapath().endpoints();
    dump.into_iter()
        .map(|endpoint| (endpoint.spec.id, (endpoint.table, endpoint.epoch)))
        .collect()
}

/// Endpoints that have the same table under another epoch.
fn edited(
    before: &BTreeMap<EndpointId, (u32, u64)>,
    after: &BTreeMap<EndpointId, (u32, u64)>,
) -> usize {
    let same = |(id, (table, epoch)): &(&EndpointId, &(u32, u64))| {
        before
            .get(id)
            .is_some_and(|(old, since)| old == table && since < epoch)
    };
    after.iter().filter(same).count()
}

/// What the kernel holds, what the enforcer believes, and what a fresh resolution gives.
fn check(enforcer: &Enforcer, step: usize) -> Outcome {
    let identities = enforcer.identities().snapshot();
    for (id, spec) in enforcer.endpoints() {
        let identity = enforcer.identity(id).ok_or("no identity")?;
        let fresh = enforcer.policies().resolve(identity, &identities)?;
        let fresh: Vec<_> = fresh.map_state().iter().collect();
        let believed = enforcer.policy(id).ok_or("no policy")?;
        let believed: Vec<_> = believed.map_state().iter().collect();
        assert_eq!(
            believed,
            fresh,
            "step {step}, {}: the enforcer",
            spec.name()
        );
        let held = enforcer.datapath().policy(id)?;
        assert_eq!(held, fresh, "step {step}, {}: the kernel", spec.name());
    }
    Ok(())
}
