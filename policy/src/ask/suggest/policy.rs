//! Policies made of needs.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use porin_identity::IdentityId;

use super::chosen::{Chooser, Chosen};
use super::need::{Need, PeerKey};
use crate::peers::Entity;
use crate::{Direction, Protocol};

/// A suggested CiliumNetworkPolicy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SuggestedPolicy {
    /// Its name, unique in its namespace.
    pub name: String,
    /// Whom it guards; its namespace is theirs.
    pub subject: Chosen,
    /// Its allowances.
    pub rules: Vec<SuggestedRule>,
}

/// One allowance of a [`SuggestedPolicy`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SuggestedRule {
    /// The list that it stands in.
    pub direction: Direction,
    /// The other side.
    pub peers: SuggestedPeers,
    /// The ports, all of protocols that have some, or message types, all of ICMP.
    pub ports: BTreeSet<(Protocol, u16)>,
}

/// The other side of a [`SuggestedRule`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SuggestedPeers {
    /// Workloads, by their labels.
    Workloads(Vec<Chosen>),
    /// Entities.
    Entities(BTreeSet<Entity>),
    /// Addresses outside of the cluster.
    Addresses(BTreeSet<IpAddr>),
}

impl SuggestedPeers {
    fn names(&self, peer: PeerKey) -> bool {
        match (self, peer) {
            (Self::Workloads(chosen), PeerKey::Workload(id)) => {
                chosen.iter().any(|one| one.picked.contains(&id))
            }
            (Self::Entities(entities), PeerKey::Entity(entity)) => {
                entities.iter().any(|own| includes(*own, entity))
            }
            (Self::Addresses(addresses), PeerKey::Address(address)) => addresses.contains(&address),
            _ => false,
        }
    }
}

/// The API server stands on a node and carries both labels.
fn includes(own: Entity, entity: Entity) -> bool {
    own == entity || (own, entity) == (Entity::RemoteNode, Entity::KubeApiserver)
}

impl SuggestedPolicy {
    fn covers(&self, rule: &SuggestedRule, need: &Need) -> bool {
        rule.direction == need.direction
            && self.subject.picked.contains(&need.subject)
            && rule.ports.contains(&need.port)
            && rule.peers.names(need.peer)
    }
}

/// Ports of one peer, or of several alike.
type Ports = BTreeSet<(Protocol, u16)>;

/// What one subject needs, without the subject.
type Wants = BTreeSet<(Direction, PeerKey, (Protocol, u16))>;

/// The policies that cover some needs, without a rule that could go.
pub(super) fn policies(needs: &BTreeSet<Need>, chooser: &Chooser<'_>) -> Vec<SuggestedPolicy> {
    let mut wants: BTreeMap<IdentityId, Wants> = BTreeMap::new();
    for need in needs {
        let want = (need.direction, need.peer, need.port);
        wants.entry(need.subject).or_default().insert(want);
    }
    // Who needs the same in one place shares a policy.
    let mut alike: BTreeMap<((String, String), Wants), BTreeSet<IdentityId>> = BTreeMap::new();
    for (subject, wants) in wants {
        let place = chooser.place(subject);
        alike.entry((place, wants)).or_default().insert(subject);
    }
    // Who cannot be told apart by labels shares one, too.
    let mut shared: Vec<(Chosen, Wants, BTreeSet<IdentityId>)> = Vec::new();
    for ((_, wants), subjects) in &alike {
        for chosen in chooser.choose(subjects, true) {
            let own = chosen.picked.intersection(subjects).copied();
            let same = shared
                .iter_mut()
                .find(|(known, ..)| known.picked == chosen.picked);
            match same {
                Some((_, all, whom)) => {
                    all.extend(wants);
                    whom.extend(own);
                }
                None => {
                    let whom = own.collect();
                    shared.push((chosen, wants.clone(), whom));
                }
            }
        }
    }
    let mut policies: Vec<SuggestedPolicy> = Vec::new();
    for (mut subject, wants, whom) in shared {
        subject.extra = subject.picked.difference(&whom).copied().collect();
        policies.push(SuggestedPolicy {
            name: name(&subject, &policies),
            rules: rules(&wants, chooser),
            subject,
        });
    }
    prune(&mut policies, needs);
    let order = |policy: &SuggestedPolicy| (policy.subject.namespace.clone(), policy.name.clone());
    policies.sort_by_key(order);
    policies
}

