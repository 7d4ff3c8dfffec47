//! Other nodes, and which addresses stand behind which.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;

use super::addresses::{check, decode, encode};
use crate::abi::{Address, Prefix, Remote};
use crate::error::{ApplyError, MapError};
use crate::sys::{Map, MapShape, TypedMap};

/// The ends of tunnels and the prefixes behind them.
///
/// A prefix is never found before its node is known, and a node is forgotten after its prefixes:
/// what is on its way meanwhile is dropped, not taken for somebody else's.
#[derive(Debug)]
pub(crate) struct NodeTable {
    nodes: TypedMap<Address, Remote>,
    routes: TypedMap<Prefix, Address>,
    known: BTreeSet<IpAddr>,
    behind: BTreeMap<IpNet, IpAddr>,
    nodes_max: usize,
    routes_max: usize,
}

impl NodeTable {
    /// Takes over the two maps and reads what is in them.
    pub(crate) fn new(
        (nodes, nodes_shape): (Map, &MapShape),
        (routes, routes_shape): (Map, &MapShape),
    ) -> Result<Self, MapError> {
        let nodes = TypedMap::<Address, Remote>::new(nodes, nodes_shape)?;
        let routes = TypedMap::<Prefix, Address>::new(routes, routes_shape)?;
        let known = nodes.entries()?.into_iter();
        let known = known.map(|(address, _)| IpAddr::from(address)).collect();
        let behind = routes.entries()?.into_iter();
        let behind =
            behind.filter_map(|(prefix, node)| Some((decode(&prefix)?, IpAddr::from(node))));
        Ok(Self {
            known,
            behind: behind.collect(),
            nodes,
            routes,
            nodes_max: nodes_shape.max_entries as usize,
            routes_max: routes_shape.max_entries as usize,
        })
    }

    /// The nodes with the prefixes behind each.
    pub(crate) fn all(&self) -> BTreeMap<IpAddr, BTreeSet<IpNet>> {
        let mut all: BTreeMap<_, BTreeSet<_>> = self
            .known
            .iter()
            .map(|node| (*node, BTreeSet::new()))
            .collect();
        for (prefix, node) in &self.behind {
            all.entry(*node).or_default().insert(*prefix);
        }
        all
    }

    /// How many nodes and how many routes there are.
    pub(crate) fn usage(&self) -> (usize, usize) {
        (self.known.len(), self.behind.len())
    }

    /// Makes these, and no others, the prefixes behind a node. Room is checked before anything is
    /// written.
    pub(crate) fn set(
        &mut self,
        node: IpAddr,
        prefixes: &BTreeSet<IpNet>,
    ) -> Result<(), ApplyError> {
        for prefix in prefixes {
            if let Some(owner) = self.behind.get(prefix).filter(|owner| **owner != node) {
                return Err(ApplyError::RouteTaken {
                    prefix: *prefix,
                    node: *owner,
                });
            }
        }
        let more = usize::from(!self.known.contains(&node));
        check(
            "the table of nodes",
            self.known.len() + more,
            self.nodes_max,
        )?;
        let of_others = self.behind.values().filter(|owner| **owner != node).count();
        let needed = of_others + prefixes.len();
        check("the table of routes", needed, self.routes_max)?;
        let remote = Remote {
            prefixes: u32::try_from(prefixes.len()).unwrap_or(u32::MAX),
            reserved: 0,
        };
        self.nodes.set(&node.into(), &remote)?;
        self.known.insert(node);
        let stale = self.behind.iter();
        let stale: Vec<_> = stale
            .filter(|(prefix, owner)| **owner == node && !prefixes.contains(prefix))
            .map(|(prefix, _)| *prefix)
            .collect();
        for prefix in stale {
            self.leave(prefix)?;
        }
        for prefix in prefixes {
            self.routes.set(&encode(*prefix), &node.into())?;
            self.behind.insert(*prefix, node);
        }
        Ok(())
    }

    /// The node is none any more. One that is not there is no matter.
    pub(crate) fn remove(&mut self, node: IpAddr) -> Result<(), MapError> {
        let behind = self.behind.iter();
        let behind: Vec<_> = behind
            .filter(|(_, owner)| **owner == node)
            .map(|(prefix, _)| *prefix)
            .collect();
        for prefix in behind {
            self.leave(prefix)?;
        }
        self.nodes.remove(&node.into())?;
        self.known.remove(&node);
        Ok(())
    }

    fn leave(&mut self, prefix: IpNet) -> Result<(), MapError> {
        self.routes.remove(&encode(prefix))?;
        self.behind.remove(&prefix);
        Ok(())
    }
}
