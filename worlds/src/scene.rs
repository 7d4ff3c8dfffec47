use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::object::put;
use crate::people::{Namespace, Pod};
use crate::random::Random;
use crate::whole::{self, Whole};
use crate::{admin, cilium, cluster, flow, kubernetes, mistake, people, port, yaml};

/// Whose policy is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Subject {
    /// A pod, the first of the scene.
    #[default]
    Pod,
    /// The local host.
    Host,
    /// An endpoint with a reserved identity.
    Reserved(u32),
}

/// What of the languages a world draws on: not all at once, so that what is rare meets what it
/// bears on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Flavour {
    /// Policies of several tiers.
    pub(crate) tiers: bool,
    pub(crate) authentication: bool,
    pub(crate) l7: bool,
    pub(crate) listeners: bool,
    pub(crate) named_ports: bool,
    pub(crate) services: bool,
    /// Documents that have to be refused.
    pub(crate) mistakes: bool,
    /// Labels whose keys are named like reserved ones.
    pub(crate) odd_labels: bool,
    /// Protocols without ports.
    pub(crate) portless: bool,
}

/// The settings that answers depend on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    enforcement: &'static str,
    allow_localhost: &'static str,
    pub(crate) dual_stack: bool,
    host_firewall: bool,
    pub(crate) cluster: &'static str,
    default_local_cluster: bool,
    pub(crate) node_labels: bool,
    non_default_deny: bool,
    /// Whether blocks pick nodes, and pods.
    cidr_match: (bool, bool),
    portless_protocols: bool,
    /// Whether pods and nodes carry the label of an address.
    pub(crate) addresses: bool,
}

/// A world in the making.
#[derive(Debug)]
pub(crate) struct Scene {
    pub(crate) random: Random,
    pub(crate) subject: Subject,
    pub(crate) flavour: Flavour,
    pub(crate) settings: Settings,
    /// What the peer does not know of, where that is wanted.
    pub(crate) whole: Option<Whole>,
    pub(crate) namespaces: Vec<Namespace>,
    pub(crate) pods: Vec<Pod>,
    pub(crate) services: Vec<Value>,
    /// Blocks that documents name.
    pub(crate) blocks: BTreeSet<&'static str>,
    /// Port numbers that documents name, and their neighbours, as often as they are to be asked
    /// about.
    pub(crate) ports: Vec<u16>,
    /// Where proxies listen: whether inward, the protocol, the port.
    pub(crate) hot: Vec<(bool, &'static str, u16)>,
    /// The one authentication mode that most rules ask for.
    pub(crate) mode: &'static str,
}

/// The world with a number, of a seed, with at most so many flows: everything that Cilium knows.
#[must_use]
pub fn world(seed: u64, number: u64, flows: usize) -> Value {
    let mut world = Scene::new(source(seed, number), false).world(flows);
    put(&mut world, "name", format!("world-{seed}-{number}").into());
    world
}

/// A world of the whole language: besides what [`world`] draws on AdminNetworkPolicy and
/// BaselineAdminNetworkPolicy, content in every tier, staged rules, groups of blocks, protocols
/// without ports, both semantics and every reading.
#[must_use]
pub fn whole_world(seed: u64, number: u64, flows: usize) -> Value {
    let mut world = whole_world_of(source(seed, number), flows);
    put(&mut world, "name", format!("whole-{seed}-{number}").into());
    world
}

/// The same from any source of choices.
#[must_use]
pub fn whole_world_of(random: Random, flows: usize) -> Value {
    Scene::new(random, true).world(flows)
}

fn source(seed: u64, number: u64) -> Random {
    let mut mixed = Random::new(seed);
    Random::new(mixed.any() ^ number.wrapping_mul(0x2545_f491_4f6c_dd1d))
}

impl Scene {
    fn world(mut self, flows: usize) -> Value {
        let scene = &mut self;
        let count = scene
            .random
            .weighted(&[(20, 1), (22, 2), (20, 3), (18, 4), (12, 5), (8, 6)]);
        let mut objects: Vec<Value> = (0..count.max(1)).map(|at| scene.document(at)).collect();
        objects.extend(whole::groups(scene));
        let policies: Vec<String> = objects.iter().map(|object| scene.text(object)).collect();
        let identities = people::identities(scene);
        let flows = flow::flows(scene, &identities, flows);
        let mut config = scene.settings.json();
        whole::settings(scene, &mut config);
        let mut world = json!({
            "about": format!("random world, {:?}", scene.subject),
            "source": "generated",
            "config": config,
            "policies": policies,
            "objects": objects,
            "identities": identities,
            "subject": scene.subject(),
            "named_ports": port::named(scene),
            "flows": flows,
        });
        if !self.services.is_empty() {
            put(&mut world, "services", Value::Array(self.services));
        }
        world
    }

