//! Endpoints come, change and go.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::datapath::{self, AttachError};
use crate::flow::{Endpoint, EndpointId};
use crate::identity::{IdentityId, Labels, key, source};

use super::core::{Attached, Enforcer};
use super::error::EndpointError;
use super::host::HOST;
use super::spec::EndpointSpec;

/// Numbers stay below what Hubble's records of endpoints usually show.
const MAX_ID: u32 = HOST.get() - 1;

impl Enforcer {
    /// Adds an endpoint: attach, give it its identity and addresses, compute its policy, write the
    /// tables, and only then let the first packet through. Until then all of its packets are
    /// dropped, and when a step fails, what was done is undone.
    ///
    /// # Errors
    ///
    /// [`EndpointError`]; every other endpoint is as it was.
    pub fn add_endpoint(
        &mut self,
        spec: EndpointSpec,
        now: Duration,
    ) -> Result<EndpointId, EndpointError> {
        let ids = self.add_endpoints([spec], now)?;
        // One in, one out.
        Ok(ids.first().copied().unwrap_or(EndpointId::NONE))
    }

    /// Adds several endpoints together: all of them, or none.
    ///
    /// An endpoint that a process before this one has attached, with the same device and
    /// addresses, is taken over: it keeps its number and goes on without a gap. This is why all
    /// endpoints are to be added in one call after a start: the tables are then written once, with
    /// every identity in them.
    ///
    /// # Errors
    ///
    /// As [`Enforcer::add_endpoint`].
    pub fn add_endpoints(
        &mut self,
        specs: impl IntoIterator<Item = EndpointSpec>,
        now: Duration,
    ) -> Result<Vec<EndpointId>, EndpointError> {
        let specs: Vec<EndpointSpec> = specs.into_iter().collect();
        self.check_free(&specs)?;
        let mut added = Vec::with_capacity(specs.len());
        if let Err(error) = self.bring_up(specs, &mut added, now) {
            // The first error is the one to tell.
            added
                .into_iter()
                .for_each(|id| drop(self.back_out(id, now)));
            let _ = self.settle::<EndpointError>();
            let _ = self.divide_for_now(now);
            return Err(error);
        }
        Ok(added)
    }

    /// Lets the packets of an endpoint that was [held](EndpointSpec::held) through, as far as its
    /// policy does.
    ///
    /// # Errors
    ///
    /// [`EndpointError::Unknown`].
    pub fn release(&mut self, id: EndpointId) -> Result<(), EndpointError> {
        let attached = self
            .endpoints
            .get_mut(&id)
            .ok_or(EndpointError::Unknown { id })?;
        attached.spec.held = false;
        Ok(self.datapath.set_ready(id)?)
    }

    /// Gives an endpoint other labels. Its connections, running ones too, are judged by the new
    /// identity from the next packet on.
    ///
    /// # Errors
    ///
    /// [`EndpointError`]; the endpoint keeps its labels.
    pub fn relabel(
        &mut self,
        id: EndpointId,
        labels: Labels,
        now: Duration,
    ) -> Result<(), EndpointError> {
        let attached = self
            .endpoints
            .get(&id)
            .ok_or(EndpointError::Unknown { id })?;
        let (old, name) = (attached.shared, attached.spec.name.clone());
        let new = self.intern(&name, &labels)?;
        self.set_shared(id, new);
        let changed = self.divide(&[&self.criteria.clone()], Some(id), now);
        let gone = match &changed {
            Ok(()) => old,
            Err(_) => {
                self.set_shared(id, old);
                new
            }
        };
        // It was taken when the endpoint got it.
        let _ = self.identities.release(gone, now);
        if let Some(attached) = self.endpoints.get_mut(&id).filter(|_| changed.is_ok()) {
            attached.spec.labels = labels;
        }
        let settled = self.settle();
        changed.and(settled)
    }

