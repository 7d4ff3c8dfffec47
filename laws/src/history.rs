use std::time::Duration;

use porin_identity::{Identities, IdentityDelta};
use porin_policy::{Document, EndpointPolicy, PolicySet, ResolveError, Resolver};
use porin_worlds::Random;

use crate::{Broken, World};

/// A policy that followed every change one by one is the policy that is made from the outcome:
/// identities come and go, documents and rules of them are added and taken away in random order.
///
/// # Errors
/// What differs.
pub fn history_leaves_no_trace(world: &World, random: &mut Random) -> Result<(), Broken> {
    let whole = world.set()?;
    let mut set = whole.clone();
    let mut registry = world.registry()?;
    let mut follower = Follower::new(world, &set, &registry);
    for (step, place) in shuffled(whole.documents().count(), random) {
        let Some(document) = whole.documents().nth(place) else {
            continue;
        };
        match step {
            Step::Away => match shortened(document, random) {
                Some(shorter) => drop(set.upsert(shorter).map_err(Broken::of)?),
                None => drop(set.remove(&document.name)),
            },
            Step::Back => drop(set.upsert(document.clone()).map_err(Broken::of)?),
        }
        follower.set(&set);
        follower.compare(world, &set, &registry)?;
    }
    for (step, place) in shuffled(world.identities.len(), random) {
        let Some((id, labels)) = world.identities.get(place) else {
            continue;
        };
        match step {
            Step::Away if *id == world.subject => continue,
            Step::Away => {
                registry.release(*id, Duration::ZERO).map_err(Broken::of)?;
                registry.expire(Duration::from_secs(1));
            }
            Step::Back if registry.labels(*id).is_some() => continue,
            Step::Back => registry
                .insert_fixed(*id, labels.clone())
                .map_err(Broken::of)?,
        }
        follower.identities(&registry.take_delta());
    }
    follower.compare(world, &set, &registry)?;
    match set.hash() == whole.hash() {
        true => Ok(()),
        false => Err(Broken::of(
            "documents that came back changed the hash of the set",
        )),
    }
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Away,
    Back,
}

/// Takes each of so many away and brings it back, in random order.
fn shuffled(count: usize, random: &mut Random) -> Vec<(Step, usize)> {
    let mut away: Vec<usize> = (0..count).collect();
    let mut back = Vec::new();
    let mut steps = Vec::new();
    while !(away.is_empty() && back.is_empty()) {
        let leaves = back.is_empty() || !away.is_empty() && random.chance(50);
        let from = if leaves { &mut away } else { &mut back };
        let place = from.swap_remove(random.below(from.len()));
        steps.push((if leaves { Step::Away } else { Step::Back }, place));
        if leaves {
            back.push(place);
        }
    }
    steps
}

/// In half of all cases, the document without one of its rules.
fn shortened(document: &Document, random: &mut Random) -> Option<Document> {
    let mut shorter = document.clone();
    let place = random.below(shorter.specs.len());
    let rules = &mut shorter.specs.get_mut(place)?.rules;
    if rules.len() < 2 || random.chance(50) {
        return None;
    }
    rules.remove(random.below(rules.len()));
    Some(shorter)
}

/// A policy that is kept current.
struct Follower {
    resolver: Resolver,
    /// The last one that could be computed.
    policy: Option<EndpointPolicy>,
    failed: Option<ResolveError>,
    world_subject: porin_identity::IdentityId,
}

impl Follower {
    fn new(world: &World, set: &PolicySet, registry: &Identities) -> Self {
        let mut follower = Self {
            resolver: world.resolver(set, &registry.snapshot()),
            policy: None,
            failed: None,
            world_subject: world.subject,
        };
        follower.refresh(&IdentityDelta::default());
        follower
    }

    fn set(&mut self, set: &PolicySet) {
        self.resolver.update(set);
        self.refresh(&IdentityDelta::default());
    }

    fn identities(&mut self, delta: &IdentityDelta) {
        self.resolver.apply(delta);
        self.refresh(delta);
    }

    fn refresh(&mut self, delta: &IdentityDelta) {
        // What changed while the policy could not be computed is not known to it.
        let refreshed = match (&mut self.policy, &self.failed) {
            (Some(policy), None) => self.resolver.refresh(policy, delta).map(|_| ()),
            _ => self
                .resolver
                .resolve(self.world_subject)
                .map(|policy| self.policy = Some(policy)),
        };
        self.failed = refreshed.err();
    }

    fn compare(&self, world: &World, set: &PolicySet, registry: &Identities) -> Result<(), Broken> {
        let fresh = world
            .resolver(set, &registry.snapshot())
            .resolve(world.subject);
        let (followed, fresh) = match (&self.policy, &self.failed, &fresh) {
            (_, Some(ours), Err(theirs)) if ours == theirs => return Ok(()),
            (Some(followed), None, Ok(fresh)) => (followed, fresh),
            (_, ours, theirs) => {
                let theirs = theirs.as_ref().err();
                return Err(Broken::of(format!("followed: {ours:?}; fresh: {theirs:?}")));
            }
        };
        let content = |policy: &EndpointPolicy| policy.map_state().content();
        let staged = |policy: &EndpointPolicy| policy.staged().map(content);
        if content(followed) != content(fresh) || staged(followed) != staged(fresh) {
            return Err(Broken::of("the followed table is not the fresh one"));
        }
        for query in &world.queries {
            let (ours, theirs) = (followed.check(query), fresh.check(query));
            if ours != theirs || ours.l7() != theirs.l7() {
                return Err(Broken::of(format!("followed: {ours}; fresh: {theirs}")));
            }
        }
        Ok(())
    }
}
