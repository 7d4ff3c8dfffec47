//! The registry: which label set has which number.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;

use crate::cidr::{canonical, cidr_label};
use crate::error::AllocateError;
use crate::family::{Families, Family};
use crate::fingerprint::Fingerprint;
use crate::id::IdentityId;
use crate::label::Label;
use crate::labels::Labels;
use crate::shared_labels::{Kept, SharedLabels};
use crate::snapshot::{IdentityDelta, Pending, Snapshot};

/// What [`Identities::intern`] gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interned {
    /// The number of the label set.
    pub id: IdentityId,
    /// The label set had no number before this call.
    pub new: bool,
}

/// What became of a reference that was given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Released {
    /// Others still hold the identity; this many.
    Held(u32),
    /// It was the last reference: the identity is gone and its number rests.
    Freed,
}

/// Every identity a node knows: label sets to numbers and back, counted by reference.
///
/// * Numbers are derived from the labels ([`Fingerprint`]), so they survive a restart, and nodes
///   that never talked agree. A collision goes on to the next candidate.
/// * No number names two label sets at once. A freed number rests in quarantine, because packets,
///   connections and tables may still carry it: until [`Identities::expire`] ends that, only the
///   same labels get it back.
/// * Reserved identities are always there.
///
/// Times are durations since an epoch that the caller chooses and keeps.
///
/// ```
/// use porin_identity::{Identities, Labels};
/// let mut identities = Identities::default();
/// let labels: Labels = "k8s:app=api,k8s:io.kubernetes.pod.namespace=backend".parse()?;
/// let first = identities.intern(labels.clone())?;
/// assert_eq!(first.id, Identities::default().intern(labels.clone())?.id);
/// assert_eq!(identities.labels(first.id), Some(&labels));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Identities {
    families: Families,
    quarantine: Duration,
    known: Snapshot,
    shared: SharedLabels,
    by_labels: HashMap<Kept, IdentityId>,
    references: HashMap<IdentityId, u32>,
    resting: BTreeMap<IdentityId, Resting>,
    pending: Pending,
}

#[derive(Debug, Clone)]
struct Resting {
    labels: Labels,
    until: Duration,
}

/// How long a freed number rests unless [`Identities::with_quarantine`] says otherwise.
pub const QUARANTINE: Duration = Duration::from_secs(15 * 60);

impl Identities {
    /// A registry with the reserved identities of a node that speaks these families.
    #[must_use]
    pub fn new(families: Families) -> Self {
        Self::with_quarantine(families, QUARANTINE)
    }

    /// As [`Identities::new`], with another time of rest for freed numbers.
    #[must_use]
    pub fn with_quarantine(families: Families, quarantine: Duration) -> Self {
        let mut identities = Self {
            families,
            quarantine,
            known: Snapshot::default(),
            shared: SharedLabels::default(),
            by_labels: HashMap::new(),
            references: HashMap::new(),
            resting: BTreeMap::new(),
            pending: Pending::default(),
        };
        for number in 1..=10 {
            let id = IdentityId::new(number);
            let Some(name) = id.reserved_name() else {
                continue;
            };
            let mut labels = vec![Label::reserved(name)];
            if id == IdentityId::KUBE_APISERVER {
                labels.push(Label::reserved("remote-node"));
            }
            identities.put(id, labels.into_iter().collect());
        }
        identities
    }

    /// The address families that the registry was made for.
    #[must_use]
    pub fn families(&self) -> Families {
        self.families
    }

    /// The number of a workload's labels; takes one reference.
    ///
    /// # Errors
    ///
    /// [`AllocateError::Exhausted`] when every candidate names other labels.
    pub fn intern(&mut self, labels: Labels) -> Result<Interned, AllocateError> {
        if let Some(id) = self.find(&labels) {
            self.hold(id);
            return Ok(Interned { id, new: false });
        }
        let candidates = Fingerprint::of(&labels).candidates();
        self.allocate(labels, candidates)
    }

    /// The identity of a block of addresses outside of the cluster; takes one reference.
    ///
    /// Its labels are `cidr:<block>`, the world label of the family, and `extra` (names of groups,
    /// DNS names). Every address of a family is no block of its own but the world's reserved
    /// identity. The number is derived from the labels too, so that a restarted node finds its
    /// kernel tables as it left them.
    ///
    /// # Errors
    ///
    /// As [`Identities::intern`].
    pub fn intern_local(
        &mut self,
        block: IpNet,
        extra: impl IntoIterator<Item = Label>,
    ) -> Result<Interned, AllocateError> {
        let labels = self.local_labels(block, extra);
        if let Some(id) = self.find(&labels) {
            self.hold(id);
            return Ok(Interned { id, new: false });
        }
        let candidates = Fingerprint::of(&labels).local_candidates();
        self.allocate(labels, candidates)
    }