    fn set_shared(&mut self, id: EndpointId, identity: IdentityId) {
        if let Some(attached) = self.endpoints.get_mut(&id) {
            attached.shared = identity;
        }
    }

    /// Removes an endpoint: its connections end, its addresses lead nowhere, its identity rests
    /// when nobody else has it.
    ///
    /// # Errors
    ///
    /// [`EndpointError`] when the kernel refuses.
    pub fn remove_endpoint(&mut self, id: EndpointId, now: Duration) -> Result<(), EndpointError> {
        let taken_down = self.take_down(id, now);
        self.blocks.write(&mut self.datapath)?;
        self.settle::<EndpointError>()?;
        self.divide_for_now(now)?;
        taken_down
    }

    /// Removes what a process before this one left and nobody has claimed: endpoints, and prefixes
    /// that no policy names any more. To be called when all endpoints are added after a start.
    ///
    /// # Errors
    ///
    /// [`EndpointError`] when the kernel refuses.
    pub fn forget_unclaimed(&mut self) -> Result<(), EndpointError> {
        for (ifindex, left) in std::mem::take(&mut self.adopted) {
            let endpoint = format!("device {ifindex}");
            self.datapath
                .remove_endpoint(left.id)
                .map_err(|source| EndpointError::Attach { endpoint, source })?;
        }
        if self.host.is_none() {
            let endpoint = "host".to_owned();
            self.datapath
                .detach_host()
                .map_err(|source| EndpointError::Attach { endpoint, source })?;
        }
        self.forget_left_prefixes()
    }

    pub(super) fn forget_left_prefixes(&mut self) -> Result<(), EndpointError> {
        if self.host_stands_on_left() {
            return Ok(());
        }
        let left = self.datapath.prefixes().map(|(prefix, _)| prefix);
        let stale: Vec<_> = left
            .filter(|prefix| !self.blocks.claims(prefix))
            .map(|prefix| (prefix, None))
            .collect();
        Ok(self.datapath.apply_prefixes(&stale)?)
    }

    fn check_free(&self, specs: &[EndpointSpec]) -> Result<(), EndpointError> {
        let mut devices: BTreeMap<u32, &str> = BTreeMap::new();
        let mut addresses: BTreeMap<IpAddr, &str> = BTreeMap::new();
        let present = self.endpoints.values().map(|attached| &attached.spec);
        for spec in present.chain(specs) {
            let endpoint = || spec.name.clone();
            let ifindex = spec.ifindex;
            if let Some(owner) = devices.insert(ifindex, &spec.name) {
                return Err(EndpointError::DeviceTaken {
                    endpoint: endpoint(),
                    ifindex,
                    owner: owner.to_owned(),
                });
            }
            for address in spec.addresses.iter().copied() {
                if let Some(owner) = addresses.insert(address, &spec.name) {
                    return Err(EndpointError::AddressTaken {
                        endpoint: endpoint(),
                        address,
                        owner: owner.to_owned(),
                    });
                }
            }
        }
        Ok(())
    }

    fn bring_up(
        &mut self,
        specs: Vec<EndpointSpec>,
        added: &mut Vec<EndpointId>,
        now: Duration,
    ) -> Result<(), EndpointError> {
        for spec in specs {
            added.push(self.attach(spec, now)?);
        }
        let criteria = self.criteria.clone();
        let moves = self.plan(&[&criteria], now)?;
        if let Err(error) = self.hold_renamed(added) {
            self.drop_plan(&moves, now);
            return Err(error);
        }
        self.enact(&moves, None, now)?;
        for id in added.iter() {
            if let Some(attached) = self.endpoints.get(id) {
                let (owner, identity) = (attached.owner, attached.identity);
                self.blocks
                    .claim_endpoint(owner, identity, &attached.spec.addresses, now)?;
            }
        }
        self.settle::<EndpointError>()?;
        self.blocks.write(&mut self.datapath)?;
        for id in added.iter() {
            let Some(attached) = self.endpoints.get(id) else {
                continue;
            };
            let renamed = |left: &datapath::EndpointSpec| left.identity != attached.identity;
            if attached.left.as_ref().is_some_and(renamed) {
                self.datapath.set_identity(*id, attached.identity)?;
            }
            if !attached.spec.held {
                self.datapath.set_ready(*id)?;
            }
        }
        // Not before nothing can fail any more: what was taken over is never let go of.
        for id in added.iter() {
            if let Some(attached) = self.endpoints.get_mut(id) {
                attached.left = None;
            }
        }
        Ok(())
    }