fn rules(wants: &Wants, chooser: &Chooser<'_>) -> Vec<SuggestedRule> {
    // Each peer with its ports; ports and message types cannot stand in one rule.
    let mut ports: BTreeMap<(Direction, PeerKey, bool), Ports> = BTreeMap::new();
    for (direction, peer, port) in wants {
        let key = (*direction, *peer, port.0.has_ports());
        ports.entry(key).or_default().insert(*port);
    }
    let mut alike: BTreeMap<(Direction, Ports), Vec<PeerKey>> = BTreeMap::new();
    for ((direction, peer, _), ports) in ports {
        alike.entry((direction, ports)).or_default().push(peer);
    }
    let mut rules = Vec::new();
    for ((direction, ports), peers) in alike {
        rules.extend(
            sides(&peers, chooser)
                .into_iter()
                .map(|peers| SuggestedRule {
                    direction,
                    peers,
                    ports: ports.clone(),
                }),
        );
    }
    rules
}

/// Peers by the three ways of naming them.
fn sides(peers: &[PeerKey], chooser: &Chooser<'_>) -> Vec<SuggestedPeers> {
    let mut workloads: BTreeMap<(String, String), BTreeSet<IdentityId>> = BTreeMap::new();
    let (mut entities, mut addresses) = (BTreeSet::new(), BTreeSet::new());
    for peer in peers {
        match *peer {
            PeerKey::Workload(id) => {
                workloads.entry(chooser.place(id)).or_default().insert(id);
            }
            PeerKey::Entity(entity) => drop(entities.insert(entity)),
            PeerKey::Address(address) => drop(addresses.insert(address)),
        }
    }
    let chosen: Vec<_> = workloads
        .values()
        .flat_map(|ids| chooser.choose(ids, false))
        .collect();
    let mut sides = Vec::new();
    if !chosen.is_empty() {
        sides.push(SuggestedPeers::Workloads(chosen));
    }
    if !entities.is_empty() {
        sides.push(SuggestedPeers::Entities(entities));
    }
    if !addresses.is_empty() {
        sides.push(SuggestedPeers::Addresses(addresses));
    }
    sides
}

/// Takes out every rule all of whose needs other rules cover.
fn prune(policies: &mut Vec<SuggestedPolicy>, needs: &BTreeSet<Need>) {
    let places = |policies: &[SuggestedPolicy]| -> Vec<(usize, usize)> {
        let all = policies.iter().enumerate();
        all.flat_map(|(at, policy)| (0..policy.rules.len()).map(move |rule| (at, rule)))
            .collect()
    };
    let mut gone: BTreeSet<(usize, usize)> = BTreeSet::new();
    for candidate in places(policies).into_iter().rev() {
        let covered = |need: &Need, by: &dyn Fn((usize, usize)) -> bool| {
            policies.iter().enumerate().any(|(at, policy)| {
                let rules = policy.rules.iter().enumerate();
                let mut kept = rules.filter(|(rule, _)| by((at, *rule)));
                kept.any(|(_, rule)| policy.covers(rule, need))
            })
        };
        let own = |need: &&Need| covered(need, &|place| place == candidate);
        let others = |place: (usize, usize)| place != candidate && !gone.contains(&place);
        if needs.iter().filter(own).all(|need| covered(need, &others)) {
            gone.insert(candidate);
        }
    }
    for (at, policy) in policies.iter_mut().enumerate() {
        let mut rule = 0;
        policy.rules.retain(|_| {
            rule += 1;
            !gone.contains(&(at, rule - 1))
        });
    }
    policies.retain(|policy| !policy.rules.is_empty());
}

/// A name that says whom the policy guards: of letters, digits and hyphens.
fn name(subject: &Chosen, taken: &[SuggestedPolicy]) -> String {
    let values: Vec<_> = subject
        .labels
        .iter()
        .map(|(_, value)| value.as_str())
        .collect();
    let text = match values.join("-") {
        text if text.is_empty() => "everybody".to_owned(),
        text => text,
    };
    let letters = text
        .chars()
        .map(|letter| match letter.to_ascii_lowercase() {
            letter if letter.is_ascii_alphanumeric() => letter,
            _ => '-',
        });
    let base: String = letters.take(200).collect();
    let base = format!("recorded-{}", base.trim_matches('-'));
    let base = base.trim_end_matches('-').to_owned();
    let is_taken = |name: &str| {
        let mut same = taken
            .iter()
            .filter(|one| one.subject.namespace == subject.namespace);
        same.any(|one| one.name == name)
    };
    let mut numbered = (2..).map(|number| format!("{base}-{number}"));
    match is_taken(&base) {
        false => base.clone(),
        true => numbered
            .find(|name| !is_taken(name))
            .unwrap_or(base.clone()),
    }
}
