//! The fast evaluator, the policy table and the reference evaluator answer alike, whatever is asked
//! in whatever world, under both semantics.
//!
//! `PORIN_WORLDS` says how many worlds are tried (350 by default, with 60 flows each), and
//! `PORIN_SEED` which ones.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

mod case;

use std::fmt::{Debug, Write};

use case::World;
use porin_policy::{
    AuthMode, CidrMatch, Decision, Direction, IpBlocks, L7Policy, L7Rules, NetworkPolicyReading,
    Options, Redirect, ResolveError, Semantics, Verdict,
};

fn number(name: &str, otherwise: u64) -> u64 {
    let value = std::env::var(name).ok();
    value.map_or(otherwise, |value| value.parse().unwrap())
}

#[test]
fn the_engines_agree_in_every_world() {
    let (seed, worlds) = (number("PORIN_SEED", 4), number("PORIN_WORLDS", 350));
    let (mut flows, mut unlike) = (0, String::new());
    for at in 0..worlds {
        let mut world = World::read(&porin_worlds::world(seed, at, 60));
        world.options = settings(world.options, at);
        for semantics in [Semantics::Cilium, Semantics::Strict] {
            flows += compare(&world, semantics, &mut unlike);
        }
    }
    assert!(unlike.is_empty(), "{flows} flows:{unlike:.60000}");
    assert!(flows > worlds * 60, "{flows} flows only");
}

/// How many flows were compared.
fn compare(world: &World, semantics: Semantics, unlike: &mut String) -> u64 {
    let (set, _) = world.load(world.options.clone().semantics(semantics));
    let fast = world.resolve(&set);
    let reference = world.reference(&set);
    let mut differ = |what: &dyn Debug, fast: &dyn Debug, reference: &dyn Debug| {
        let name = &world.name;
        writeln!(
            unlike,
            "\n{name} {semantics:?} {what:?}:\n  {fast:?}\n  {reference:?}"
        )
        .unwrap();
    };
    let what = |error: &ResolveError| match error {
        ResolveError::Conflict {
            direction, what, ..
        } => (*direction, *what),
        other => panic!("{other}"),
    };
    let policy = match (fast, reference.conflict()) {
        (Ok(policy), None) => policy,
        (Err(fast), Some(slow)) if what(&fast) == what(&slow) => return 1,
        (fast, slow) => {
            differ(&"conflict", &fast.err(), &slow);
            return 1;
        }
    };
    for direction in Direction::ALL {
        if policy.enforced(direction) != reference.enforced(direction) {
            differ(
                &direction,
                &policy.enforced(direction),
                &reference.enforced(direction),
            );
        }
    }
    for query in &world.queries {
        let decision = policy.check(query);
        let answer = reference.check(query);
        let slow = (answer.verdict, answer.redirect, answer.auth);
        let found = policy.map_state().lookup(query).map(|(_, entry)| entry);
        let table = found.map_or((Verdict::Deny, None, AuthMode::Disabled), |entry| {
            (entry.action.verdict(), entry.action.redirect(), entry.auth)
        });
        for said in [short(&decision), table] {
            if said != slow {
                differ(query, &said, &slow);
            }
        }
        let (fast, slow) = (decision.l7().map(told), answer.l7.map(told));
        if fast != slow {
            differ(query, &fast, &slow);
        }
    }
    u64::try_from(world.queries.len()).unwrap()
}
/// What worlds do not say, each in turn.
fn settings(options: Options, at: u64) -> Options {
    let nth = |place: u64| at / place % 2 == 1;
    options
        .network_policies(match nth(1) {
            true => NetworkPolicyReading::Cilium,
            false => NetworkPolicyReading::Kubernetes,
        })
        .ip_blocks(match nth(2) {
            true => IpBlocks::SkipPods,
            false => IpBlocks::MatchPods,
        })
        .cidr_match(CidrMatch {
            nodes: nth(4),
            pods: nth(8),
        })
}

fn short(decision: &Decision) -> (Verdict, Option<Redirect>, AuthMode) {
    (decision.verdict(), decision.redirect(), decision.auth())
}

/// What a proxy is told, in one order.
fn told(policy: L7Policy) -> (String, bool, Vec<String>, Vec<Box<str>>) {
    fn texts<R: Debug>(rules: &[R]) -> Vec<String> {
        rules.iter().map(|rule| format!("{rule:?}")).collect()
    }
    let reader = format!(
        "{:?} {:?} {:?}",
        policy.parser, policy.parser_name, policy.listener
    );
    let mut rules = match &policy.rules {
        _ if policy.unrestricted => Vec::new(),
        L7Rules::None => Vec::new(),
        L7Rules::Http(rules) => texts(rules),
        L7Rules::Kafka(rules) => texts(rules),
        L7Rules::Dns(rules) => texts(rules),
        L7Rules::Other { rules, .. } => texts(rules),
    };
    rules.sort();
    (reader, policy.unrestricted, rules, policy.server_names)
}
