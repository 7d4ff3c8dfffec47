//! How full the tables are.

use std::fmt;

use crate::datapath::Datapath;
use crate::error::MapError;
use crate::object::Table;

/// How full a table is.
///
/// A full table never weakens what is enforced: [changes](crate::ApplyError) that need room are
/// refused, and flows and fragments give way to new ones and are judged again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pressure {
    /// Of which table; of [`Table::Policies`] twice, see `of`.
    pub table: Table,
    /// What is counted.
    pub of: Counted,
    /// How many there are.
    pub used: u64,
    /// How many there may be.
    pub capacity: u64,
}

/// What the pressure of a table counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// Its entries.
    Entries,
    /// The entries of the fullest of its tables.
    Fullest,
}

impl Pressure {
    /// From 0 (empty) to 1 (full).
    ///
    /// ```
    /// use porin_datapath::{Counted, Pressure, object::Table};
    ///
    /// let flows = Pressure { table: Table::Flows, of: Counted::Entries, used: 3, capacity: 4 };
    /// assert_eq!(flows.ratio(), 0.75);
    /// assert_eq!(flows.to_string(), "flows: 3 of 4");
    /// ```
    #[must_use]
    pub fn ratio(&self) -> f64 {
        self.used as f64 / self.capacity.max(1) as f64
    }
}

impl fmt::Display for Pressure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = match self.of {
            Counted::Entries => "",
            Counted::Fullest => " (entries of the fullest)",
        };
        let name = self.table.name();
        write!(f, "{name}{of}: {} of {}", self.used, self.capacity)
    }
}

impl Datapath {
    /// How full each table is that can become full: endpoints, groups, addresses, prefixes, policy
    /// tables and the fullest of them, nodes and routes of the overlay, live flows, fragments.
    ///
    /// Reads the tag line of every bucket of flows, from memory that is mapped: a few milliseconds
    /// for a quarter of a million.
    ///
    /// # Errors
    ///
    /// If the kernel refuses to read a table.
    pub fn pressure(&self) -> Result<Vec<Pressure>, MapError> {
        let limits = &self.config.limits;
        let fullest = self.policies.fullest()?;
        let (exact, blocks) = self.addresses.usage();
        let (nodes, routes) = self.nodes.usage();
        let entries = |table: Table, used: usize| Pressure {
            table,
            of: Counted::Entries,
            used: used as u64,
            capacity: table.shape(limits).max_entries.into(),
        };
        let (live, places) = self.flows.usage();
        Ok(vec![
            entries(Table::Endpoints, self.known.len()),
            entries(Table::Groups, self.groups.len()),
            entries(Table::Addresses, exact),
            entries(Table::Prefixes, blocks),
            Pressure {
                capacity: self.policies.capacity() as u64,
                ..entries(Table::Policies, self.policies.in_use())
            },
            Pressure {
                table: Table::Policies,
                of: Counted::Fullest,
                used: fullest as u64,
                capacity: limits.policy_entries.into(),
            },
            entries(Table::Nodes, nodes),
            entries(Table::Routes, routes),
            Pressure {
                table: Table::Flows,
                of: Counted::Entries,
                used: live,
                capacity: places,
            },
            entries(Table::Fragments, self.fragments.entries()?.len()),
        ])
    }
}