    /// The labels that [`Identities::intern_local`] gives a block.
    pub fn local_labels(&self, block: IpNet, extra: impl IntoIterator<Item = Label>) -> Labels {
        let block = canonical(block);
        let world = Label::reserved(self.families.world_name(Family::of(&block.addr())));
        let own = (block.prefix_len() > 0).then(|| cidr_label(block));
        own.into_iter().chain([world]).chain(extra).collect()
    }

    /// The identity of one member of another identity whom policies tell apart from the rest by its
    /// addresses; takes one reference.
    ///
    /// Its labels are those of `parent`, so that whatever selects the parent selects it too, with
    /// `cidr:<address>` for each address and `extra` (names of groups, DNS names). The number means
    /// something on this node only, and is derived from the labels like every other: that of a
    /// remote node is in the space of remote nodes, any other among the blocks.
    ///
    /// ```
    /// use porin_identity::Identities;
    /// let mut identities = Identities::default();
    /// let api = identities.intern("k8s:app=api".parse()?)?.id;
    /// let member = identities.intern_member(api, &["10.0.1.5".parse()?], [])?;
    /// assert!(member.new && member.id.is_local());
    /// let labels = identities.labels(member.id).map(ToString::to_string);
    /// assert_eq!(labels.as_deref(), Some("cidr:10.0.1.5/32,k8s:app=api"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`AllocateError::Unknown`] when no identity has the number `parent`; else as
    /// [`Identities::intern`].
    pub fn intern_member(
        &mut self,
        parent: IdentityId,
        addresses: &[IpAddr],
        extra: impl IntoIterator<Item = Label>,
    ) -> Result<Interned, AllocateError> {
        let Some(shared) = self.known.labels(parent) else {
            return Err(AllocateError::Unknown { id: parent });
        };
        let block = |address: &IpAddr| cidr_label(canonical(IpNet::from(*address)));
        let labels = shared.with(addresses.iter().map(block).chain(extra));
        if let Some(id) = self.find(&labels) {
            self.hold(id);
            return Ok(Interned { id, new: false });
        }
        let fingerprint = Fingerprint::of(&labels);
        match labels.reserved("remote-node") {
            true => self.allocate(labels, fingerprint.remote_node_candidates()),
            false => self.allocate(labels, fingerprint.local_candidates()),
        }
    }

    /// Gives a number to labels by decree: restored state, test worlds. Takes one reference.
    /// A reserved number takes over the new labels; any other must be free or have them already.
    ///
    /// # Errors
    ///
    /// [`AllocateError::Taken`] when the number names, or rests for, other labels.
    pub fn insert_fixed(&mut self, id: IdentityId, labels: Labels) -> Result<(), AllocateError> {
        if !id.is_reserved() {
            let resting = self.resting.get(&id).map(|resting| &resting.labels);
            if let Some(held) = self
                .known
                .labels(id)
                .or(resting)
                .filter(|held| **held != labels)
            {
                return Err(AllocateError::Taken {
                    id,
                    held: held.to_string(),
                    wanted: labels.to_string(),
                });
            }
            self.wake(id);
            self.hold(id);
        }
        if self.known.labels(id) != Some(&labels) {
            self.put(id, labels);
        }
        Ok(())
    }

    /// Gives one reference back. After the last one the number rests in quarantine.
    /// Reserved identities stay.
    ///
    /// # Errors
    ///
    /// [`AllocateError::Unknown`] when no identity has this number.
    pub fn release(&mut self, id: IdentityId, now: Duration) -> Result<Released, AllocateError> {
        if id.is_reserved() && self.known.labels(id).is_some() {
            return Ok(Released::Held(1));
        }
        let count = self
            .references
            .get_mut(&id)
            .ok_or(AllocateError::Unknown { id })?;
        *count = count.saturating_sub(1);
        if *count > 0 {
            return Ok(Released::Held(*count));
        }
        self.references.remove(&id);
        if let Some(labels) = self.known.remove(id) {
            self.forget(id, &labels);
            self.pending.remove(id, labels.clone());
            self.resting.insert(
                id,
                Resting {
                    labels,
                    until: now.saturating_add(self.quarantine),
                },
            );
        }
        Ok(Released::Freed)
    }

