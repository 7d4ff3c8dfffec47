//! The host under a policy of its own, judged at the devices that lead out of the node.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use porin_flow::EndpointId;
use porin_identity::IdentityId;
use porin_policy::{MapEntry, MapKey, MapState};

use crate::abi::{Cell, Endpoint};
use crate::datapath::Datapath;
use crate::error::{ApplyError, AttachError, LoadError};
use crate::link::Attachment;
use crate::pin::Role;
use crate::sys::monotonic;
use crate::tables::{decode_entry, decode_key};

/// The loopback device of every network namespace.
const LOOPBACK: u32 = 1;

/// Where the host is judged, and what it is called in observations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostSpec {
    /// Its number in observations; not 0, and no endpoint's.
    pub id: EndpointId,
    /// The devices that lead out of the node, in the calling thread's network namespace.
    pub devices: BTreeSet<u32>,
}

/// What the kernel holds of the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostDump {
    /// Its number and devices.
    pub spec: HostSpec,
    /// Epoch of the policy in force; `None`: nothing is judged, since a first policy was not
    /// confirmed.
    pub epoch: Option<u64>,
    /// The trial that goes on.
    pub trial: Option<Trial>,
}

/// A policy that has to be confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trial {
    /// Until when: time of `CLOCK_MONOTONIC`, as [`monotonic`] tells it.
    pub until: Duration,
    /// Epoch of the policy that is in force afterwards; `None`: nothing is judged then.
    pub before: Option<u64>,
}

/// The host that was attached or adopted.
#[derive(Debug)]
pub(crate) struct Attached {
    id: EndpointId,
    devices: BTreeMap<u32, Vec<Attachment>>,
}

impl Datapath {
    /// Puts the host under a policy, and attaches the programs to devices that lead out of the
    /// node: from now on what the node itself sends and receives there is judged. What is forwarded
    /// is not: that is the matter of its endpoint. Where the host is under a policy already, this
    /// one takes its place and `spec` says which devices remain.
    ///
    /// The addresses of the host are those that [`apply_prefixes`](Self::apply_prefixes) gives to
    /// [`IdentityId::HOST`], and all others that the kernel's routes call local. The
    /// policy is what a resolver says of [`IdentityId::HOST`]: rules with a node selector.
    ///
    /// With a `trial` the policy has to be [confirmed](Self::confirm_host) in that time.
    /// Otherwise what was in force before is in force again, without user space having to be
    /// there: a mistake that cuts the node off from those who could correct it ends by itself. Before
    /// the first policy nothing was judged.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # use porin_datapath::{Config, Datapath, HostSpec};
    /// # use porin_flow::EndpointId;
    /// # use porin_policy::MapState;
    /// # fn example(policy: &MapState) -> Result<(), Box<dyn std::error::Error>> {
    /// let mut datapath = Datapath::open(&Config::default())?;
    /// let host = HostSpec { id: EndpointId::new(1), devices: [2].into() };
    /// datapath.attach_host(&host, policy, Some(Duration::from_secs(60)))?;
    /// // … and when it is certain that the node can still be reached:
    /// datapath.confirm_host()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`AttachError`]; nothing is judged that was not judged before, and the policy before is in
    /// force.
    pub fn attach_host(
        &mut self,
        spec: &HostSpec,
        policy: &MapState,
        trial: Option<Duration>,
    ) -> Result<(), AttachError> {
        if spec.devices.contains(&LOOPBACK) {
            return Err(AttachError::Loopback);
        }
        if spec.id == EndpointId::NONE {
            return Err(AttachError::Identity(IdentityId::HOST));
        }
        if self.known.contains_key(&spec.id) || self.groups.contains_key(&spec.id) {
            return Err(AttachError::Duplicate(spec.id));
        }
        let first = self.host.is_none();
        if first {
            self.begin_host(spec.id);
        }
        let placed = self.place_host(spec, policy, trial);
        if placed.is_err() && first {
            // What was made is taken back; the first error is the one that tells why.
            let _ = self.detach_host();
        }
        placed
    }

    fn begin_host(&mut self, id: EndpointId) {
        self.host_table.begin(&Endpoint {
            born: self.endpoints.born(),
            id: id.get(),
            identity: IdentityId::HOST.get(),
            ..Endpoint::default()
        });
        self.host = Some(Attached {
            id,
            devices: BTreeMap::new(),
        });
    }

