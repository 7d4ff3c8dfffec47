//! Groups of processes as endpoints: on a plain server, without a device of their own.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::MetadataExt;

use porin_flow::EndpointId;
use porin_identity::IdentityId;
use porin_policy::MapState;

use crate::abi::{Cell, Endpoint, IDENTITY_MAX};
use crate::datapath::Datapath;
use crate::error::{ApplyError, AttachError, LoadError, MapError, PinError};
use crate::object;
use crate::sys::{CgroupHook, CgroupLink, Program, TypedMap};

/// A group of processes: a cgroup (version 2) and all below it that are no groups themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupSpec {
    /// Its number in observations; not 0.
    pub id: EndpointId,
    /// Who it is; of 25 bits, not 0.
    pub identity: IdentityId,
}

/// What the kernel holds of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupDump {
    /// How it was made known.
    pub spec: GroupSpec,
    /// The number of its cgroup: the inode of the directory.
    pub cgroup: u64,
    /// Epoch of its policy.
    pub epoch: u64,
}

/// A group that was added or adopted.
#[derive(Debug)]
pub(crate) struct Group {
    cgroup: u64,
    record: Endpoint,
    links: Vec<CgroupLink>,
}

impl Group {
    fn table(&self) -> u32 {
        Cell::from_word(self.record.cell).table()
    }
}

/// The programs of a group, by their hooks.
pub(crate) type GroupPrograms = BTreeMap<CgroupHook, Program>;

impl Datapath {
    /// Makes a group of processes an endpoint, under a policy from its first packet on: what its
    /// sockets send is judged by egress policy, what they receive by ingress policy. A connection or
    /// datagram that cannot be allowed is refused at once (`EPERM`).
    ///
    /// Who sends is known by the socket. Other endpoints of the node, and other groups, know the group
    /// by its identity when it speaks to them; what they send goes to the host, whose addresses it
    /// has. Over loopback it speaks to the host, too. `cgroup` is the directory of the cgroup, opened.
    ///
    /// A socket belongs to the cgroup in which it was opened, wherever its process goes later. What
    /// bypasses the stack's own protocols (packet sockets, `CAP_NET_RAW`) is not seen, and who may
    /// write to the cgroup's files may leave it: both are for the service manager to forbid.
    ///
    /// ```no_run
    /// # use std::fs::File;
    /// # use std::os::fd::AsFd;
    /// # use porin_datapath::{Config, Datapath, GroupSpec};
    /// # use porin_flow::EndpointId;
    /// # use porin_identity::IdentityId;
    /// # use porin_policy::MapState;
    /// # fn example(policy: &MapState) -> Result<(), Box<dyn std::error::Error>> {
    /// let mut datapath = Datapath::load(&Config::default())?;
    /// let cgroup = File::open("/sys/fs/cgroup/system.slice/api.service")?;
    /// let api = GroupSpec { id: EndpointId::new(7), identity: IdentityId::new(4711) };
    /// datapath.add_group(api, cgroup.as_fd(), policy)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`AttachError`]; nothing is judged then that was not before.
    pub fn add_group(
        &mut self,
        spec: GroupSpec,
        cgroup: BorrowedFd<'_>,
        policy: &MapState,
    ) -> Result<(), AttachError> {
        let number = self.check_group(spec, cgroup)?;
        let table = self.stage_one(policy)?;
        let record = Endpoint {
            cell: Cell::new(self.endpoints.epochs(1), table, true).word(),
            born: self.endpoints.born(),
            id: spec.id.get(),
            identity: spec.identity.get(),
            ..Endpoint::default()
        };
        if let Err(error) = self.group_table.set(&number, &record) {
            self.policies.release(table);
            return Err(error.into());
        }
        let (links, failed) = match self.attach_group(spec.id, cgroup) {
            Ok(links) => (links, None),
            Err(error) => (Vec::new(), Some(error)),
        };
        let group = Group {
            cgroup: number,
            record,
            links,
        };
        self.groups.insert(spec.id, group);
        match failed {
            None => Ok(()),
            Some(error) => {
                // What was made is taken back; the first error is the one that tells why.
                let _ = self.remove_group(spec.id);
                Err(error)
            }
        }
    }

    fn check_group(&self, spec: GroupSpec, cgroup: BorrowedFd<'_>) -> Result<u64, AttachError> {
        let GroupSpec { id, identity } = spec;
        if id == EndpointId::NONE || !(1..=IDENTITY_MAX).contains(&identity.get()) {
            return Err(AttachError::Identity(identity));
        }
        if self.known.contains_key(&id) || self.is_host(id) || self.groups.contains_key(&id) {
            return Err(AttachError::Duplicate(id));
        }
        let directory = cgroup.try_clone_to_owned().map(File::from);
        let number = directory
            .and_then(|directory| directory.metadata())
            .map_err(AttachError::Cgroup)?
            .ino();
        match self.groups.iter().find(|(_, held)| held.cgroup == number) {
            Some((other, _)) => Err(AttachError::Duplicate(*other)),
            None => Ok(number),
        }
    }

    fn attach_group(
        &self,
        id: EndpointId,
        cgroup: BorrowedFd<'_>,
    ) -> Result<Vec<CgroupLink>, AttachError> {
        let attach = |(hook, program): (&CgroupHook, &Program)| {
            let link = CgroupLink::attach(program.as_fd(), cgroup, *hook)
                .map_err(AttachError::CgroupHook)?;
            if let Some(pins) = &self.pins {
                let path = pins.group_link_path(id, *hook);
                link.pin(&path)
                    .map_err(|source| PinError::Call { path, source })?;
            }
            Ok(link)
        };
        self.group_programs.iter().map(attach).collect()
    }

