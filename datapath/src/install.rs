//! Policies and addresses, brought into force.

use std::collections::BTreeMap;

use ipnet::IpNet;
use porin_flow::EndpointId;
use porin_identity::IdentityId;
use porin_policy::{ContentHash, MapEntry, MapKey, MapState};

use crate::abi::Cell;
use crate::datapath::Datapath;
use crate::error::{ApplyError, MapError};
use crate::tables::{Staged, decode_entry, decode_key};

/// What an installation did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Installed {
    /// Endpoints whose policy changed.
    pub changed: usize,
    /// Endpoints whose policy was that already.
    pub unchanged: usize,
    /// Policy tables that had to be built.
    pub built: usize,
    /// Policy tables in use now.
    pub tables: usize,
}

impl Datapath {
    /// Brings policies into force for many endpoints at once.
    ///
    /// All tables are built aside and put in place in one step, which waits for
    /// a grace period of the kernel (about 8 ms, however many they are); then
    /// each endpoint is switched by one store of table and epoch. No packet sees
    /// half a policy, and flows that run are judged anew by their next packet.
    /// Endpoints of equal policy share one table.
    ///
    /// ```no_run
    /// # use porin_datapath::{Config, Datapath, EndpointSpec};
    /// # use porin_flow::EndpointId;
    /// # use porin_identity::IdentityId;
    /// # use porin_policy::MapState;
    /// # fn example(state: &MapState) -> Result<(), Box<dyn std::error::Error>> {
    /// let mut datapath = Datapath::load(&Config::default())?;
    /// let id = EndpointId::new(1);
    /// datapath.add_endpoint(EndpointSpec {
    ///     id,
    ///     ifindex: 7,
    ///     identity: IdentityId::new(4711),
    ///     addresses: vec!["10.0.0.7".parse()?],
    /// })?;
    /// datapath.install(&[(id, state)])?;
    /// datapath.set_ready(id)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ApplyError::Capacity`] if a table or the set of tables is too small;
    /// every old policy stays in force, whatever the error.
    pub fn install(
        &mut self,
        policies: &[(EndpointId, &MapState)],
    ) -> Result<Installed, ApplyError> {
        let mut wanted = BTreeMap::new();
        let mut states = BTreeMap::new();
        for (id, state) in policies {
            let content = state.content();
            wanted.insert(self.slot(*id)?, content);
            states.insert(content, *state);
        }
        let staged = self.policies.stage(&states)?;
        if staged.built > 0 {
            self.endpoints.rested();
        }
        let installed = self.switch(&wanted, &staged);
        self.policies.sweep(&staged);
        Ok(Installed {
            tables: self.policies.in_use(),
            ..installed
        })
    }

    /// Switches endpoints, by slot, to staged tables. All new tables are held
    /// before any old one is let go: one endpoint's old may be another's new.
    fn switch(&mut self, wanted: &BTreeMap<u32, ContentHash>, staged: &Staged) -> Installed {
        let mut changes = Vec::with_capacity(wanted.len());
        for (slot, content) in wanted {
            let Some(table) = staged.slots.get(content).copied() else {
                continue;
            };
            let old = self.endpoints.cell(*slot);
            if old.epoch() == 0 || old.table() != table {
                self.policies.acquire(table);
                changes.push((*slot, old, table));
            }
        }
        let first = self.endpoints.epochs(changes.len() as u64);
        for ((slot, old, table), epoch) in changes.iter().zip(first..) {
            let next = Cell::new(epoch, *table, old.ready());
            self.endpoints.set_cell(*slot, next);
        }
        for (_, old, _) in &changes {
            self.policies.release(old.table());
        }
        Installed {
            changed: changes.len(),
            unchanged: wanted.len() - changes.len(),
            built: staged.built,
            tables: 0,
        }
    }

    /// Says whom the addresses of a block belong to. A block of one address is
    /// found without a search; of the others the longest wins.
    ///
    /// # Errors
    ///
    /// As [`apply_prefixes`](Self::apply_prefixes).
    pub fn upsert_prefix(&mut self, net: IpNet, identity: IdentityId) -> Result<(), ApplyError> {
        self.apply_prefixes(&[(net, Some(identity))])
    }

    /// The block is nobody's any more. One that is not there is no error.
    ///
    /// # Errors
    ///
    /// As [`apply_prefixes`](Self::apply_prefixes).
    pub fn remove_prefix(&mut self, net: IpNet) -> Result<(), ApplyError> {
        self.apply_prefixes(&[(net, None)])
    }

    /// Sets (`Some`) and removes (`None`) many blocks. Where that changes
    /// anything, every flow is judged anew by its next packet, once. Blocks of
    /// IPv4-mapped IPv6 addresses are passed over: packets with such addresses
    /// are dropped.
    ///
    /// # Errors
    ///
    /// [`ApplyError::Capacity`] before anything is written.
    pub fn apply_prefixes(
        &mut self,
        changes: &[(IpNet, Option<IdentityId>)],
    ) -> Result<(), ApplyError> {
        let applied = self.addresses.apply(changes);
        // Also after a failure halfway: part of it may have happened.
        if !matches!(applied, Ok(false) | Err(ApplyError::Capacity { .. })) {
            self.endpoints.raise_address_epoch();
        }
        applied.map(drop)
    }

    /// Every block with its identity, without the endpoints' own addresses.
    pub fn prefixes(&self) -> impl Iterator<Item = (IpNet, IdentityId)> {
        self.addresses.remote()
    }

    /// The policy in force for an endpoint, read back from the kernel, in key order.
    ///
    /// # Errors
    ///
    /// [`ApplyError::UnknownEndpoint`], or the kernel's refusal.
    pub fn policy(&self, id: EndpointId) -> Result<Vec<(MapKey, MapEntry)>, ApplyError> {
        let cell = self.endpoints.cell(self.slot(id)?);
        let mut entries: Vec<_> = self
            .policies
            .dump(cell.table())?
            .iter()
            .filter_map(|(key, entry)| Some((decode_key(key)?, decode_entry(entry)?)))
            .collect();
        entries.sort_unstable();
        Ok(entries)
    }

    /// No program holds what was given back before this call.
    pub(crate) fn wait_grace(&mut self) -> Result<(), MapError> {
        self.policies.wait_grace()?;
        self.endpoints.rested();
        Ok(())
    }
}
