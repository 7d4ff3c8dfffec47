//! Policies, edited in place.

use std::collections::{BTreeMap, BTreeSet};

use porin_flow::EndpointId;
use porin_policy::MapChange;

use crate::abi::Cell;
use crate::datapath::Datapath;
use crate::error::ApplyError;

/// What [`Datapath::amend`] did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Amended {
    /// Endpoints whose policy is in force as it shall be.
    pub changed: usize,
    /// Policy tables that were edited.
    pub tables: usize,
    /// Endpoints whose policy has not changed, because its table cannot be edited; for them
    /// [`Datapath::install`] brings the whole policy.
    pub left: Vec<EndpointId>,
}

/// The endpoints of one table, and what they want of it.
struct Group<'a> {
    changes: &'a [MapChange],
    /// Whether all want the same.
    alike: bool,
    endpoints: BTreeSet<EndpointId>,
}

impl Datapath {
    /// Edits the policies in force, as [`Resolver::refresh`](porin_policy::Resolver::refresh) and
    /// [`MapState::diff`](porin_policy::MapState::diff) say: an identity that comes or goes costs a
    /// few writes, and no grace period of the kernel as a new table does.
    ///
    /// Every flow goes from its old answer to its new one at one of the writes, in the order of the
    /// changes. Flows that run are judged anew by their next packet. A table is edited if all the
    /// endpoints that use it are listed with equal changes, none of which is about any peer, and if
    /// it has room; other endpoints are [left](Amended::left).
    ///
    /// # Errors
    ///
    /// [`ApplyError::UnknownEndpoint`] before anything is written; or the kernel's refusal halfway.
    /// Some flows have their new answer then and others the old one, until
    /// [`install`](Self::install) brings the whole policy.
    pub fn amend(&mut self, edits: &[(EndpointId, &[MapChange])]) -> Result<Amended, ApplyError> {
        let mut groups: BTreeMap<u32, Group<'_>> = BTreeMap::new();
        for (id, changes) in edits {
            let table = self.endpoints.cell(self.slot(*id)?).table();
            let group = groups.entry(table).or_insert_with(|| Group {
                changes,
                alike: true,
                endpoints: BTreeSet::new(),
            });
            let once = group.endpoints.insert(*id);
            group.alike &= once && group.changes == *changes;
        }
        let mut amended = Amended::default();
        for (table, group) in groups {
            let count = group.endpoints.len();
            if !group.alike || !self.policies.may_edit(table, count, group.changes) {
                amended.left.extend(group.endpoints);
                continue;
            }
            if !group.changes.is_empty() {
                self.policies.edit(table, group.changes)?;
                self.renew(&group.endpoints)?;
                amended.tables += 1;
            }
            amended.changed += count;
        }
        Ok(amended)
    }

    /// New epochs, under which nothing was allowed yet.
    fn renew(&mut self, endpoints: &BTreeSet<EndpointId>) -> Result<(), ApplyError> {
        let first = self.endpoints.epochs(endpoints.len() as u64);
        for (id, epoch) in endpoints.iter().zip(first..) {
            let slot = self.slot(*id)?;
            let old = self.endpoints.cell(slot);
            let next = Cell::new(epoch, old.table(), old.ready());
            self.endpoints.set_cell(slot, next);
        }
        Ok(())
    }
}
