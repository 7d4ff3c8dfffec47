//! One resolver that goes along from step to step, by changes alone.

use std::collections::BTreeMap;
use std::fmt::Display;

use porin::identity::{Families, Identities, IdentityId, Snapshot};
use porin::policy::{
    EndpointPolicy, Options, PolicyName, PolicySet, PortNames, Resolver, parse_documents,
};
use serde_json::Value;

use super::case::Cluster;
use super::world::World;
use crate::vectors::Fault;

/// A set of policies, a registry and a resolver, as of some step.
pub(super) struct Course {
    pub(super) set: PolicySet,
    pub(super) world: World,
    pub(super) snapshot: Snapshot,
    identities: Identities,
    resolver: Resolver,
    texts: BTreeMap<PolicyName, String>,
    policies: BTreeMap<IdentityId, EndpointPolicy>,
}

impl Course {
    /// Before the first step: nobody, and no policy.
    pub(super) fn new(options: Options) -> Self {
        let set = PolicySet::new(options);
        let identities = Identities::new(Families::Dual);
        let snapshot = identities.snapshot();
        Self {
            resolver: Resolver::new(&set, &snapshot),
            set,
            world: World::default(),
            snapshot,
            identities,
            texts: BTreeMap::new(),
            policies: BTreeMap::new(),
        }
    }

    /// Goes to the next step; returns what is not as if it had begun there.
    pub(super) fn follow(
        &mut self,
        cluster: &Cluster,
        policies: &[Value],
    ) -> Result<Vec<String>, Fault> {
        self.change(policies)?;
        let next = World::of(cluster, &self.set, &mut self.identities)?;
        let before = std::mem::replace(&mut self.world, next);
        let unnamed: Vec<_> = before.names.keys().copied().collect();
        before.release(&mut self.identities)?;
        self.snapshot = self.identities.snapshot();
        let delta = self.identities.take_delta();
        self.resolver.apply(&delta);
        self.resolver.update(&self.set);
        for id in unnamed {
            let names = self.world.names.get(&id).cloned();
            self.resolver.set_named_ports(id, names.unwrap_or_default());
        }
        name_ports(&mut self.resolver, &self.world);
        let known = &self.snapshot;
        self.policies.retain(|id, _| known.labels(*id).is_some());
        let governed: Vec<_> = governed(&self.world).collect();
        for id in governed {
            match self.policies.get_mut(&id) {
                Some(policy) => {
                    self.resolver.refresh(policy, &delta).map_err(Fault::of)?;
                }
                None => {
                    let policy = self.resolver.resolve(id).map_err(Fault::of)?;
                    self.policies.insert(id, policy);
                }
            }
        }
        self.compare(policies)
    }

    /// The policy of an endpoint and the names of its own ports, of which those of its identity may
    /// be others; `None` if no policy governs it.
    pub(super) fn resolve(
        &mut self,
        name: &str,
    ) -> Result<Option<(EndpointPolicy, PortNames)>, Fault> {
        let Some(one) = self.world.everybody.get(name) else {
            return Err(Fault::of(format!("`{name}` is nobody")));
        };
        let Some(names) = one.governed.clone() else {
            return Ok(None);
        };
        let policy = self.resolver.resolve_endpoint(one.identity, &names);
        policy
            .map(|policy| Some((policy, names)))
            .map_err(Fault::of)
    }

    /// Puts in force what is new or other, takes away what is gone.
    fn change(&mut self, policies: &[Value]) -> Result<(), Fault> {
        let mut texts = BTreeMap::new();
        for (place, policy) in policies.iter().enumerate() {
            let text = policy.to_string();
            let mut parsed = parse_documents(&format!("policies[{place}]"), &text);
            if let Some(refused) = parsed.refused.pop() {
                return Err(Fault::of(refused.error));
            }
            for document in parsed.documents {
                let name = document.name.clone();
                if self.texts.get(&name) != Some(&text) {
                    self.set.upsert(document).map_err(Fault::of)?;
                }
                texts.insert(name, text.clone());
            }
        }
        for name in self.texts.keys().filter(|name| !texts.contains_key(*name)) {
            self.set.remove(name);
        }
        self.texts = texts;
        Ok(())
    }

    /// Begins anew at this step, and compares.
    fn compare(&self, policies: &[Value]) -> Result<Vec<String>, Fault> {
        let mut set = PolicySet::new(self.set.options().clone());
        let named =
            |(place, policy): (usize, &Value)| (format!("policies[{place}]"), policy.to_string());
        set.load(policies.iter().enumerate().map(named))
            .map_err(Fault::of)?;
        let mut differences = Vec::new();
        if set.hash() != self.set.hash() {
            differences.push("the set of policies has another hash than a new one".to_owned());
        }
        let mut resolver = Resolver::new(&set, &self.snapshot);
        name_ports(&mut resolver, &self.world);
        for id in governed(&self.world) {
            let new = resolver.resolve(id).map_err(Fault::of)?;
            let kept = self.policies.get(&id);
            if kept.is_none_or(|kept| kept.map_state() != new.map_state()) {
                differences.push(unlike(id));
            }
        }
        Ok(differences)
    }
}

fn unlike(id: impl Display) -> String {
    format!("the table of identity {id} is not what a new resolver makes")
}

fn governed(world: &World) -> impl Iterator<Item = IdentityId> {
    let everybody = world.everybody.values();
    everybody
        .filter(|one| one.governed.is_some())
        .map(|one| one.identity)
}

fn name_ports(resolver: &mut Resolver, world: &World) {
    for (id, names) in &world.names {
        resolver.set_named_ports(*id, names.clone());
    }
}
