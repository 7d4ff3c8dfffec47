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

use std::fmt::{Debug, Write};

use porin_identity::{Families, Identities, IdentityId, Label, Labels, Snapshot};
use porin_policy::{
    AllowLocalhost, AuthMode, Backends, CidrMatch, Decision, Direction, Enforcement, IpBlocks,
    L7Policy, L7Rules, NamedPort, NamedPorts, NetworkPolicyReading, Options, PolicySet, PortNames,
    Query, Redirect, Reference, RefusedDocuments, ResolveError, Resolver, Semantics, Service,
    Verdict,
};
use serde_json::Value;

fn number(name: &str, otherwise: u64) -> u64 {
    let value = std::env::var(name).ok();
    value.map_or(otherwise, |value| value.parse().unwrap())
}

#[test]
fn the_engines_agree_in_every_world() {
    let (seed, worlds) = (number("PORIN_SEED", 4), number("PORIN_WORLDS", 350));
    let (mut flows, mut unlike) = (0, String::new());
    for at in 0..worlds {
        let world = World::read(&porin_worlds::world(seed, at, 60), at);
        for semantics in [Semantics::Cilium, Semantics::Strict] {
            flows += world.compare(semantics, &mut unlike);
        }
    }
    assert!(unlike.is_empty(), "{flows} flows:{unlike:.60000}");
    assert!(flows > worlds * 60, "{flows} flows only");
}

/// A world to be asked about.
struct World {
    name: String,
    options: Options,
    texts: Vec<String>,
    services: Vec<Service>,
    identities: Snapshot,
    subject: IdentityId,
    named: NamedPorts,
    own: PortNames,
    queries: Vec<Query>,
}

impl World {
    fn read(world: &Value, at: u64) -> Self {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let families = match world["config"]["dual_stack"].as_bool().unwrap() {
            true => Families::Dual,
            false => Families::V4,
        };
        let mut identities = Identities::new(families);
        let mut named = NamedPorts::new();
        for identity in world["identities"].as_array().unwrap() {
            let texts = identity["labels"].as_array().unwrap().iter();
            let labels: Labels = texts
                .map(|one| text(one).parse::<Label>().unwrap())
                .collect();
            let id = id(&identity["id"]);
            if labels.namespace().is_some() {
                named.insert(id, names(&world["named_ports"]["cluster"]));
            }
            identities.insert_fixed(id, labels).unwrap();
        }
        Self {
            name: text(&world["name"]),
            options: options(&world["config"], families, at),
            texts: world["policies"]
                .as_array()
                .unwrap()
                .iter()
                .map(text)
                .collect(),
            services: services(&world["services"]),
            identities: identities.snapshot(),
            subject: id(&world["subject"]),
            named,
            own: names(&world["named_ports"]["subject"]),
            queries: world["flows"]
                .as_array()
                .unwrap()
                .iter()
                .map(query)
                .collect(),
        }
    }

    /// How many flows were compared.
    fn compare(&self, semantics: Semantics, unlike: &mut String) -> u64 {
        let mut set = PolicySet::new(self.options.clone().semantics(semantics));
        set.set_services(self.services.clone());
        let files = self.texts.iter().enumerate();
        set.load(files.map(|(at, text)| (format!("{at}.yaml"), text)))
            .unwrap();
        let mut resolver = Resolver::new(&set, &self.identities);
        for (identity, names) in &self.named {
            resolver.set_named_ports(*identity, names.clone());
        }
        let fast = resolver.resolve_endpoint(self.subject, &self.own);
        let reference = Reference::new(&set, &self.identities, self.subject)
            .unwrap()
            .named_ports(&self.named)
            .own_ports(&self.own);
        let mut differ = |what: &dyn Debug, fast: &dyn Debug, reference: &dyn Debug| {
            let name = &self.name;
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
        for query in &self.queries {
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
        u64::try_from(self.queries.len()).unwrap()
    }
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

fn id(value: &Value) -> IdentityId {
    IdentityId::new(u32::try_from(value.as_u64().unwrap()).unwrap())
}

fn query(flow: &Value) -> Query {
    let query = match flow["direction"].as_str().unwrap() {
        "ingress" => Query::ingress(id(&flow["peer"])),
        _ => Query::egress(id(&flow["peer"])),
    };
    let port = u16::try_from(flow["port"].as_u64().unwrap()).unwrap();
    query.on(flow["protocol"].as_str().unwrap().parse().unwrap(), port)
}

fn names(ports: &Value) -> PortNames {
    let mut names = PortNames::default();
    for port in ports.as_array().into_iter().flatten() {
        let number = u16::try_from(port["port"].as_u64().unwrap()).unwrap();
        let protocol = port["protocol"].as_str().unwrap().parse().unwrap();
        names.add(&[NamedPort::new(
            port["name"].as_str().unwrap(),
            protocol,
            number,
        )]);
    }
    names
}

fn services(list: &Value) -> Vec<Service> {
    let boxed = |value: &Value| Box::from(value.as_str().unwrap());
    let one = |service: &Value| {
        let labels = service["labels"].as_object().into_iter().flatten();
        let labels = labels
            .map(|(key, value)| (Box::from(key.as_str()), boxed(value)))
            .collect();
        let endpoints = service["endpoints"].as_array().into_iter().flatten();
        let backends = match service["selectorless"].as_bool().unwrap() {
            true => Backends::Addresses(
                endpoints
                    .map(|one| one.as_str().unwrap().parse().unwrap())
                    .collect(),
            ),
            false => Backends::Pods([("app".into(), "db".into())].into()),
        };
        Service {
            name: boxed(&service["name"]),
            namespace: boxed(&service["namespace"]),
            labels,
            backends,
        }
    };
    list.as_array().into_iter().flatten().map(one).collect()
}

/// What the world says, and of what it does not say, each in turn.
fn options(config: &Value, families: Families, at: u64) -> Options {
    let flag = |field: &str| config[field].as_bool().unwrap();
    let nth = |place: u64| at / place % 2 == 1;
    Options::new()
        .refused(RefusedDocuments::Skip)
        .families(families)
        .enforcement(match config["enforcement"].as_str().unwrap() {
            "always" => Enforcement::Always,
            "never" => Enforcement::Never,
            _ => Enforcement::Default,
        })
        .allow_localhost(match config["allow_localhost"].as_str().unwrap() {
            "policy" => AllowLocalhost::Policy,
            _ => AllowLocalhost::Always,
        })
        .host_firewall(flag("host_firewall"))
        .cluster_name(config["cluster_name"].as_str().unwrap())
        .default_local_cluster(flag("default_local_cluster"))
        .node_labels(flag("node_selector_labels"))
        .non_default_deny(flag("non_default_deny"))
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