    /// Ends the quarantine of every number whose time has come; returns how many.
    pub fn expire(&mut self, now: Duration) -> usize {
        let before = self.resting.len();
        self.resting.retain(|_, resting| {
            let rests = resting.until > now;
            if !rests {
                self.shared.release(&resting.labels);
            }
            rests
        });
        before - self.resting.len()
    }

    /// The labels of an identity.
    #[must_use]
    pub fn labels(&self, id: IdentityId) -> Option<&Labels> {
        self.known.labels(id)
    }

    /// The number of a label set, without taking a reference.
    #[must_use]
    pub fn find(&self, labels: &Labels) -> Option<IdentityId> {
        self.by_labels.get(&self.shared.find(labels)?).copied()
    }

    /// All identities by number.
    pub fn iter(&self) -> impl Iterator<Item = (IdentityId, &Labels)> + '_ {
        self.known.iter()
    }

    /// How many identities, reserved ones included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Never: the reserved identities are always there.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// How many freed numbers rest in quarantine.
    #[must_use]
    pub fn resting(&self) -> usize {
        self.resting.len()
    }

    /// What is known now; stays as it is while the registry goes on.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.known.clone()
    }

    /// What changed since the last call (for the first call: since the registry was made, reserved
    /// identities included).
    pub fn take_delta(&mut self) -> IdentityDelta {
        self.pending.take()
    }

    fn allocate(
        &mut self,
        labels: Labels,
        candidates: impl Iterator<Item = IdentityId>,
    ) -> Result<Interned, AllocateError> {
        let mut candidates = candidates;
        let free = |id: &IdentityId| {
            let resting = self
                .resting
                .get(id)
                .is_some_and(|resting| resting.labels != labels);
            !resting && self.known.labels(*id).is_none()
        };
        let Some(id) = candidates.find(free) else {
            return Err(AllocateError::Exhausted {
                labels: labels.to_string(),
            });
        };
        self.wake(id);
        self.hold(id);
        self.put(id, labels);
        Ok(Interned { id, new: true })
    }

    fn hold(&mut self, id: IdentityId) {
        let count = self.references.entry(id).or_default();
        *count = count.saturating_add(1);
    }

    fn put(&mut self, id: IdentityId, labels: Labels) {
        let kept = self.shared.keep(labels);
        if let Some(old) = self.known.insert(id, kept.labels().clone()) {
            self.forget(id, &old);
            self.shared.release(&old);
            self.pending.remove(id, old);
        }
        self.pending.add(id, kept.labels().clone());
        self.by_labels.entry(kept).or_insert(id);
    }

    /// A label set does not lead to that number any more.
    fn forget(&mut self, id: IdentityId, labels: &Labels) {
        if let Some(kept) = self.shared.find(labels)
            && self.by_labels.get(&kept) == Some(&id)
        {
            self.by_labels.remove(&kept);
        }
    }

    /// Ends the rest of a number.
    fn wake(&mut self, id: IdentityId) {
        if let Some(resting) = self.resting.remove(&id) {
            self.shared.release(&resting.labels);
        }
    }
}

impl Default for Identities {
    /// Both address families.
    fn default() -> Self {
        Self::new(Families::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_kept_of_those_who_are_gone() {
        let mut identities = Identities::default();
        let before = identities.shared.clone();
        let api: Labels = "k8s:app=api,k8s:env=prod".parse().unwrap();
        let first = identities.intern(api.clone()).unwrap().id;
        let again = identities.intern(api.clone()).unwrap().id;
        let member = identities.intern_member(first, &[[10, 0, 0, 1].into()], []);
        let block = identities.intern_local("192.0.2.0/24".parse().unwrap(), []);
        let twin = IdentityId::new(4_000);
        identities.insert_fixed(twin, api.clone()).unwrap();
        let all = [first, again, member.unwrap().id, block.unwrap().id, twin];
        for id in all {
            identities.release(id, Duration::ZERO).unwrap();
        }
        // It wakes with the labels that it rests with, and rests again.
        identities.insert_fixed(twin, api).unwrap();
        identities.release(twin, Duration::ZERO).unwrap();
        assert_ne!(identities.shared, before);
        identities.expire(QUARANTINE);
        assert_eq!(identities.shared, before);
    }
}
