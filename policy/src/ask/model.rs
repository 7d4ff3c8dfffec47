//! A set of policies in a world, ready to be asked.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use porin_identity::IdentityId;

use super::census::Census;
use super::error::AskError;
use super::party::Party;
use super::port_class::PortClass;
use crate::{
    Decision, Direction, EndpointPolicy, Explanation, PolicySet, Protocol, Query, Resolver, Verdict,
};

/// A policy set with everybody it may speak of: every workload's policy, resolved.
///
/// ```
/// use std::sync::Arc;
/// use porin_policy::{Options, PolicySet, Protocol, Verdict, World};
/// use porin_policy::ask::{Census, Connection, Model};
/// let world = World::parse("world.yaml", "
/// workloads:
/// - {name: web, namespace: shop, labels: {app: web}}
/// - {name: db, namespace: shop, labels: {app: db}}
/// ")?;
/// let mut set = PolicySet::new(Options::new());
/// set.load([("db.yaml", r#"
/// apiVersion: cilium.io/v2
/// kind: CiliumNetworkPolicy
/// metadata: {name: db, namespace: shop}
/// spec:
///   endpointSelector: {matchLabels: {app: db}}
///   ingress:
///   - fromEndpoints: [{matchLabels: {app: web}}]
///     toPorts: [{ports: [{port: "5432", protocol: TCP}]}]
/// "#)])?;
/// let model = Model::new(&set, &Arc::new(Census::new(&world, &[&set])?))?;
/// let connection = Connection {
///     from: model.census().party("web")?,
///     to: model.census().party("db")?,
///     protocol: Protocol::TCP,
///     port: 5432,
/// };
/// assert_eq!(model.judge(&connection)?.verdict(), Verdict::Allow);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Model {
    census: Arc<Census>,
    resolver: Resolver,
    policies: HashMap<IdentityId, EndpointPolicy>,
}

/// An attempt to connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// Who opens it.
    pub from: Party,
    /// Who is to accept it.
    pub to: Party,
    /// The protocol.
    pub protocol: Protocol,
    /// The destination port; for ICMP the message type.
    pub port: u16,
}

/// What both sides' policies say about a connection. A side that no policy can guard says nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sides {
    /// The policy of who opens it.
    pub egress: Option<Decision>,
    /// The policy of who is to accept it.
    pub ingress: Option<Decision>,
}

impl Model {
    /// Resolves the policies of everybody in a census whom policies can guard.
    ///
    /// # Errors
    /// [`AskError::Resolve`] and [`AskError::Allocate`].
    pub fn new(set: &PolicySet, census: &Arc<Census>) -> Result<Self, AskError> {
        let mut resolver = Resolver::new(set, &census.identities(set)?);
        for (identity, names) in census.named_ports() {
            resolver.set_named_ports(*identity, names.clone());
        }
        let mut policies = HashMap::new();
        for party in census.workloads() {
            let resolved = resolver.resolve(party.identity);
            let resolved = resolved.map_err(|error| AskError::Resolve {
                subject: party.to_string(),
                error,
            })?;
            policies.insert(party.identity, resolved);
        }
        Ok(Self {
            census: Arc::clone(census),
            resolver,
            policies,
        })
    }

    /// Who exists.
    #[must_use]
    pub fn census(&self) -> &Census {
        &self.census
    }

    /// The policy that guards a party; `None` if none can.
    #[must_use]
    pub fn policy(&self, party: &Party) -> Option<&EndpointPolicy> {
        self.policies
            .get(&party.identity)
            .filter(|_| party.is_guarded())
    }

    /// What both sides say about a connection.
    ///
    /// # Errors
    /// [`AskError::NoSubject`] if neither side is guarded.
    pub fn judge(&self, connection: &Connection) -> Result<Sides, AskError> {
        let sides = self.sides(connection);
        match (&sides.egress, &sides.ingress) {
            (None, None) => Err(AskError::NoSubject {
                from: connection.from.to_string(),
                to: connection.to.to_string(),
            }),
            _ => Ok(sides),
        }
    }