    /// Shuts the gate of what was taken over and gets another identity.
    fn hold_renamed(&mut self, added: &[EndpointId]) -> Result<(), EndpointError> {
        for id in added {
            let Some(attached) = self.endpoints.get(id) else {
                continue;
            };
            let identity = attached.next.unwrap_or(attached.identity);
            let renamed = |left: &datapath::EndpointSpec| left.identity != identity;
            if attached.left.as_ref().is_some_and(renamed) {
                self.datapath.set_held(*id)?;
            }
        }
        Ok(())
    }

    /// Identity and device; no packet passes yet, except what passed before.
    fn attach(&mut self, spec: EndpointSpec, now: Duration) -> Result<EndpointId, EndpointError> {
        let identity = self.intern(&spec.name, &spec.labels)?;
        let (id, left) = self.place(&spec, identity).map_err(|source| {
            // Taken above, so the registry knows it.
            let _ = self.identities.release(identity, now);
            let endpoint = spec.name.clone();
            EndpointError::Attach { endpoint, source }
        })?;
        self.known
            .put(self.described(id, identity, &spec.name), &spec.addresses);
        let owner = self.blocks.owner();
        self.endpoints.insert(
            id,
            Attached {
                spec,
                shared: identity,
                identity,
                is_own: false,
                next: None,
                owner,
                policy: None,
                resolved_by: None,
                left,
            },
        );
        Ok(id)
    }

    /// In the datapath: what was left behind this device goes on, whoever was there before.
    fn place(
        &mut self,
        spec: &EndpointSpec,
        identity: IdentityId,
    ) -> Result<(EndpointId, Option<datapath::EndpointSpec>), AttachError> {
        let new = datapath::EndpointSpec {
            id: EndpointId::NONE,
            ifindex: spec.ifindex,
            identity,
            addresses: spec.addresses.clone(),
        };
        let Some(left) = self.adopted.get(&spec.ifindex).cloned() else {
            let id = self.free_id();
            let new = datapath::EndpointSpec { id, ..new };
            new.check()?;
            self.clear_the_way(spec)?;
            self.datapath.add_endpoint(new)?;
            return Ok((id, None));
        };
        let new = datapath::EndpointSpec { id: left.id, ..new };
        new.check()?;
        let same = left.addresses.len() == new.addresses.len()
            && new.addresses.iter().all(|own| left.addresses.contains(own));
        if same {
            self.adopted.remove(&spec.ifindex);
            return Ok((left.id, Some(left)));
        }
        self.clear_the_way(spec)?;
        self.datapath
            .replace_endpoint(left.id, identity, new.addresses.clone())?;
        self.adopted.remove(&spec.ifindex);
        Ok((left.id, Some(new)))
    }

    /// Takes the addresses of `spec` from those at other devices who had them and are not claimed
    /// yet. They stay where they are, and nothing of theirs passes.
    fn clear_the_way(&mut self, spec: &EndpointSpec) -> Result<(), AttachError> {
        let in_the_way = |left: &&mut datapath::EndpointSpec| {
            left.ifindex != spec.ifindex
                && left
                    .addresses
                    .iter()
                    .any(|own| spec.addresses.contains(own))
        };
        for left in self.adopted.values_mut().filter(in_the_way) {
            self.datapath
                .replace_endpoint(left.id, left.identity, Vec::new())?;
            left.addresses.clear();
        }
        Ok(())
    }

