//! The corrected walk-through keeps its promises at L3 and L4 under both semantics, and the one as
//! written does what its findings say.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]

use std::collections::HashMap;
use std::path::PathBuf;

use porin_identity::{Families, Identities, IdentityId, Snapshot};
use porin_policy::{Options, PolicySet, Query, Semantics, Verdict, World};

fn walkthrough(part: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../examples/walkthrough")
        .join(part)
}

struct Act {
    set: PolicySet,
    snapshot: Snapshot,
    ids: HashMap<String, IdentityId>,
}

impl Act {
    fn new(act: &str, semantics: Semantics) -> Self {
        let mut set = PolicySet::new(Options::new().semantics(semantics));
        let files = std::fs::read_dir(walkthrough(act)).unwrap().map(|entry| {
            let path = entry.unwrap().path();
            (
                path.display().to_string(),
                std::fs::read_to_string(&path).unwrap(),
            )
        });
        set.load(files).unwrap();
        let text = std::fs::read_to_string(walkthrough("world.yaml")).unwrap();
        let world = World::parse("world.yaml", &text).unwrap();
        let mut identities = Identities::new(Families::Dual);
        let mut ids = HashMap::new();
        for workload in &world.workloads {
            let id = identities
                .intern(workload.identity("default").unwrap())
                .unwrap()
                .id;
            ids.insert(workload.name.to_string(), id);
        }
        for outside in &world.outside {
            let id = match set.prefixes().contains(&outside.cidr) {
                true => identities.intern_local(outside.cidr, []).unwrap().id,
                false => IdentityId::WORLD_IPV4,
            };
            ids.insert(outside.name.to_string(), id);
        }
        Self {
            set,
            snapshot: identities.snapshot(),
            ids,
        }
    }

    /// Whether a connection is let out by the one side and in by the other.
    fn passes(&self, from: &str, to: &str, port: u16) -> bool {
        let (source, destination) = (self.ids[from], self.ids[to]);
        let allows = |subject: IdentityId, query: Query| {
            let inside = subject.get() > 255 && subject.get() < 1 << 24;
            !inside
                || self
                    .set
                    .resolve(subject, &self.snapshot)
                    .unwrap()
                    .check(&query)
                    .verdict()
                    != Verdict::Deny
        };
        allows(source, Query::egress(destination).tcp(port))
            && allows(destination, Query::ingress(source).tcp(port))
    }

    /// Who of all others reaches a port.
    fn reaching(&self, to: &str, port: u16) -> Vec<&str> {
        let others = self
            .ids
            .keys()
            .map(String::as_str)
            .filter(|from| *from != to);
        let mut found: Vec<_> = others.filter(|from| self.passes(from, to, port)).collect();
        found.sort_unstable();
        found
    }
}

#[test]
fn the_corrected_set_holds_the_matrix_under_both_semantics() {
    for semantics in [Semantics::Strict, Semantics::Cilium] {
        let act = Act::new("corrected", semantics);
        assert_eq!(act.reaching("frontend", 443), ["load-balancer"]);
        assert!(act.reaching("frontend", 80).is_empty());
        assert_eq!(act.reaching("backend-api", 8080), ["frontend"]);
        assert!(act.reaching("backend-api", 9090).is_empty());
        assert_eq!(act.reaching("postgres", 5432), ["backend-api"]);
        assert_eq!(
            act.reaching("kafka", 9092),
            ["backend-api", "internal-kafka-client", "partner"]
        );
        assert!(act.reaching("kafka", 9093).is_empty());
        for to in ["stranger", "frontend", "backend-api", "kafka", "internet"] {
            assert!(!act.passes("postgres", to, 8080), "{to}");
        }
        for to in ["stranger", "internet"] {
            assert!(
                act.passes("frontend", to, 443) && act.passes("backend-api", to, 443),
                "{to}"
            );
        }
    }
}

#[test]
fn the_set_as_written_does_what_its_findings_say() {
    for semantics in [Semantics::Strict, Semantics::Cilium] {
        let act = Act::new("as-written", semantics);
        let everyone = act.ids.len() - 1;
        let outbound = usize::from(semantics == Semantics::Strict);
        assert_eq!(act.reaching("frontend", 443).len(), everyone - outbound);
        assert!(act.reaching("frontend", 80).is_empty());
        assert!(
            act.reaching("backend-api", 8080).is_empty()
                && act.reaching("backend-api", 9090).is_empty()
        );
        assert!(act.reaching("postgres", 5432).is_empty());
        assert_eq!(act.reaching("kafka", 9092), ["partner"]);
        assert_eq!(
            act.passes("postgres", "stranger", 80),
            semantics == Semantics::Cilium
        );
    }
}