    /// The same; no decision where neither side is guarded.
    pub(crate) fn sides(&self, connection: &Connection) -> Sides {
        let decide = |subject, direction| {
            let policy = self.policy(subject)?;
            Some(policy.check(&connection.query(direction)))
        };
        Sides {
            egress: decide(&connection.from, Direction::Egress),
            ingress: decide(&connection.to, Direction::Ingress),
        }
    }

    /// Why each side says what it says: the sender's egress, then the receiver's ingress.
    ///
    /// # Errors
    /// As [`Model::judge`].
    pub fn explain(&self, connection: &Connection) -> Result<Vec<Explanation>, AskError> {
        let sides = self.judge(connection)?;
        let Connection { from, to, .. } = connection;
        let guarded = [(from, to, sides.egress), (to, from, sides.ingress)];
        let explained = guarded.into_iter().filter_map(|(subject, peer, decision)| {
            let (policy, decision) = (self.policy(subject)?, decision?);
            let addresses = self.census.addresses_of(peer);
            Some(
                self.resolver
                    .explain_at(policy, decision.query(), &addresses),
            )
        });
        Ok(explained.collect())
    }

    /// The classes of ports inside of which both sides say the same about two parties.
    pub(crate) fn borders<'m>(
        &'m self,
        from: &'m Party,
        to: &'m Party,
    ) -> impl Iterator<Item = (Protocol, crate::PortPrefix)> + 'm {
        let egress = self.policy(from).into_iter();
        let egress = egress.flat_map(|policy| policy.keys(Direction::Egress, to.identity));
        let ingress = self.policy(to).into_iter();
        egress.chain(ingress.flat_map(|policy| policy.keys(Direction::Ingress, from.identity)))
    }

    /// What both sides say about two parties, for every class of ports.
    #[must_use]
    pub fn classes(&self, from: &Party, to: &Party) -> Vec<(PortClass, Sides)> {
        let classes = PortClass::partition(self.borders(from, to));
        let judged = classes.into_iter().map(|class| {
            let connection = Connection::sample(from, to, class);
            (class, self.sides(&connection))
        });
        judged.collect()
    }
}

impl Connection {
    /// A connection of a class of ports.
    #[must_use]
    pub fn sample(from: &Party, to: &Party, class: PortClass) -> Self {
        let (protocol, port) = class.sample();
        Self {
            from: from.clone(),
            to: to.clone(),
            protocol,
            port,
        }
    }

    /// The question that one side is asked.
    #[must_use]
    pub fn query(&self, direction: Direction) -> Query {
        let query = match direction {
            Direction::Ingress => Query::ingress(self.from.identity),
            Direction::Egress => Query::egress(self.to.identity),
        };
        query.on(self.protocol, self.port)
    }
}

impl Sides {
    /// The decisions: the sender's, then the receiver's.
    pub fn iter(&self) -> impl Iterator<Item = &Decision> {
        self.egress.iter().chain(&self.ingress)
    }

    /// Both together: one denial denies, one redirect redirects, and nobody's word allows.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        together(self.iter().map(Decision::verdict))
    }

    /// The same with the staged rules in force; `None` if neither side has any.
    #[must_use]
    pub fn staged(&self) -> Option<Verdict> {
        let tried = |decision: &Decision| decision.staged().map(|staged| staged.verdict());
        self.iter()
            .any(|decision| tried(decision).is_some())
            .then(|| {
                together(
                    self.iter()
                        .map(|decision| tried(decision).unwrap_or(decision.verdict())),
                )
            })
    }
}

fn together(verdicts: impl Iterator<Item = Verdict>) -> Verdict {
    verdicts.fold(Verdict::Allow, |all, one| match (all, one) {
        (Verdict::Deny, _) | (_, Verdict::Deny) => Verdict::Deny,
        (Verdict::Redirect, _) | (_, Verdict::Redirect) => Verdict::Redirect,
        (Verdict::Allow, Verdict::Allow) => Verdict::Allow,
    })
}

impl fmt::Display for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            from,
            to,
            protocol,
            port,
        } = self;
        write!(f, "{from} -> {to} {protocol}/{port}")
    }
}
