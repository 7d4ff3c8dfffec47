//! The walk-through: what its policies really let through, as written and corrected.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

use std::path::Path;

use porin_identity::{Families, Identities, IdentityId, Labels};
use porin_policy::{
    EndpointPolicy, Options, PolicySet, Protocol, Query, RefusedOutcome, Semantics, Verdict, World,
};

struct Act {
    set: PolicySet,
    world: World,
    identities: Identities,
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

impl Act {
    fn new(act: &str, semantics: Semantics) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/walkthrough");
        let files = std::fs::read_dir(root.join(act)).unwrap();
        let mut files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
        files.sort();
        let files = files
            .iter()
            .map(|path| (path.display().to_string(), read(path)));
        let mut set = PolicySet::new(Options::new().semantics(semantics));
        let report = set.load(files).unwrap();
        let refused: Vec<_> = report
            .refused
            .iter()
            .map(|refused| refused.outcome)
            .collect();
        let expected = if (act, semantics) == ("as-written", Semantics::Cilium) {
            1
        } else {
            0
        };
        assert_eq!(refused, vec![RefusedOutcome::LeftOut; expected]);
        let mut identities = Identities::new(Families::Dual);
        for block in set.prefixes() {
            identities.intern_local(block, []).unwrap();
        }
        let world = World::parse("world.yaml", &read(&root.join("world.yaml"))).unwrap();
        Self {
            set,
            world,
            identities,
        }
    }

    fn identity(&mut self, name: &str) -> IdentityId {
        if let Some(workload) = self.world.workload(name) {
            return self
                .identities
                .intern(workload.identity("default").unwrap())
                .unwrap()
                .id;
        }
        let block = match name {
            "load-balancer" => "10.0.0.0/24",
            "partner" => "10.20.30.0/24",
            _ => return IdentityId::WORLD_IPV4,
        };
        let block = block.parse().unwrap();
        if !self.set.prefixes().contains(&block) {
            return IdentityId::WORLD_IPV4;
        }
        self.identities.intern_local(block, []).unwrap().id
    }

    fn policy(&mut self, subject: &str) -> EndpointPolicy {
        let subject = self.identity(subject);
        self.set
            .resolve(subject, &self.identities.snapshot())
            .unwrap()
    }

    fn ingress(&mut self, from: &str, to: &str, port: u16) -> Verdict {
        let peer = self.identity(from);
        self.policy(to)
            .check(&Query::ingress(peer).tcp(port))
            .verdict()
    }

    fn egress(&mut self, from: &str, to: &str, port: u16) -> Verdict {
        let peer = self.identity(to);
        self.policy(from)
            .check(&Query::egress(peer).tcp(port))
            .verdict()
    }

    /// A look-alike of a workload in another namespace.
    fn look_alike(&mut self, namespace: &str, role: &str) -> IdentityId {
        let labels = [("role", role)];
        let labels = Labels::workload(namespace, None, "default", labels).unwrap();
        self.identities.intern(labels).unwrap().id
    }
}

const EVERYBODY: [&str; 9] = [
    "frontend",
    "backend-api",
    "internal-kafka-client",
    "postgres",
    "kafka",
    "stranger",
    "load-balancer",
    "partner",
    "internet",
];

const BOTH: [Semantics; 2] = [Semantics::Cilium, Semantics::Strict];

#[test]
fn as_written_it_lets_through_what_the_table_says() {
    for semantics in BOTH {
        let mut act = Act::new("as-written", semantics);
        let closed_at_postgres = semantics == Semantics::Strict;
        for who in EVERYBODY {
            assert_eq!(act.ingress(who, "frontend", 443), Verdict::Allow, "{who}");
            assert_eq!(act.ingress(who, "frontend", 80), Verdict::Deny, "{who}");
            assert_eq!(act.egress("frontend", who, 9999), Verdict::Allow, "{who}");
            assert_eq!(
                act.egress("backend-api", who, 9999),
                Verdict::Allow,
                "{who}"
            );
            for port in [8080, 9090] {
                assert_eq!(
                    act.ingress(who, "backend-api", port),
                    Verdict::Deny,
                    "{who} {port}"
                );
            }
            assert_eq!(act.ingress(who, "postgres", 5432), Verdict::Deny, "{who}");
            let out = if closed_at_postgres {
                Verdict::Deny
            } else {
                Verdict::Allow
            };
            assert_eq!(act.egress("postgres", who, 80), out, "{who}");
            let kafka = if who == "partner" {
                Verdict::Allow
            } else {
                Verdict::Deny
            };
            assert_eq!(act.ingress(who, "kafka", 22), kafka, "{who}");
        }
    }
}

#[test]
fn as_written_the_look_alike_needs_http_rules_under_strict_only() {
    let unrestricted = BOTH.map(|semantics| {
        let mut act = Act::new("as-written", semantics);
        let peer = act.look_alike("backend", "frontend");
        let decision = act
            .policy("backend-api")
            .check(&Query::ingress(peer).tcp(8080));
        decision.redirect().map(|redirect| redirect.unrestricted)
    });
    assert_eq!(unrestricted, [Some(true), Some(false)]);
}

#[test]
fn corrected_it_holds_what_the_prose_promises() {
    for semantics in BOTH {
        let mut act = Act::new("corrected", semantics);
        for who in EVERYBODY {
            let allowed = |names: &[&str]| match names.contains(&who) {
                true => Verdict::Allow,
                false => Verdict::Deny,
            };
            assert_eq!(
                act.ingress(who, "frontend", 443),
                allowed(&["load-balancer"]),
                "{who}"
            );
            assert_eq!(act.ingress(who, "frontend", 80), Verdict::Deny, "{who}");
            let api = act.ingress(who, "backend-api", 8080);
            assert_eq!(api == Verdict::Deny, who != "frontend", "{who}: {api}");
            assert_eq!(
                act.ingress(who, "backend-api", 9090),
                Verdict::Deny,
                "{who}"
            );
            assert_eq!(
                act.ingress(who, "postgres", 5432),
                allowed(&["backend-api"]),
                "{who}"
            );
            assert_eq!(act.egress("postgres", who, 443), Verdict::Deny, "{who}");
            let kafka = act.ingress(who, "kafka", 9092);
            let clients = ["backend-api", "internal-kafka-client", "partner"];
            assert_eq!(
                kafka == Verdict::Deny,
                !clients.contains(&who),
                "{who}: {kafka}"
            );
            assert_eq!(act.ingress(who, "kafka", 22), Verdict::Deny, "{who}");
        }
        let host = Query::ingress(IdentityId::HOST).on(Protocol::ICMP, 8);
        assert_eq!(act.policy("kafka").check(&host).verdict(), Verdict::Allow);
    }
}