    /// Devices first that are to come, while they judge by what is in force; then the policy; then
    /// devices that are to go.
    fn place_host(
        &mut self,
        spec: &HostSpec,
        policy: &MapState,
        trial: Option<Duration>,
    ) -> Result<(), AttachError> {
        let held: BTreeSet<u32> = self.host_devices();
        let fresh: Vec<u32> = spec.devices.difference(&held).copied().collect();
        let mut result = fresh.iter().try_for_each(|device| self.judge_at(*device));
        if result.is_ok() {
            result = self.install_host(policy, trial).map_err(AttachError::from);
        }
        let leave: Vec<u32> = match &result {
            Ok(()) => held.difference(&spec.devices).copied().collect(),
            Err(_) => fresh,
        };
        for device in leave {
            result = result.and(self.leave_host_device(device));
        }
        result
    }

    /// Attaches the programs to one device.
    fn judge_at(&mut self, ifindex: u32) -> Result<(), AttachError> {
        let made = self.attach_device(Role::Host, ifindex)?;
        if let Some(host) = &mut self.host {
            host.devices.insert(ifindex, made);
        }
        Ok(())
    }

    fn leave_host_device(&mut self, ifindex: u32) -> Result<(), AttachError> {
        let attachments = self
            .host
            .as_mut()
            .and_then(|host| host.devices.remove(&ifindex));
        let attachments = attachments.into_iter().flatten();
        attachments
            .map(Attachment::detach)
            .fold(Ok(()), Result::and)
    }

    /// Puts another policy in force for the host; `trial` as for [`attach_host`](Self::attach_host).
    /// Where one is on trial already, this one takes its place, and what was in force before both
    /// is what comes after a trial that nobody confirms. Without a `trial` it is in force for good.
    ///
    /// # Errors
    ///
    /// [`ApplyError::NoHost`], or [`ApplyError::Capacity`]: the policy before stays in force.
    pub fn install_host(
        &mut self,
        policy: &MapState,
        trial: Option<Duration>,
    ) -> Result<(), ApplyError> {
        self.host.as_ref().ok_or(ApplyError::NoHost)?;
        self.end_trial();
        let table = self.stage_one(policy)?;
        let cell = Cell::new(self.endpoints.epochs(1), table, true);
        let replaced = self.host_table.current();
        let before = self.host_table.trial().map(|(before, _)| before);
        match trial {
            Some(trial) => {
                let until = monotonic().saturating_add(trial).as_nanos();
                let until = u64::try_from(until).unwrap_or(u64::MAX);
                self.host_table.put_until(cell, until);
                if before.is_some() {
                    self.release_host(replaced);
                }
            }
            None => {
                self.host_table.put(cell);
                self.release_host(replaced);
                self.release_host(before);
            }
        }
        Ok(())
    }

    /// The same policy for the host, after identities have come and gone: as the table in force and,
    /// while one is on trial, also the one before it (`before`). Neither begins nor ends a trial.
    ///
    /// # Errors
    ///
    /// [`ApplyError::NoHost`], or [`ApplyError::Capacity`]: the tables before stay in force.
    pub fn renew_host(
        &mut self,
        policy: &MapState,
        before: Option<&MapState>,
    ) -> Result<(), ApplyError> {
        self.host.as_ref().ok_or(ApplyError::NoHost)?;
        self.end_trial();
        let current = self.stage_one(policy)?;
        let trial = self.host_table.trial();
        let previous = match before.filter(|_| trial.is_some()) {
            Some(before) => Some(self.stage_one(before).inspect_err(|_| {
                self.policies.release(current);
            })?),
            None => None,
        };
        let first = self.endpoints.epochs(2);
        let replaced = self.host_table.current();
        self.host_table.renew(
            Cell::new(first, current, true),
            previous.map(|table| Cell::new(first + 1, table, true)),
        );
        self.release_host(replaced);
        if previous.is_some() {
            self.release_host(trial.map(|(before, _)| before));
        }
        Ok(())
    }

    /// The policy on trial is in force for good.
    ///
    /// # Errors
    ///
    /// [`ApplyError::NoTrial`] if it came too late, or nothing was on trial.
    pub fn confirm_host(&mut self) -> Result<(), ApplyError> {
        self.end_trial();
        let before = self.host_table.confirm().ok_or(ApplyError::NoTrial)?;
        self.release_host(Some(before));
        Ok(())
    }

    /// The policy before the one on trial is in force again, at once.
    ///
    /// # Errors
    ///
    /// [`ApplyError::NoTrial`] if that has happened already, or nothing was on trial.
    pub fn revert_host(&mut self) -> Result<(), ApplyError> {
        self.end_trial();
        let tried = self.host_table.revert().ok_or(ApplyError::NoTrial)?;
        self.release_host(Some(tried));
        Ok(())
    }

