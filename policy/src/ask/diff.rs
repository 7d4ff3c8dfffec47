//! What changes for whom between two policy sets.

use std::fmt;

use super::model::{Connection, Model, Sides};
use super::outcome::{Breadth, Outcome};
use super::party::Party;
use super::port_class::PortClass;

/// Flows that two policy sets treat differently.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Who opens them.
    pub from: Vec<Party>,
    /// Who is to accept them.
    pub to: Party,
    /// On which ports.
    pub class: PortClass,
    /// What becomes of them.
    pub effect: Effect,
    /// One of them: the counter-example.
    pub example: Connection,
    /// What both sides said about it.
    pub before: Sides,
    /// What both sides say about it.
    pub after: Sides,
}

/// What a [`Change`] does to flows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Effect {
    /// They were denied, and are allowed now, or judged by their content.
    Allowed,
    /// More of their content passes, or may do so, or less has to be proved.
    Widened,
    /// Less of their content passes, or more has to be proved.
    Narrowed,
    /// They were allowed, and are denied now.
    Denied,
    /// The same passes, on another way: to a proxy, or past it.
    Rerouted,
}

impl Effect {
    /// Whether something may pass that did not.
    #[must_use]
    pub const fn widens(self) -> bool {
        matches!(self, Self::Allowed | Self::Widened)
    }

    /// In one word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Widened => "widened",
            Self::Narrowed => "narrowed",
            Self::Denied => "denied",
            Self::Rerouted => "rerouted",
        }
    }
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What both sides make of a flow.
type Outcomes = [Option<Outcome>; 2];

/// What one pair of parties finds changed on some ports.
type Found = (Effect, [Outcomes; 2]);

/// What changes between two policy sets, over everybody in their census (both models must have
/// been made with the same one), for every protocol and port.
///
/// The classes of ports follow the borders of both policies, so that nothing between two samples is
/// missed. What both sides together let through is compared: a wider rule on one side changes
/// nothing as long as the other side denies.
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
/// use porin_policy::{Options, PolicySet, World};
/// use porin_policy::ask::{Census, Effect, Model, diff};
/// let world = World::parse("world.yaml", "
/// workloads:
/// - {name: web, namespace: shop, labels: {app: web}}
/// - {name: db, namespace: shop, labels: {app: db}}
/// ")?;
/// let policy = |port: &str| format!(r#"
/// apiVersion: cilium.io/v2
/// kind: CiliumNetworkPolicy
/// metadata: {{name: db, namespace: shop}}
/// spec:
///   endpointSelector: {{matchLabels: {{app: db}}}}
///   ingress:
///   - fromEndpoints: [{{matchLabels: {{app: web}}}}]
///     toPorts: [{{ports: [{{port: "5432", {port} protocol: TCP}}]}}]
/// "#);
/// let (mut old, mut new) = (PolicySet::new(Options::new()), PolicySet::new(Options::new()));
/// old.load([("db.yaml", policy(""))])?;
/// new.load([("db.yaml", policy("endPort: 5433,"))])?;
/// let census = Arc::new(Census::new(&world, &[&old, &new])?);
/// let changes = diff(&Model::new(&old, &census)?, &Model::new(&new, &census)?);
/// assert_eq!(changes.len(), 1);
/// assert_eq!(changes[0].effect, Effect::Allowed);
/// assert_eq!(changes[0].example.to_string(), "shop/web -> shop/db TCP/5433");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub fn diff(before: &Model, after: &Model) -> Vec<Change> {
    let everybody = before.census().everybody();
    let mut changes: Vec<Change> = Vec::new();
    for to in everybody {
        let mut found: Vec<(PortClass, Found, Vec<Party>)> = Vec::new();
        let guarded = |from: &&Party| from.is_guarded() || to.is_guarded();
        for from in everybody.iter().filter(guarded) {
            for (class, change) in pair(before, after, from, to) {
                let same = found
                    .iter_mut()
                    .find(|one| (one.0, &one.1) == (class, &change));
                match same {
                    Some((_, _, others)) => others.push(from.clone()),
                    None => found.push((class, change, vec![from.clone()])),
                }
            }
        }
        found.sort_by_key(|(class, _, _)| *class);
        let named = found.into_iter().filter_map(|(class, (effect, _), from)| {
            let example = example(from.first()?, to, class);
            Some(Change {
                before: before.sides(&example),
                after: after.sides(&example),
                from,
                to: to.clone(),
                class,
                effect,
                example,
            })
        });
        changes.extend(named);
    }
    changes
}

