//! Truth tables over a cluster: who reaches whom, in steps.
//!
//! Every step says who there is, which policies are in force, and for each probe and each pair
//! whether the source's egress and the destination's ingress allow it. Both are asked of every
//! engine. The policies come about by changes from step to step, and must be what they would be if
//! everything had begun at that step.

mod case;
mod course;
mod world;

use porin::policy::{
    EndpointPolicy, IpBlocks, Options, PortNames, Query, RefusedDocuments, Semantics,
};

use self::case::{Case, Expect, Table};
use self::course::Course;
use super::Fault;
use super::answer::Answer;
use super::engine::{Asked, Engine, Engines, Posed};
use super::tally::Outcome;

/// The name of the tables for engines whose blocks do not cover pods.
const SKIPS_PODS: &str = "ipblock-skips-pods";

/// A reading under which a case is run.
struct Reading {
    name: &'static str,
    blocks: IpBlocks,
    semantics: Semantics,
    /// Which tables it gives.
    tables: Option<&'static str>,
}

const READINGS: [Reading; 3] = [
    Reading {
        name: "",
        blocks: IpBlocks::MatchPods,
        semantics: Semantics::Strict,
        tables: None,
    },
    Reading {
        name: " (blocks skip pods)",
        blocks: IpBlocks::SkipPods,
        semantics: Semantics::Strict,
        tables: Some(SKIPS_PODS),
    },
    // Whose reading is enforced makes no difference for these kinds, but for pods with labels that
    // upstream takes for reserved ones.
    Reading {
        name: " (as Cilium)",
        blocks: IpBlocks::MatchPods,
        semantics: Semantics::Cilium,
        tables: None,
    },
];

/// What a case is called whose pods have such labels.
const LOOKS_RESERVED: &str = "reserved-label-keys";

impl Reading {
    fn concerns(&self, case: &Case) -> bool {
        let mut steps = case.steps.iter();
        let has_tables = |name| steps.any(|step| step.expect.alt.contains_key(name));
        let odd = self.semantics == Semantics::Cilium
            && case.tags.iter().any(|tag| tag == LOOKS_RESERVED);
        self.tables.is_none_or(has_tables) && !odd
    }
}

pub(super) fn run(line: &str, engines: &mut Engines) -> Result<Outcome, Fault> {
    let case: Case = serde_json::from_str(line)?;
    let mut differences = Vec::new();
    for reading in READINGS.iter().filter(|reading| reading.concerns(&case)) {
        differences.extend(follow(&case, reading, engines)?);
    }
    Ok(Outcome::of(differences))
}

fn follow(case: &Case, reading: &Reading, engines: &mut Engines) -> Result<Vec<String>, Fault> {
    let options = Options::new()
        .semantics(reading.semantics)
        .refused(RefusedDocuments::Error)
        .ip_blocks(reading.blocks);
    let mut course = Course::new(options);
    let mut cluster = &case.cluster;
    let mut differences = Vec::new();
    for (number, step) in (1..).zip(&case.steps) {
        cluster = step.cluster.as_ref().unwrap_or(cluster);
        let mut found = course.follow(cluster, &step.policies)?;
        found.extend(ask(&mut course, &step.expect, reading, engines)?);
        let told = |text: String| format!("step {number}{}: {text}", reading.name);
        differences.extend(found.into_iter().map(told));
    }
    Ok(differences)
}

/// One endpoint that policies govern, and what is asked about it.
struct Subject<'a> {
    name: &'a str,
    /// Its place in the tables.
    place: usize,
    policy: EndpointPolicy,
    /// The names of its own ports.
    names: PortNames,
    queries: Vec<Query>,
}

impl Subject<'_> {
    fn asked<'a>(&'a self, course: &'a Course) -> Asked<'a> {
        Asked {
            posed: Posed {
                set: &course.set,
                identities: &course.snapshot,
                subject: self.policy.subject(),
                named_ports: &course.world.names,
                own_ports: &self.names,
            },
            policy: &self.policy,
            queries: &self.queries,
        }
    }

    /// What is not as the tables say, in the order of [`queries`].
    fn compare(&self, answers: &[Answer], expect: &Expect, tables: &[Table<'_>]) -> Vec<String> {
        let mut differences = Vec::new();
        let mut asked = self.queries.iter().zip(answers);
        for (place, peer) in expect.endpoints.iter().enumerate() {
            for table in tables {
                let egress = table.allowed(self.place, place).map(|(egress, _)| egress);
                let ingress = table.allowed(place, self.place).map(|(_, ingress)| ingress);
                for expected in [egress, ingress] {
                    let Some((query, answer)) = asked.next() else {
                        continue;
                    };
                    if expected.is_some_and(|expected| expected != answer.allowed) {
                        let name = self.name;
                        differences.push(format!(
                            "{name} and {peer}: {query}: {answer}, the table says otherwise"
                        ));
                    }
                }
            }
        }
        differences
    }
}

fn ask(
    course: &mut Course,
    expect: &Expect,
    reading: &Reading,
    engines: &mut Engines,
) -> Result<Vec<String>, Fault> {
    let tables = expect.tables(reading.tables)?;
    let mut subjects = Vec::new();
    for (place, name) in expect.endpoints.iter().enumerate() {
        if let Some((policy, names)) = course.resolve(name)? {
            let queries = queries(course, expect, &tables)?;
            subjects.push(Subject {
                name,
                place,
                policy,
                names,
                queries,
            });
        }
    }
    let asked: Vec<_> = subjects
        .iter()
        .map(|subject| subject.asked(course))
        .collect();
    let answers = match reading.semantics {
        Semantics::Strict => engines.ask_all(&asked)?,
        Semantics::Cilium => vec![(Engine::Fast, asked.iter().map(Asked::fast).collect())],
    };
    let mut differences = Vec::new();
    for (engine, answers) in &answers {
        for (subject, answers) in subjects.iter().zip(answers) {
            let found = subject.compare(answers, expect, &tables);
            differences.extend(found.into_iter().map(|text| format!("{engine}: {text}")));
        }
    }
    Ok(differences)
}

/// What is asked about every endpoint: for each other end and each probe, whether it may go there,
/// and whether that may come.
fn queries(course: &Course, expect: &Expect, tables: &[Table<'_>]) -> Result<Vec<Query>, Fault> {
    let mut queries = Vec::with_capacity(2 * tables.len() * expect.endpoints.len());
    for name in &expect.endpoints {
        let Some(peer) = course.world.everybody.get(name) else {
            return Err(Fault::of(format!("`{name}` is nobody")));
        };
        for table in tables {
            let directions = [Query::egress(peer.identity), Query::ingress(peer.identity)];
            queries.extend(directions.map(|query| query.on(table.protocol, table.port)));
        }
    }
    Ok(queries)
}