    /// The next number that nobody has. One that became free is not given again at once: events of
    /// the endpoint before may still be on their way.
    fn free_id(&mut self) -> EndpointId {
        let left = |id: EndpointId| self.adopted.values().any(|left| left.id == id);
        let free = |id: &EndpointId| !self.endpoints.contains_key(id) && !left(*id);
        let numbers = (self.last_id.saturating_add(1)..=MAX_ID).chain(1..=self.last_id);
        let id = numbers.map(EndpointId::new).find(free);
        let id = id.unwrap_or(EndpointId::NONE);
        self.last_id = id.get();
        id
    }

    /// Gives an endpoint another identity, in the kernel and here.
    pub(super) fn rename(
        &mut self,
        id: EndpointId,
        identity: IdentityId,
        now: Duration,
    ) -> Result<(), EndpointError> {
        let Some(attached) = self.endpoints.get_mut(&id) else {
            return Ok(());
        };
        attached.identity = identity;
        let (owner, name) = (attached.owner, attached.spec.name.clone());
        let addresses = attached.spec.addresses.clone();
        self.datapath.set_identity(id, identity)?;
        let known = self.described(id, identity, &name);
        self.known.put(known, &addresses);
        self.blocks
            .claim_endpoint(owner, identity, &addresses, now)?;
        Ok(())
    }

    /// Undoes the addition of an endpoint. One that was taken over goes on as the kernel has it.
    fn back_out(&mut self, id: EndpointId, now: Duration) -> Result<(), EndpointError> {
        let left = self
            .endpoints
            .get_mut(&id)
            .and_then(|attached| attached.left.take());
        if left.is_none() {
            return self.take_down(id, now);
        }
        self.drop_record(id, now);
        let endpoints = self.datapath.endpoints().into_iter();
        let left = endpoints.filter(|left| left.spec.id == id);
        self.adopted
            .extend(left.map(|left| (left.spec.ifindex, left.spec)));
        Ok(())
    }

    /// Whatever the device answers, the endpoint is nobody's afterwards.
    fn take_down(&mut self, id: EndpointId, now: Duration) -> Result<(), EndpointError> {
        let attached = self
            .endpoints
            .get(&id)
            .ok_or(EndpointError::Unknown { id })?;
        let endpoint = attached.spec.name.clone();
        let removed = self.datapath.remove_endpoint(id);
        self.drop_record(id, now);
        removed.map_err(|source| EndpointError::Attach { endpoint, source })
    }

    fn drop_record(&mut self, id: EndpointId, now: Duration) {
        if let Some(attached) = self.endpoints.remove(&id) {
            self.blocks
                .leave(attached.owner, &attached.spec.addresses, now);
            // Taken when the endpoint got them, so the registry knows them.
            let _ = self.identities.release(attached.shared, now);
            if attached.is_own {
                let _ = self.identities.release(attached.identity, now);
            }
        }
        self.known.remove(id);
    }

    fn intern(&mut self, endpoint: &str, labels: &Labels) -> Result<IdentityId, EndpointError> {
        let interned = self.identities.intern(self.filter.apply(labels));
        let interned = interned.map_err(|source| EndpointError::Identity {
            endpoint: endpoint.to_owned(),
            source,
        })?;
        Ok(interned.id)
    }

    pub(super) fn described(&self, id: EndpointId, identity: IdentityId, name: &str) -> Endpoint {
        let labels = self
            .identities
            .labels(identity)
            .cloned()
            .unwrap_or_default();
        let cluster = labels.get(source::K8S, key::CLUSTER).map(Arc::from);
        Endpoint {
            id,
            name: Some(Arc::from(name)),
            cluster,
            ..Endpoint::of_identity(identity, labels)
        }
    }
}
