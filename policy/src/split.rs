//! What policies tell apart by address, and which members of an identity need one of their own for
//! that.
//!
//! An identity stands for everybody with the same labels, and labels say nothing of addresses. Rules
//! do, where blocks reach pods and nodes (`networks`, `ipBlock`, CIDR rules under
//! [`Options::cidr_match`](crate::Options::cidr_match)), and where egress rules name ports, which
//! each pod may have elsewhere. Whom such rules tell apart gets an identity of its own
//! ([`Identities::intern_member`](porin_identity::Identities::intern_member)), with the labels of
//! the shared one and those of its addresses; so every engine, the kernel included, decides by
//! labels alone.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use porin_identity::{IdentityId, Label};

use crate::compile::Compiled;
use crate::peer::{CidrSelector, PeerSelector};
use crate::port_rule::Port;
use crate::{Direction, NamedPort, PolicySet, PortNames, Protocol, Semantics};

/// What the rules of a [`PolicySet`] tell apart by address.
///
/// ```
/// use porin_identity::IdentityId;
/// use porin_policy::{Member, Options, PolicySet};
///
/// let mut set = PolicySet::new(Options::new());
/// set.load([("block.yaml", r#"
/// apiVersion: networking.k8s.io/v1
/// kind: NetworkPolicy
/// metadata: {name: block, namespace: shop}
/// spec:
///   podSelector: {}
///   ingress: [{from: [{ipBlock: {cidr: 10.0.1.0/24}}]}]
/// "#)])?;
/// // Two pods with the same labels, of which the block covers one.
/// let members = ["10.0.1.5".parse()?, "10.0.2.5".parse()?];
/// let members = members.map(|address| Member::pod(IdentityId::new(4711), vec![address]));
/// assert_eq!(set.criteria().tells_apart(&members), [true, false]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Criteria {
    pods: Blocks,
    nodes: Blocks,
    /// The blocks of CIDR groups that rules name, with the labels of the groups.
    groups: BTreeMap<IpNet, Vec<Label>>,
    /// The port names of egress rules.
    names: BTreeSet<(Arc<str>, Protocol)>,
}

/// Blocks, each with the exceptions that rules make from it. A rule covers an address if the block
/// does and none of its exceptions does.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Blocks(BTreeMap<IpNet, BTreeSet<Arc<[IpNet]>>>);

/// Somebody who shares an identity with others of the same labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The identity of its labels.
    pub identity: IdentityId,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// The names that it gives to its ports; a node has none.
    pub ports: Vec<NamedPort>,
    /// Whether it is a node, which other rules reach than pods.
    pub is_node: bool,
}

impl Member {
    /// A pod without named ports.
    #[must_use]
    pub fn pod(identity: IdentityId, addresses: Vec<IpAddr>) -> Self {
        Self {
            identity,
            addresses,
            ports: Vec::new(),
            is_node: false,
        }
    }

    /// A node.
    #[must_use]
    pub fn node(identity: IdentityId, addresses: Vec<IpAddr>) -> Self {
        Self {
            is_node: true,
            ..Self::pod(identity, addresses)
        }
    }
}