    fn new(mut random: Random, wholly: bool) -> Self {
        let subject = random.weighted(&[
            (92, Subject::Pod),
            (4, Subject::Host),
            (2, Subject::Reserved(5)),
            (1, Subject::Reserved(4)),
            (1, Subject::Reserved(8)),
        ]);
        let flavour = Flavour::of(&mut random, wholly);
        let mut settings = Settings::of(&mut random, subject, flavour);
        // The peer does not let blocks of a cluster-scoped policy pick pods, as the API wants it.
        settings.addresses &= wholly || !flavour.tiers;
        let whole = wholly.then(|| Whole::of(&mut random));
        let namespaces = people::namespaces(&mut random);
        let pods = people::pods(
            &mut random,
            &namespaces,
            settings.cluster,
            flavour.odd_labels,
        );
        let mode = random.word(&["required", "required", "test-always-fail", "disabled"]);
        let mut scene = Self {
            random,
            subject,
            flavour,
            settings,
            whole,
            namespaces,
            pods,
            services: Vec::new(),
            blocks: BTreeSet::new(),
            ports: Vec::new(),
            hot: Vec::new(),
            mode,
        };
        scene.services = people::services(&mut scene);
        scene
    }

    /// The number of the subject's identity.
    pub(crate) fn subject(&self) -> u32 {
        match self.subject {
            Subject::Pod => self.pods.first().map_or(0, |pod| pod.id),
            Subject::Host => 1,
            Subject::Reserved(id) => id,
        }
    }

    /// The namespace that most policies live in: the subject's.
    pub(crate) fn home(&self) -> &'static str {
        self.pods.first().map_or("default", |pod| pod.namespace)
    }

    /// One policy document.
    fn document(&mut self, at: usize) -> Value {
        let tiers = if self.flavour.tiers { 40 } else { 0 };
        let older = if self.whole.is_some() { tiers } else { 0 };
        let object = match self.random.weighted(&[
            (50, 0),
            (22, 1),
            (20, 2),
            (tiers, 3),
            (older, 4),
            (older / 2, 5),
        ]) {
            1 => cilium::clusterwide(self, at),
            2 => kubernetes::policy(self, at),
            3 => cluster::policy(self, at),
            4 => admin::policy(self, at),
            5 => admin::baseline(self),
            _ => cilium::namespaced(self, at),
        };
        let object = whole::stage(self, object);
        mistake::perhaps(self, object)
    }

    /// A document as text, in either of the forms that people write.
    fn text(&mut self, object: &Value) -> String {
        if self.random.chance(50) {
            object.to_string()
        } else {
            yaml::write(object)
        }
    }
}

impl Flavour {
    fn of(random: &mut Random, wholly: bool) -> Self {
        let tiers = random.chance(if wholly { 40 } else { 12 });
        // The peer is not asked what proxies are told about content across tiers.
        let l7 = (wholly || !tiers) && random.chance(45);
        Self {
            tiers,
            authentication: random.chance(30),
            l7,
            listeners: l7 && random.chance(20),
            named_ports: random.chance(30),
            services: random.chance(12),
            mistakes: random.chance(8),
            odd_labels: random.chance(3),
            portless: random.chance(10),
        }
    }
}

impl Settings {
    fn of(random: &mut Random, subject: Subject, flavour: Flavour) -> Self {
        let host = subject == Subject::Host;
        Self {
            enforcement: random.weighted(&[(88, "default"), (8, "always"), (4, "never")]),
            allow_localhost: random.weighted(&[(85, "always"), (15, "policy")]),
            dual_stack: random.chance(20),
            host_firewall: random.chance(if host { 85 } else { 3 }),
            cluster: random.weighted(&[(85, "default"), (15, "west")]),
            default_local_cluster: random.chance(50),
            node_labels: random.chance(15),
            non_default_deny: random.chance(96),
            cidr_match: (random.chance(15), random.chance(15)),
            portless_protocols: flavour.portless && random.chance(75),
            addresses: random.chance(40),
        }
    }

    fn json(self) -> Value {
        let (nodes, pods) = self.cidr_match;
        json!({
            "enforcement": self.enforcement,
            "allow_localhost": self.allow_localhost,
            "dual_stack": self.dual_stack,
            "host_firewall": self.host_firewall,
            "cluster_name": self.cluster,
            "default_local_cluster": self.default_local_cluster,
            "node_selector_labels": self.node_labels,
            "non_default_deny": self.non_default_deny,
            "cidr_match": {"nodes": nodes, "pods": pods},
            "portless_protocols": self.portless_protocols,
        })
    }
}