/// What changes for two parties, class by class.
fn pair(before: &Model, after: &Model, from: &Party, to: &Party) -> Vec<(PortClass, Found)> {
    let borders = before.borders(from, to).chain(after.borders(from, to));
    let compared = PortClass::partition(borders).into_iter().map(|class| {
        let connection = Connection::sample(from, to, class);
        let [old, new] = [before, after].map(|model| outcomes(&model.sides(&connection)));
        let effect = effect(&old, &new);
        (class, effect.map(|effect| (effect, changed([old, new]))))
    });
    let joined = PortClass::join(compared).into_iter();
    joined
        .filter_map(|(class, found)| Some((class, found?)))
        .collect()
}

/// Without the side that says the same as before.
fn changed([mut before, mut after]: [Outcomes; 2]) -> [Outcomes; 2] {
    for (old, new) in before.iter_mut().zip(&mut after) {
        if old == new {
            (*old, *new) = (None, None);
        }
    }
    [before, after]
}

fn outcomes(sides: &Sides) -> Outcomes {
    [&sides.egress, &sides.ingress].map(|side| side.as_ref().map(Outcome::from))
}

fn effect(before: &Outcomes, after: &Outcomes) -> Option<Effect> {
    let closed = |sides: &Outcomes| sides.iter().flatten().any(Outcome::is_closed);
    match (closed(before), closed(after)) {
        (true, true) => return None,
        (true, false) => return Some(Effect::Allowed),
        (false, true) => return Some(Effect::Denied),
        (false, false) => {}
    }
    let sides = before.iter().flatten().zip(after.iter().flatten());
    let breadth = sides.fold(Breadth::Same, |all, (old, new)| all.and(new.against(old)));
    match breadth {
        Breadth::Wider | Breadth::Unlike => Some(Effect::Widened),
        Breadth::Narrower => Some(Effect::Narrowed),
        Breadth::Same if !same_way(before, after) => Some(Effect::Rerouted),
        Breadth::Same => None,
    }
}

/// Whether the same proxies read the flow, if any do.
fn same_way(before: &Outcomes, after: &Outcomes) -> bool {
    let reader = |outcome: &Outcome| {
        let parser = outcome.redirect.map(|redirect| redirect.parser);
        let l7 = outcome.l7.as_ref();
        let named = l7.map(|l7| (l7.parser_name.clone(), l7.listener.clone()));
        (parser, named)
    };
    let readers = |sides: &Outcomes| -> Vec<_> { sides.iter().flatten().map(reader).collect() };
    readers(before) == readers(after)
}

/// A flow of the class, to a port that the target listens on if there is one.
fn example(from: &Party, to: &Party, class: PortClass) -> Connection {
    let mut listens = to
        .ports
        .iter()
        .filter(|port| class.covers(port.protocol, port.port));
    let sample = Connection::sample(from, to, class);
    match listens.next() {
        Some(port) => Connection {
            protocol: port.protocol,
            port: port.port,
            ..sample
        },
        None => sample,
    }
}

impl fmt::Display for Change {
    /// `allowed TCP/443 from a, b to c`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let from: Vec<_> = self.from.iter().map(ToString::to_string).collect();
        let Self {
            effect, class, to, ..
        } = self;
        write!(f, "{effect} {class} from {} to {to}", from.join(", "))
    }
}