impl Criteria {
    /// Whether nobody is told apart, whoever there is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self == &Self::default()
    }

    /// Which of the members need an identity of their own, in their order. The list has to be
    /// complete: members of one identity are told apart as soon as they disagree on the number of
    /// a port that an egress rule names.
    ///
    /// Whoever no block covers, and agrees with the others, keeps the shared identity.
    #[must_use]
    pub fn tells_apart(&self, members: &[Member]) -> Vec<bool> {
        let divided = self.divided(members);
        let apart = |member: &Member| {
            let blocks = match member.is_node {
                true => &self.nodes,
                false => &self.pods,
            };
            divided.contains(&member.identity)
                || member
                    .addresses
                    .iter()
                    .any(|address| blocks.cover(*address))
        };
        members.iter().map(apart).collect()
    }

    /// The labels that addresses get because they stand in CIDR groups that rules name: they go with
    /// the identity of whoever is told apart.
    #[must_use]
    pub fn group_labels(&self, addresses: &[IpAddr]) -> Vec<Label> {
        let blocks = addresses.iter().copied().flat_map(enclosing);
        let groups = blocks.filter_map(|block| self.groups.get(&block));
        groups.flatten().cloned().collect()
    }

    /// The identities whose members disagree on the names of ports.
    fn divided(&self, members: &[Member]) -> BTreeSet<IdentityId> {
        let mut first: BTreeMap<IdentityId, Vec<Option<u16>>> = BTreeMap::new();
        let mut divided = BTreeSet::new();
        if self.names.is_empty() {
            return divided;
        }
        for member in members.iter().filter(|member| !member.is_node) {
            let mut own = PortNames::default();
            own.add(&member.ports);
            let numbers = self
                .names
                .iter()
                .map(|(name, protocol)| own.get(name, *protocol));
            let numbers: Vec<_> = numbers.collect();
            if *first
                .entry(member.identity)
                .or_insert_with(|| numbers.clone())
                != numbers
            {
                divided.insert(member.identity);
            }
        }
        divided
    }

    fn add(&mut self, compiled: &Compiled, set: &PolicySet) {
        for selector in compiled.peer_selectors() {
            if let PeerSelector::Cidr(cidr) = selector {
                self.add_cidr(cidr, set);
            }
        }
        let heeds_names =
            compiled.name.kind.is_kubernetes() || set.options().semantics == Semantics::Strict;
        let lanes = compiled
            .specs
            .iter()
            .map(|spec| spec.lane(Direction::Egress));
        let rules = lanes.flat_map(|lane| &lane.rules).filter(|_| heeds_names);
        for group in rules.flat_map(|rule| &rule.ports) {
            if let Port::Name(name) = &group.id.port {
                self.names.insert((Arc::clone(name), group.id.protocol));
            }
        }
    }

    fn add_cidr(&mut self, cidr: &CidrSelector, set: &PolicySet) {
        if !cidr.reach.pods && !cidr.reach.nodes {
            return;
        }
        if let Some(block) = cidr.block() {
            self.add_block(cidr, block);
            return;
        }
        // Which groups a selector of groups means, their labels say; so each counts.
        for group in set.cidr_groups() {
            for block in &group.blocks {
                self.add_block(cidr, *block);
                let labels = self.groups.entry(block.trunc()).or_default();
                let new = set.block_labels(block).into_iter();
                labels.extend(
                    new.filter(|label| !labels.contains(label))
                        .collect::<Vec<_>>(),
                );
            }
        }
    }

    fn add_block(&mut self, cidr: &CidrSelector, block: IpNet) {
        let reached = [
            (cidr.reach.pods, &mut self.pods),
            (cidr.reach.nodes, &mut self.nodes),
        ];
        for (reaches, blocks) in reached {
            if reaches {
                let exceptions = blocks.0.entry(block.trunc()).or_default();
                exceptions.insert(Arc::clone(&cidr.except));
            }
        }
    }
}

impl Blocks {
    fn cover(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let whole = |except: &Arc<[IpNet]>| !except.iter().any(|block| block.contains(&address));
        enclosing(address)
            .filter_map(|block| self.0.get(&block))
            .any(|exceptions| exceptions.iter().any(whole))
    }
}

/// Every block that holds an address.
fn enclosing(address: IpAddr) -> impl Iterator<Item = IpNet> {
    let address = address.to_canonical();
    let longest = IpNet::from(address).prefix_len();
    let block = move |length| IpNet::new(address, length).ok().map(|block| block.trunc());
    (0..=longest).filter_map(block)
}

impl PolicySet {
    /// What the rules in force tell apart by address.
    #[must_use]
    pub fn criteria(&self) -> Criteria {
        let mut criteria = Criteria::default();
        for compiled in self.compiled() {
            criteria.add(compiled, self);
        }
        criteria
    }
}
