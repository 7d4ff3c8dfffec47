//! Who may use which port of a workload, and what the workload may use.

use super::model::{Connection, Model};
use super::outcome::Outcome;
use super::party::Party;
use super::port_class::PortClass;
use crate::{Decision, Direction, Reason, Verdict};

/// The port map of one workload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exposure {
    /// The workload.
    pub subject: Party,
    /// Who may use it.
    pub inbound: Reach,
    /// What it may use.
    pub outbound: Reach,
}

/// One direction of an [`Exposure`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reach {
    /// Why everything is open to whoever comes, if it is: no policy denies by default.
    pub open: Option<Reason>,
    /// What is let through, in the order of ports; nothing else is.
    pub grants: Vec<Grant>,
}

/// Ports that are open to some peers for one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The ports.
    pub classes: Vec<PortClass>,
    /// The peers, in the order of the census.
    pub peers: Vec<Party>,
    /// If whoever no selector picks is among the peers: the parties of the census that are denied
    /// some of these ports.
    pub except: Vec<Party>,
    /// What happens to their flows.
    pub outcome: Outcome,
    /// Which rule says so.
    pub reason: Reason,
    /// What would happen to them with the staged rules in force; `None` if there are none.
    pub staged: Option<Verdict>,
    /// The peers whose own policies let nothing of it through.
    pub stopped: Vec<Party>,
}

/// What a policy says about a peer on some ports, whoever the peer is.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Said {
    outcome: Outcome,
    reason: Reason,
    staged: Option<Verdict>,
}

/// What a policy says about everybody: a row for each peer, with what it says on each class;
/// nothing where it denies.
struct Chart {
    classes: Vec<PortClass>,
    rows: Vec<(Party, Vec<Option<Said>>)>,
}

impl Grant {
    /// Whether whoever no selector picks is among the peers.
    #[must_use]
    pub fn is_for_anybody(&self) -> bool {
        self.peers.contains(&Party::unlisted())
    }
}

impl Exposure {
    /// Inbound, then outbound.
    #[must_use]
    pub const fn directions(&self) -> [(Direction, &Reach); 2] {
        [
            (Direction::Ingress, &self.inbound),
            (Direction::Egress, &self.outbound),
        ]
    }
}

impl Said {
    fn of(decision: &Decision) -> Option<Self> {
        let outcome = Outcome::from(decision);
        (!outcome.is_closed()).then(|| Self {
            outcome,
            reason: decision.reason(),
            staged: decision.staged().map(|staged| staged.verdict()),
        })
    }
}

impl Chart {
    /// Peers that are told the same on the same ports stand together.
    fn grants(&self) -> Vec<Grant> {
        let mut grants: Vec<(Vec<bool>, Grant)> = Vec::new();
        for (peer, row) in &self.rows {
            let mut seen: Vec<&Said> = Vec::new();
            for said in row.iter().flatten() {
                if seen.contains(&said) {
                    continue;
                }
                seen.push(said);
                let on: Vec<bool> = row.iter().map(|cell| cell.as_ref() == Some(said)).collect();
                let known = grants.iter_mut().find(|(ports, grant)| {
                    *ports == on
                        && (&grant.outcome, &grant.reason, grant.staged)
                            == (&said.outcome, &said.reason, said.staged)
                });
                match known {
                    Some((_, grant)) => grant.peers.push(peer.clone()),
                    None => {
                        let grant = self.grant(peer, said, &on);
                        grants.push((on, grant));
                    }
                }
            }
        }
        for (on, grant) in &mut grants {
            if grant.is_for_anybody() {
                grant.except = self.denied(on);
            }
        }
        let mut grants: Vec<Grant> = grants.into_iter().map(|(_, grant)| grant).collect();
        grants.sort_by(|one, other| one.classes.cmp(&other.classes));
        grants
    }

    fn grant(&self, peer: &Party, said: &Said, on: &[bool]) -> Grant {
        let cells = self.classes.iter().copied().zip(on.iter().copied());
        let joined = PortClass::join(cells).into_iter();
        Grant {
            classes: joined
                .filter_map(|(class, on)| on.then_some(class))
                .collect(),
            peers: vec![peer.clone()],
            except: Vec::new(),
            outcome: said.outcome.clone(),
            reason: said.reason.clone(),
            staged: said.staged,
            stopped: Vec::new(),
        }
    }

