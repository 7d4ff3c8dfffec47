//! A change of policies, as one transaction.

use std::collections::BTreeSet;
use std::time::Duration;

use ipnet::IpNet;

use crate::policy::{Criteria, LoadReport, PolicySet};

use super::blocks::Held;
use super::core::Enforcer;
use super::error::{EndpointError, PolicyError};

impl Enforcer {
    /// Replaces the whole set of policies: each file is its name and its text.
    ///
    /// 1. The files are read into a new set; a set that is wrong is refused.
    /// 2. Every block of addresses that the new set names gets its identity, another one where the
    ///    groups that it stands in have changed, and the tables in
    ///    force learn what their rules say of it.
    /// 3. The kernel begins to tell these blocks apart, and endpoints with equal labels that the new
    ///    set tells apart by address.
    /// 4. The tables of the new set are put in force, those whose content changed, in one batch.
    /// 5. The policy of the host is put in force, if the host is to have one: on trial, if it was said
    ///    [so](super::HostSpec::confirm).
    /// 6. Blocks that nobody names any more are forgotten, and endpoints that nothing tells apart any
    ///    more share an identity again.
    ///
    /// So no packet is judged by a set that does not know its sender.
    ///
    /// # Errors
    ///
    /// [`PolicyError::Refused`] for wrong documents, the others when the new set cannot be
    /// computed or does not fit. The set before stays in force.
    pub fn load_policies<F, T>(
        &mut self,
        files: impl IntoIterator<Item = (F, T)>,
        now: Duration,
    ) -> Result<LoadReport, PolicyError>
    where
        F: AsRef<str>,
        T: AsRef<str>,
    {
        let mut next = self.policies.clone();
        let report = next.load(files).map_err(PolicyError::Refused)?;
        let wanted = self.wanted_blocks(&next);
        let held = self.blocks.hold(&wanted, &mut self.identities, now)?;
        let criteria = next.criteria();
        if let Err(error) = self.put_in_force(&next, &criteria, &held, now) {
            self.back_to_last_good(&held, now);
            return Err(error);
        }
        self.policies = next;
        self.criteria = criteria;
        self.blocks.settle(&held, &mut self.identities, now);
        self.forget_idle_blocks(now)
            .and_then(|()| self.divide_for_now(now))
            .map_err(PolicyError::Leftover)?;
        Ok(report)
    }

    /// Tells endpoints apart as the policies in force do, and no further.
    pub(super) fn divide_for_now(&mut self, now: Duration) -> Result<(), EndpointError> {
        let criteria = self.criteria.clone();
        self.name_host(&[&criteria]);
        self.divide(&[&criteria], None, now)
    }

    fn put_in_force(
        &mut self,
        next: &PolicySet,
        criteria: &Criteria,
        held: &Held,
        now: Duration,
    ) -> Result<(), PolicyError> {
        let both = [&self.criteria.clone(), criteria];
        self.name_host(&both);
        self.divide(&both, None, now).map_err(PolicyError::Apart)?;
        if !held.is_empty() {
            self.settle::<PolicyError>()?;
            self.blocks.claim(held, now)?;
            self.blocks.write(&mut self.datapath)?;
        }
        self.resolver.update(next);
        self.settle::<PolicyError>()?;
        self.put_host_in_force(next)
    }

    /// The kernel refused: the tables of the set before are computed and in force, except where a
    /// batch of the new one came through; writing them again is always possible, they were there.
    fn back_to_last_good(&mut self, held: &Held, now: Duration) {
        self.resolver.update(&self.policies);
        // The first error is the one to tell.
        let _ = self.settle::<EndpointError>();
        let _ = self.divide_for_now(now);
        let _ = self.forget_blocks(&held.new, now);
        if held.replaced.is_empty() {
            return;
        }
        self.blocks.let_go(held, &mut self.identities, now);
        let _ = self.blocks.claim(held, now);
        let _ = self.blocks.write(&mut self.datapath);
        let _ = self.settle::<EndpointError>();
    }

    /// Forgets the blocks that neither the policies nor those that count for the host name any more.
    pub(super) fn forget_idle_blocks(&mut self, now: Duration) -> Result<(), EndpointError> {
        let wanted = self.wanted_blocks(&self.policies);
        let unwanted = self.blocks.unwanted(&wanted);
        self.forget_blocks(&unwanted, now)
    }

    fn forget_blocks(
        &mut self,
        blocks: &BTreeSet<IpNet>,
        now: Duration,
    ) -> Result<(), EndpointError> {
        if blocks.is_empty() {
            return Ok(());
        }
        self.blocks.disclaim(blocks, now);
        self.blocks.write(&mut self.datapath)?;
        self.blocks.release(blocks, &mut self.identities, now);
        self.settle()
    }
}
