//! The acceptance matrix: who may reach whom in which act.

use porin::flow::DropReason;
use porin::policy::Semantics;

use super::cast::{LOOK_ALIKE_API, LOOK_ALIKE_FRONTEND};
use super::probe::{Act, Probe, Promise, What};

const HTTPS: What = What::Https(443);
const HTTP: What = What::Http(80);
const API: What = What::Http(8080);
const METRICS: What = What::Http(9090);
const SQL: What = What::Sql(5432);
const BROKER: What = What::Broker(9092);

/// The lines of an act, as they are written down.
struct Matrix {
    act: Act,
    probes: Vec<Probe>,
}

/// Every probe of an act, under the semantics that are in force.
pub(crate) fn probes(act: Act, semantics: Semantics) -> Vec<Probe> {
    let mut matrix = Matrix {
        act,
        probes: Vec::new(),
    };
    match act {
        Act::AsWritten => matrix.as_written(semantics),
        Act::Corrected => matrix.corrected(),
    }
    matrix.probes
}

impl Matrix {
    /// What the eleven policies really let through. The two semantics differ where a list is
    /// empty (PL001) and where an allow without rules for requests stands beside one with such
    /// rules (PL004).
    fn as_written(&mut self, semantics: Semantics) {
        let everyone = [
            "load-balancer",
            "partner",
            "internet",
            "stranger",
            "backend-api",
        ];
        self.open("frontend", HTTPS, &everyone);
        self.open_ipv6("frontend", HTTPS, &["stranger"]);
        let all = ["load-balancer", "internet", "stranger", "backend-api"];
        self.closed("frontend", HTTP, &all);
        self.closed_ipv6("frontend", HTTP, &["stranger"]);
        self.open("internet", HTTPS, &["frontend", "backend-api"]);
        self.open("stranger", HTTP, &["frontend", "backend-api"]);

        let all = [
            "frontend",
            "load-balancer",
            "stranger",
            "internal-kafka-client",
        ];
        self.closed("backend-api", API, &all);
        self.closed_ipv6("backend-api", API, &["frontend"]);
        self.closed(
            "backend-api",
            METRICS,
            &["frontend", "stranger", LOOK_ALIKE_FRONTEND],
        );
        let unasked = Promise::Dropped(DropReason::L7_WITHOUT_PROXY);
        let dissolved = match semantics {
            Semantics::Cilium => Promise::Open,
            Semantics::Strict => unasked,
        };
        self.line("backend-api", API, false, dissolved, &[LOOK_ALIKE_FRONTEND]);

        let all = ["backend-api", "frontend", "stranger", "internet"];
        self.closed("postgres", SQL, &all);
        self.closed_ipv6("postgres", SQL, &["backend-api"]);
        let outbound = match semantics {
            Semantics::Cilium => Promise::Open,
            Semantics::Strict => Promise::Closed,
        };
        self.line("stranger", HTTP, false, outbound, &["postgres"]);
        self.line("stranger", HTTP, true, outbound, &["postgres"]);
        self.line("internet", HTTPS, false, outbound, &["postgres"]);

        self.open("kafka", BROKER, &["partner"]);
        self.open("kafka", HTTP, &["partner"]);
        let all = [
            "backend-api",
            "internal-kafka-client",
            "stranger",
            "load-balancer",
        ];
        self.closed("kafka", BROKER, &all);
        self.closed("kafka", HTTP, &["stranger"]);
        self.line("kafka", BROKER, false, unasked, &[LOOK_ALIKE_API]);
    }

    /// What the prose promises, up to the transport; the same under both semantics.
    fn corrected(&mut self) {
        self.open("frontend", HTTPS, &["load-balancer"]);
        let others = ["internet", "partner", "stranger", "backend-api"];
        self.closed("frontend", HTTPS, &others);
        self.closed_ipv6("frontend", HTTPS, &["stranger"]);
        self.closed("frontend", HTTP, &["load-balancer", "internet", "stranger"]);

        self.open("backend-api", API, &["frontend"]);
        self.open_ipv6("backend-api", API, &["frontend"]);
        let others = [
            "load-balancer",
            "internet",
            "stranger",
            "internal-kafka-client",
        ];
        self.closed("backend-api", API, &others);
        self.closed_ipv6("backend-api", API, &["stranger"]);
        self.closed("backend-api", METRICS, &["frontend", "stranger"]);

        self.open("postgres", SQL, &["backend-api"]);
        self.open_ipv6("postgres", SQL, &["backend-api"]);
        let others = ["frontend", "stranger", "internet", "internal-kafka-client"];
        self.closed("postgres", SQL, &others);
        self.closed("stranger", HTTP, &["postgres"]);
        self.closed_ipv6("stranger", HTTP, &["postgres"]);
        self.closed("internet", HTTPS, &["postgres"]);

        let clients = ["internal-kafka-client", "partner", "backend-api"];
        self.open("kafka", BROKER, &clients);
        self.closed("kafka", BROKER, &["stranger", "load-balancer", "internet"]);
        self.closed("kafka", HTTP, &["partner", "internal-kafka-client"]);
    }

    fn open(&mut self, to: &str, what: What, from: &[&str]) {
        self.line(to, what, false, Promise::Open, from);
    }

    fn open_ipv6(&mut self, to: &str, what: What, from: &[&str]) {
        self.line(to, what, true, Promise::Open, from);
    }

    fn closed(&mut self, to: &str, what: What, from: &[&str]) {
        self.line(to, what, false, Promise::Closed, from);
    }

    fn closed_ipv6(&mut self, to: &str, what: What, from: &[&str]) {
        self.line(to, what, true, Promise::Closed, from);
    }

    fn line(&mut self, to: &str, what: What, ipv6: bool, promised: Promise, from: &[&str]) {
        for &from in from {
            let family = if ipv6 { "-ipv6" } else { "" };
            self.probes.push(Probe {
                act: self.act,
                id: format!("{to}-{}-from-{from}{family}", what.port()),
                from: from.to_owned(),
                to: to.to_owned(),
                what,
                ipv6,
                story: None,
                promised,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_probe_of_an_act_has_a_name_of_its_own() {
        for semantics in [Semantics::Strict, Semantics::Cilium] {
            for act in [Act::AsWritten, Act::Corrected] {
                let probes = probes(act, semantics);
                let names: BTreeSet<_> = probes.iter().map(|probe| &probe.id).collect();
                assert_eq!(names.len(), probes.len());
            }
        }
    }

    #[test]
    fn the_semantics_differ_only_as_written() {
        let promises = |act, semantics| -> Vec<Promise> {
            let probes = probes(act, semantics);
            probes.iter().map(|probe| probe.promised).collect()
        };
        let differ = |act| promises(act, Semantics::Strict) != promises(act, Semantics::Cilium);
        assert!(differ(Act::AsWritten));
        assert!(!differ(Act::Corrected));
    }
}