    fn denied(&self, on: &[bool]) -> Vec<Party> {
        let denied =
            |row: &[Option<Said>]| row.iter().zip(on).any(|(cell, on)| *on && cell.is_none());
        let rows = self.rows.iter().filter(|(_, row)| denied(row));
        rows.map(|(party, _)| party.clone()).collect()
    }
}

impl Model {
    /// Who may use which port of a workload, and what it may use; `None` if no policy can guard it.
    ///
    /// The workload's own policy is asked. Where it lets something through of which the peer's own
    /// policy lets nothing through, the grant says so.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use porin_policy::{Options, PolicySet, World};
    /// # use porin_policy::ask::{Census, Model};
    /// let world = World::parse("world.yaml", "workloads: [{name: web, namespace: shop}]")?;
    /// let set = PolicySet::new(Options::new());
    /// let model = Model::new(&set, &Arc::new(Census::new(&world, &[&set])?))?;
    /// let map = model.exposure(&model.census().party("web")?).ok_or("not guarded")?;
    /// assert!(map.inbound.open.is_some() && map.inbound.grants[0].is_for_anybody());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn exposure(&self, subject: &Party) -> Option<Exposure> {
        Some(Exposure {
            subject: subject.clone(),
            inbound: self.reach(subject, Direction::Ingress)?,
            outbound: self.reach(subject, Direction::Egress)?,
        })
    }

    fn reach(&self, subject: &Party, direction: Direction) -> Option<Reach> {
        let chart = self.chart(subject, direction)?;
        let mut grants = chart.grants();
        for grant in &mut grants {
            let stopped = grant
                .peers
                .iter()
                .filter(|peer| self.stops(subject, peer, direction, grant));
            grant.stopped = stopped.cloned().collect();
        }
        let (from, to) = ends(subject, &Party::unlisted(), direction);
        let query = Connection::sample(&from, &to, PortClass::EVERY).query(direction);
        let reason = self.policy(subject)?.check(&query).reason();
        let open = matches!(reason, Reason::NotEnforced | Reason::DefaultAllow);
        Some(Reach {
            open: open.then_some(reason),
            grants,
        })
    }

    fn chart(&self, subject: &Party, direction: Direction) -> Option<Chart> {
        let policy = self.policy(subject)?;
        let everybody = self.census().everybody();
        let cuts = everybody
            .iter()
            .flat_map(|peer| policy.keys(direction, peer.identity));
        let classes = PortClass::partition(cuts);
        let row = |peer: &Party| {
            let (from, to) = ends(subject, peer, direction);
            let said = |class: &PortClass| {
                let query = Connection::sample(&from, &to, *class).query(direction);
                Said::of(&policy.check(&query))
            };
            (peer.clone(), classes.iter().map(said).collect())
        };
        let rows = everybody.iter().map(row).collect();
        Some(Chart { classes, rows })
    }

    /// Whether the peer's own policy lets nothing through of what a grant gives it.
    fn stops(&self, subject: &Party, peer: &Party, direction: Direction, grant: &Grant) -> bool {
        let (from, to) = ends(subject, peer, direction);
        let judged = self.classes(&from, &to);
        let mut granted = judged.iter().filter_map(|(_, sides)| {
            let (own, other) = match direction {
                Direction::Ingress => (sides.ingress.as_ref()?, &sides.egress),
                Direction::Egress => (sides.egress.as_ref()?, &sides.ingress),
            };
            let said = Said::of(own)?;
            (said.outcome == grant.outcome && said.reason == grant.reason).then_some(other)
        });
        granted.all(|other| {
            other
                .as_ref()
                .is_some_and(|other| Outcome::from(other).is_closed())
        })
    }
}

/// Who opens a connection in a direction, and who is to accept it.
fn ends(subject: &Party, peer: &Party, direction: Direction) -> (Party, Party) {
    match direction {
        Direction::Ingress => (peer.clone(), subject.clone()),
        Direction::Egress => (subject.clone(), peer.clone()),
    }
}