    /// Puts another policy in force for a group, in one step.
    ///
    /// # Errors
    ///
    /// [`ApplyError::UnknownEndpoint`], or [`ApplyError::Capacity`]: the policy before stays in force.
    pub fn install_group(&mut self, id: EndpointId, policy: &MapState) -> Result<(), ApplyError> {
        self.group(id)?;
        let table = self.stage_one(policy)?;
        let cell = Cell::new(self.endpoints.epochs(1), table, true);
        let group = self.group(id)?;
        let replaced = group.table();
        let record = Endpoint {
            cell: cell.word(),
            ..group.record
        };
        if let Err(error) = self.write_group(id, record) {
            self.policies.release(table);
            return Err(error);
        }
        self.policies.release(replaced);
        Ok(())
    }

    /// Gives a group another identity: from its next packet on others know it by that.
    ///
    /// # Errors
    ///
    /// [`ApplyError::UnknownEndpoint`], [`ApplyError::Identity`], or the kernel's refusal; the old
    /// identity stays then.
    pub fn set_group_identity(
        &mut self,
        id: EndpointId,
        identity: IdentityId,
    ) -> Result<(), ApplyError> {
        let record = self.group(id)?.record;
        if !(1..=IDENTITY_MAX).contains(&identity.get()) {
            return Err(ApplyError::Identity(identity));
        }
        let identity = identity.get();
        self.write_group(id, Endpoint { identity, ..record })
    }

    fn write_group(&mut self, id: EndpointId, record: Endpoint) -> Result<(), ApplyError> {
        self.group_table.set(&self.group(id)?.cgroup, &record)?;
        if let Some(group) = self.groups.get_mut(&id) {
            group.record = record;
        }
        Ok(())
    }

    /// Takes a group out: its packets are dropped first, then the programs leave its cgroup. What its
    /// processes do afterwards is not ours to judge.
    ///
    /// # Errors
    ///
    /// [`AttachError`]; the group is unknown afterwards all the same.
    pub fn remove_group(&mut self, id: EndpointId) -> Result<(), AttachError> {
        let group = self
            .groups
            .remove(&id)
            .ok_or(AttachError::UnknownEndpoint(id))?;
        let shut = Endpoint {
            cell: 0,
            ..group.record
        };
        let table = group.table();
        let mut result = self.group_table.set(&group.cgroup, &shut);
        let mut detached = Ok(());
        for link in &group.links {
            detached = detached.and(link.detach().map_err(AttachError::CgroupHook));
        }
        if let Some(pins) = &self.pins {
            detached = detached.and(pins.discard_group(id).map_err(AttachError::from));
        }
        result = result.and(self.group_table.remove(&group.cgroup).map(drop));
        self.policies.release(table);
        result.map_err(AttachError::from).and(detached)
    }

    /// What the kernel holds of every group, by number.
    #[must_use]
    pub fn groups(&self) -> Vec<GroupDump> {
        let dump = |(id, group): (&EndpointId, &Group)| GroupDump {
            spec: GroupSpec {
                id: *id,
                identity: IdentityId::new(group.record.identity),
            },
            cgroup: group.cgroup,
            epoch: Cell::from_word(group.record.cell).epoch(),
        };
        self.groups.iter().map(dump).collect()
    }

    fn group(&self, id: EndpointId) -> Result<&Group, ApplyError> {
        self.groups.get(&id).ok_or(ApplyError::UnknownEndpoint(id))
    }

    /// Counts the tables that an earlier process left in force for groups: before anybody who shares
    /// one of them can let it go.
    pub(crate) fn adopt_group_records(&mut self) -> Result<(), MapError> {
        for (cgroup, record) in self.group_table.entries()? {
            let group = Group {
                cgroup,
                record,
                links: Vec::new(),
            };
            self.policies.adopt(group.table());
            self.groups.insert(EndpointId::new(record.id), group);
        }
        Ok(())
    }

    /// Takes over what an earlier process left attached. A group whose cgroup is gone, or that was not
    /// complete, is forgotten.
    pub(crate) fn adopt_groups(&mut self) -> Result<(), LoadError> {
        let Some(pins) = &self.pins else {
            return Ok(());
        };
        let mut incomplete = Vec::new();
        for (id, group) in &mut self.groups {
            for (hook, program) in &self.group_programs {
                let link = CgroupLink::from_pin(&pins.group_link_path(*id, *hook));
                let link = link.and_then(|link| link.update(program.as_fd()).map(|()| link));
                match link {
                    Ok(link) => group.links.push(link),
                    Err(_) => incomplete.push(*id),
                }
            }
        }
        for id in pins.group_links()? {
            if !self.groups.contains_key(&id) {
                pins.discard_group(id)?;
            }
        }
        for id in incomplete {
            if self.groups.contains_key(&id) {
                self.remove_group(id)?;
            }
        }
        Ok(())
    }
}

/// Takes the programs of groups out of what was loaded.
pub(crate) fn programs(
    mut take: impl FnMut(&str) -> Result<Program, LoadError>,
) -> Result<GroupPrograms, LoadError> {
    let of_hook = |(name, hook): (&str, CgroupHook)| Ok((hook, take(name)?));
    object::GROUP.into_iter().map(of_hook).collect()
}

/// The map from cgroup to record.
pub(crate) type GroupTable = TypedMap<u64, Endpoint>;