    /// The programs leave the devices, and the host is under no policy any more.
    ///
    /// # Errors
    ///
    /// The first failure; the rest is taken away all the same.
    pub fn detach_host(&mut self) -> Result<(), AttachError> {
        let devices = self.host_devices();
        let mut result = Ok(());
        for device in devices {
            result = result.and(self.leave_host_device(device));
        }
        if self.host.take().is_some() {
            let held = [
                self.host_table.current(),
                self.host_table.trial().map(|(before, _)| before),
            ];
            self.host_table.clear();
            for cell in held {
                self.release_host(cell);
            }
        }
        result
    }

    /// What the kernel holds of the host; `None` while it is under no policy.
    #[must_use]
    pub fn host(&self) -> Option<HostDump> {
        let host = self.host.as_ref()?;
        let epoch = |cell: Cell| (cell != Cell::OPEN).then(|| cell.epoch());
        let current = self.host_table.current().unwrap_or(Cell::OPEN);
        let trial = self.host_table.trial();
        let over = self.host_table.is_over();
        Some(HostDump {
            spec: HostSpec {
                id: host.id,
                devices: self.host_devices(),
            },
            epoch: match trial {
                Some((before, _)) if over => epoch(before),
                _ => epoch(current),
            },
            trial: trial.filter(|_| !over).map(|(before, until)| Trial {
                until: Duration::from_nanos(until),
                before: epoch(before),
            }),
        })
    }

    /// The policy in force for the host, read back from the kernel, in key order; `None` while
    /// nothing is judged.
    ///
    /// # Errors
    ///
    /// The kernel's refusal.
    pub fn host_policy(&self) -> Result<Option<Vec<(MapKey, MapEntry)>>, ApplyError> {
        let in_force = match self.host_table.trial() {
            Some((before, _)) if self.host_table.is_over() => Some(before),
            _ => self.host_table.current(),
        };
        let Some(cell) = in_force.filter(|cell| *cell != Cell::OPEN) else {
            return Ok(None);
        };
        let entries = self.policies.dump(cell.table())?;
        let mut entries: Vec<_> = entries
            .iter()
            .filter_map(|(key, entry)| Some((decode_key(key)?, decode_entry(entry)?)))
            .collect();
        entries.sort_unstable();
        Ok(Some(entries))
    }

    /// A trial whose time is over has ended in the kernel: the tables follow.
    fn end_trial(&mut self) {
        if self.host_table.is_over() {
            let tried = self.host_table.revert();
            self.release_host(tried);
        }
    }

    /// A table of this content, held for one who asked.
    pub(crate) fn stage_one(&mut self, policy: &MapState) -> Result<u32, ApplyError> {
        let content = policy.content();
        let staged = self.policies.stage(&BTreeMap::from([(content, policy)]))?;
        if staged.built > 0 {
            self.endpoints.rested();
        }
        let table = staged.slots.get(&content).copied();
        table
            .inspect(|table| self.policies.acquire(*table))
            .ok_or(ApplyError::Capacity {
                what: "the set of policy tables",
                needed: 1,
                capacity: 0,
            })
    }

    fn release_host(&mut self, cell: Option<Cell>) {
        if let Some(cell) = cell.filter(|cell| *cell != Cell::OPEN) {
            self.policies.release(cell.table());
        }
    }

    /// Whether the host has this number.
    pub(crate) fn is_host(&self, id: EndpointId) -> bool {
        self.host.as_ref().is_some_and(|host| host.id == id)
    }

    fn host_devices(&self) -> BTreeSet<u32> {
        let host = self.host.iter();
        host.flat_map(|host| host.devices.keys().copied()).collect()
    }

    /// Counts the tables that an earlier process left in force for the host: before any endpoint
    /// that shares one of them can let it go.
    pub(crate) fn adopt_host_tables(&mut self) {
        let trial = self.host_table.trial().map(|(before, _)| before);
        for cell in [self.host_table.current(), trial].into_iter().flatten() {
            if cell != Cell::OPEN {
                self.policies.adopt(cell.table());
            }
        }
    }

    /// Takes over what an earlier process left of the host. A device that is gone is forgotten.
    pub(crate) fn adopt_host(&mut self) -> Result<(), LoadError> {
        let Some(own) = self.host_table.current().and(self.host_table.read()) else {
            // Attached by one who was killed before a policy was there, or while it was taken away.
            return self.adopt_devices(Role::Host, false).map(drop);
        };
        self.host = Some(Attached {
            id: EndpointId::new(own.id),
            devices: BTreeMap::new(),
        });
        self.end_trial();
        let devices = self.adopt_devices(Role::Host, true)?;
        if let Some(host) = &mut self.host {
            host.devices = devices;
        }
        Ok(())
    }
}
