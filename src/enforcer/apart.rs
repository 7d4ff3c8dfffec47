//! Endpoints that rules tell apart from others with the same labels.

use std::time::Duration;

use crate::flow::EndpointId;
use crate::identity::{IdentityId, Label, cidr_label};
use crate::policy::{Criteria, Member};

use super::core::{Attached, Enforcer};
use super::error::EndpointError;

/// An endpoint that is to have another identity.
#[derive(Debug, Clone, Copy)]
pub(super) struct Move {
    id: EndpointId,
    from: Own,
    to: Own,
}

/// An identity, and whether an endpoint holds it for itself, besides that of its labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Own {
    identity: IdentityId,
    is_own: bool,
}

impl Own {
    fn of(attached: &Attached) -> Self {
        Self {
            identity: attached.identity,
            is_own: attached.is_own,
        }
    }
}

impl Enforcer {
    /// Gives every endpoint the identity that rules with these criteria need: that of its labels, or
    /// one of its own where they tell it apart. `gated`, if any, has got other labels, and passes
    /// nothing while name and policy change; for the others nothing changes but the name, since the
    /// rules in force say the same of both.
    ///
    /// An endpoint with several addresses has one identity, so a block that covers one of them
    /// counts for all.
    pub(super) fn divide(
        &mut self,
        criteria: &[&Criteria],
        gated: Option<EndpointId>,
        now: Duration,
    ) -> Result<(), EndpointError> {
        let moves = self.plan(criteria, now)?;
        self.enact(&moves, gated, now)
    }

    /// Does what was planned, or nothing.
    pub(super) fn enact(
        &mut self,
        moves: &[Move],
        gated: Option<EndpointId>,
        now: Duration,
    ) -> Result<(), EndpointError> {
        let moved = match moves.is_empty() {
            true => Ok(()),
            false => self.carry_out(moves, gated, now),
        };
        if moved.is_err() {
            // The first error is the one to tell.
            let back: Vec<_> = moves
                .iter()
                .map(|step| Move {
                    to: step.from,
                    ..*step
                })
                .collect();
            let _ = self.carry_out(&back, gated, now);
        }
        for step in moves {
            let gone = if moved.is_ok() { step.from } else { step.to };
            if gone.is_own {
                // Held since it was taken, so the registry knows it.
                let _ = self.identities.release(gone.identity, now);
            }
        }
        moved
    }

    /// Who has to have which identity; takes those that are new.
    pub(super) fn plan(
        &mut self,
        criteria: &[&Criteria],
        now: Duration,
    ) -> Result<Vec<Move>, EndpointError> {
        let idle = criteria.iter().all(|criteria| criteria.is_empty());
        let settled = |one: &Attached| !one.is_own && one.identity == one.shared;
        if idle && self.endpoints.values().all(settled) {
            return Ok(Vec::new());
        }
        let members: Vec<Member> = self.endpoints.values().map(Attached::member).collect();
        let mut apart = vec![false; members.len()];
        for criteria in criteria {
            for (apart, told) in apart.iter_mut().zip(criteria.tells_apart(&members)) {
                *apart |= told;
            }
        }
        let mut moves = Vec::new();
        let everybody: Vec<EndpointId> = self.endpoints.keys().copied().collect();
        for ((id, member), is_own) in everybody.into_iter().zip(&members).zip(apart) {
            match self.step(id, member, is_own, criteria, now) {
                Ok(step) => moves.extend(step),
                Err(error) => {
                    self.drop_plan(&moves, now);
                    return Err(error);
                }
            }
        }
        Ok(moves)
    }

    /// What has to be done about one endpoint.
    fn step(
        &mut self,
        id: EndpointId,
        member: &Member,
        is_own: bool,
        criteria: &[&Criteria],
        now: Duration,
    ) -> Result<Option<Move>, EndpointError> {
        let Some(attached) = self.endpoints.get_mut(&id) else {
            return Ok(None);
        };
        let from = Own::of(attached);
        let mut to = Own {
            identity: member.identity,
            is_own,
        };
        if is_own {
            let groups = |criteria: &&Criteria| criteria.group_labels(&member.addresses);
            let groups: Vec<Label> = criteria.iter().flat_map(groups).collect();
            let own = self
                .identities
                .intern_member(member.identity, &member.addresses, groups);
            let own = own.map_err(|source| EndpointError::Identity {
                endpoint: attached.spec.name.clone(),
                source,
            })?;
            to.identity = own.id;
        }
        if from == to {
            if is_own {
                // It holds it already.
                let _ = self.identities.release(to.identity, now);
            }
            return Ok(None);
        }
        attached.next = Some(to.identity);
        Ok(Some(Move { id, from, to }))
    }

    /// Gives back what was planned.
    pub(super) fn drop_plan(&mut self, moves: &[Move], now: Duration) {
        for step in moves {
            if let Some(attached) = self.endpoints.get_mut(&step.id) {
                attached.next = None;
            }
            if step.to.is_own {
                let _ = self.identities.release(step.to.identity, now);
            }
        }
    }

    fn carry_out(
        &mut self,
        moves: &[Move],
        gated: Option<EndpointId>,
        now: Duration,
    ) -> Result<(), EndpointError> {
        // The others learn of the new identities, and what they call their ports, before anybody
        // has one.
        self.settle::<EndpointError>()?;
        let gated = gated.filter(|id| moves.iter().any(|step| step.id == *id));
        if let Some(id) = gated {
            self.datapath.set_held(id)?;
        }
        for step in moves {
            self.rename(step.id, step.to.identity, now)?;
            if let Some(attached) = self.endpoints.get_mut(&step.id) {
                attached.is_own = step.to.is_own;
                attached.next = None;
            }
        }
        self.blocks.write(&mut self.datapath)?;
        self.settle::<EndpointError>()?;
        match gated {
            Some(id) if !self.endpoints.get(&id).is_some_and(|one| one.spec.held) => {
                Ok(self.datapath.set_ready(id)?)
            }
            _ => Ok(()),
        }
    }

    /// Gives the host the labels of its addresses where rules tell nodes by them.
    pub(super) fn name_host(&mut self, criteria: &[&Criteria]) {
        let host = Member::node(IdentityId::HOST, self.addresses.clone());
        let told = |criteria: &&Criteria| {
            criteria
                .tells_apart(std::slice::from_ref(&host))
                .contains(&true)
        };
        let Some(labels) = self.identities.labels(IdentityId::HOST) else {
            return;
        };
        let plain = labels
            .iter()
            .filter(|label| label.source() != "cidr")
            .cloned();
        let blocks = host
            .addresses
            .iter()
            .map(|address| cidr_label((*address).into()));
        let labels = match criteria.iter().any(told) {
            true => plain.chain(blocks).collect(),
            false => plain.collect(),
        };
        // A reserved number takes any labels.
        let _ = self.identities.insert_fixed(IdentityId::HOST, labels);
    }
}

impl Attached {
    fn member(&self) -> Member {
        Member {
            ports: self.spec.ports.clone(),
            ..Member::pod(self.shared, self.spec.addresses.clone())
        }
    }
}
