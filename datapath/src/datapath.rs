//! The datapath of one node: loaded or adopted, and given up again.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use porin_flow::EndpointId;

use crate::abi::{self, Abi, mark_of};
use crate::backend::{LoadPlan, Loaded};
use crate::config::Config;
use crate::endpoint::EndpointSpec;
use crate::error::{AttachError, LoadError, MapError, PinError};
use crate::event::Events;
use crate::group::{self, Group, GroupPrograms, GroupTable};
use crate::host::Attached;
use crate::link::{Attachment, Target};
use crate::object::{self, Table};
use crate::pin::{PinDir, Pins, Role};
use crate::run::{Hook, HookProgram, ProgRun, TestPacket};
use crate::sys::{Map, MapShape, Program, TcxHook, TypedMap, bytes_of};
use crate::tables::{
    AddressTable, Counters, DropCounter, EndpointTable, FlowDump, FlowTable, HostTable, NodeTable,
    PolicyTables,
};

/// The kernel's side of a node: programs at the devices of its endpoints, and
/// the tables they judge by.
///
/// Everything that changes what is enforced is a method here, takes effect as a
/// whole or not at all, and leaves what was in force when it fails. Dropping the
/// value takes the programs off their devices, unless [`Config::pins`] names a
/// directory: then everything stays in force until [`close`](Self::close).
#[derive(Debug)]
pub struct Datapath {
    pub(crate) config: Config,
    pub(crate) pins: Option<PinDir>,
    pub(crate) endpoints: EndpointTable,
    pub(crate) policies: PolicyTables,
    pub(crate) addresses: AddressTable,
    pub(crate) known: BTreeMap<EndpointId, Known>,
    pub(crate) host_table: HostTable,
    pub(crate) host: Option<Attached>,
    pub(crate) group_table: GroupTable,
    pub(crate) groups: BTreeMap<EndpointId, Group>,
    pub(crate) group_programs: GroupPrograms,
    pub(crate) nodes: NodeTable,
    pub(crate) overlay: Vec<Attachment>,
    pub(crate) flows: FlowTable,
    pub(crate) fragments: TypedMap<abi::FragmentKey, abi::Fragment>,
    counters: Counters,
    events: Option<Events>,
    from_endpoint: Program,
    to_endpoint: Program,
    pub(crate) from_network: Program,
    pub(crate) to_network: Program,
    pub(crate) from_overlay: Program,
    pub(crate) to_overlay: Program,
}

/// An endpoint that was added or adopted.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) slot: u32,
    pub(crate) spec: EndpointSpec,
    pub(crate) attachments: Vec<Attachment>,
}

impl Datapath {
    /// Loads programs and makes new, empty tables.
    ///
    /// # Errors
    ///
    /// [`LoadError`]; with pins also [`PinError::InUse`], and
    /// [`PinError::Incompatible`] if something is pinned there already:
    /// [`open`](Self::open) adopts that.
    pub fn load(config: &Config) -> Result<Self, LoadError> {
        let pins = match &config.pins {
            Pins::None => None,
            Pins::Dir(root) => Some(PinDir::open_mounted(root)?),
        };
        Self::fresh(config, pins)
    }

    /// Adopts what an earlier process left pinned, so that enforcement has no
    /// gap, or [loads](Self::load) afresh if there is nothing. Programs are
    /// replaced by this build's in one step each; endpoints, policies, flows and
    /// epochs are those that were. An endpoint whose device is gone is removed.
    ///
    /// # Errors
    ///
    /// [`PinError::Version`] and [`PinError::Incompatible`] if the tables are of
    /// another build or other [limits](crate::Limits): they stay in force, untouched.
    pub fn open(config: &Config) -> Result<Self, LoadError> {
        let Pins::Dir(root) = &config.pins else {
            return Self::fresh(config, None);
        };
        let pins = PinDir::open_mounted(root)?;
        match pinned_version(&pins)? {
            None => Self::fresh(config, Some(pins)),
            Some(abi::VERSION) => Self::adopt(config, pins),
            Some(found) => Err(LoadError::Pin(PinError::Version {
                path: pins.root().to_owned(),
                expected: abi::VERSION,
                found,
            })),
        }
    }

    fn fresh(config: &Config, pins: Option<PinDir>) -> Result<Self, LoadError> {
        if let Some(pins) = &pins {
            sweep_unfinished(pins)?;
        }
        let mut loaded = load_object(config, &[])?;
        let stamp = loaded.map(Table::Abi.name())?;
        let shape = Table::Abi.shape(&config.limits);
        let stamp = TypedMap::<u32, Abi>::new(stamp, &shape)?;
        let version = Abi {
            version: abi::VERSION,
            reserved: 0,
        };
        stamp.set(&0, &version)?;
        if let Some(pins) = &pins {
            // The stamp last: without it, what is pinned was never in force.
            for table in Table::ALL.into_iter().filter(|table| *table != Table::Abi) {
                if let Some(map) = loaded.maps.get(table.name()) {
                    pins.pin_map(table.name(), map)?;
                }
            }
            pins.pin_map(Table::Abi.name(), stamp.map())?;
        }
        let datapath = Self::assemble(config, pins, loaded)?;
        datapath.endpoints.begin();
        Ok(datapath)
    }

    fn adopt(config: &Config, pins: PinDir) -> Result<Self, LoadError> {
        for table in Table::ALL {
            if pins
                .map_of(table.name(), &table.shape(&config.limits))?
                .is_none()
            {
                return Err(LoadError::Pin(PinError::Incomplete {
                    path: pins.root().to_owned(),
                    name: table.name().to_owned(),
                }));
            }
        }
        let loaded = load_object(config, &pinned_paths(&pins))?;
        let mut datapath = Self::assemble(config, Some(pins), loaded)?;
        // The process that made the tables may have ended before it began.
        datapath.endpoints.begin();
        datapath.adopt_host_tables();
        datapath.adopt_group_records()?;
        datapath.adopt_endpoints()?;
        datapath.adopt_overlay()?;
        datapath.adopt_host()?;
        datapath.adopt_groups()?;
        Ok(datapath)
    }

    fn assemble(
        config: &Config,
        pins: Option<PinDir>,
        mut loaded: Loaded,
    ) -> Result<Self, LoadError> {
        let limits = &config.limits;
        let mut take = |table: Table| -> Result<(Map, MapShape), LoadError> {
            Ok((loaded.map(table.name())?, table.shape(limits)))
        };
        let (devices, devices_shape) = take(Table::Devices)?;
        let (exact, exact_shape) = take(Table::Addresses)?;
        let (trie, trie_shape) = take(Table::Prefixes)?;
        let (policies, policies_shape) = take(Table::Policies)?;
        let (flows, flows_shape) = take(Table::Flows)?;
        let (fragments, fragments_shape) = take(Table::Fragments)?;
        let (drops, drops_shape) = take(Table::Drops)?;
        let (lost, lost_shape) = take(Table::Lost)?;
        let (records, _) = take(Table::Endpoints)?;
        let (node, _) = take(Table::Node)?;
        let (host, _) = take(Table::Host)?;
        let (groups, groups_shape) = take(Table::Groups)?;
        let (nodes, nodes_shape) = take(Table::Nodes)?;
        let (routes, routes_shape) = take(Table::Routes)?;
        let (ring, _) = take(Table::Events)?;
        Ok(Self {
            config: config.clone(),
            pins,
            endpoints: EndpointTable::new((devices, &devices_shape), records, node, limits)?,
            policies: PolicyTables::new(policies, &policies_shape, limits)?,
            addresses: AddressTable::new((exact, &exact_shape), (trie, &trie_shape))?,
            known: BTreeMap::new(),
            host_table: HostTable::new(host)?,
            host: None,
            group_table: GroupTable::new(groups, &groups_shape)?,
            groups: BTreeMap::new(),
            group_programs: group::programs(|name| loaded.program(name))?,
            nodes: NodeTable::new((nodes, &nodes_shape), (routes, &routes_shape))?,
            overlay: Vec::new(),
            flows: FlowTable::new(flows, &flows_shape)?,
            fragments: TypedMap::new(fragments, &fragments_shape)?,
            counters: Counters::new(drops, &drops_shape)?,
            events: Some(Events::new(ring, limits.ring_bytes, (lost, &lost_shape))?),
            from_endpoint: loaded.program(object::FROM_ENDPOINT)?,
            to_endpoint: loaded.program(object::TO_ENDPOINT)?,
            from_network: loaded.program(object::FROM_NETWORK)?,
            to_network: loaded.program(object::TO_NETWORK)?,
            from_overlay: loaded.program(object::FROM_OVERLAY)?,
            to_overlay: loaded.program(object::TO_OVERLAY)?,
        })
    }

    fn adopt_endpoints(&mut self) -> Result<(), LoadError> {
        for (slot, record) in self.endpoints.adopt()? {
            self.policies.adopt(self.endpoints.cell(slot).table());
            let spec = EndpointSpec::of(&record);
            let id = spec.id;
            let known = Known {
                slot,
                spec,
                attachments: Vec::new(),
            };
            self.known.insert(id, known);
            match self.adopt_links(id, record.ifindex) {
                Ok(()) => {}
                Err(AttachError::Stale { .. } | AttachError::NoDevice { .. }) => self.forget(id)?,
                Err(error) => return Err(error.into()),
            }
        }
        self.reclaim_addresses()?;
        self.drop_strays()
    }

    /// Makes the addresses of every record its own again: an addition, removal or
    /// renaming that did not come to its end left them to others.
    fn reclaim_addresses(&mut self) -> Result<(), LoadError> {
        for known in self.known.values() {
            for address in &known.spec.addresses {
                if !self.addresses.is_of(*address, known.spec.identity) {
                    self.addresses.claim(*address, known.spec.identity)?;
                    self.endpoints.raise_address_epoch();
                }
            }
        }
        Ok(())
    }

    /// Takes over both hooks with this build's programs; a hook at which nothing
    /// is pinned (the process ended halfway) is attached now.
    ///
    /// Where one hook is stale the other is taken over all the same: an endpoint that is
    /// forgotten leaves neither.
    fn adopt_links(&mut self, id: EndpointId, ifindex: u32) -> Result<(), AttachError> {
        let mut result = Ok(());
        for hook in [TcxHook::Ingress, TcxHook::Egress] {
            match self.adopt_link(id, Target { ifindex, hook }) {
                Ok(attachment) => {
                    if let Some(known) = self.known.get_mut(&id) {
                        known.attachments.push(attachment);
                    }
                }
                Err(error) => result = result.and(Err(error)),
            }
        }
        result
    }

    fn adopt_link(&self, id: EndpointId, target: Target) -> Result<Attachment, AttachError> {
        let path = self
            .pins
            .as_ref()
            .map(|pins| pins.link_path(id, target.hook));
        let pinned = path
            .map(|path| Attachment::adopt(&path, target))
            .transpose()?;
        match pinned.flatten() {
            Some(mut attachment) => {
                attachment.update(self.program_at(target.hook))?;
                Ok(attachment)
            }
            None => self.attach(id, target),
        }
    }

    /// The device is gone, and the endpoint with it.
    fn forget(&mut self, id: EndpointId) -> Result<(), LoadError> {
        self.remove_endpoint(id)?;
        if let Some(pins) = &self.pins {
            pins.discard_link(id, TcxHook::Ingress)?;
            pins.discard_link(id, TcxHook::Egress)?;
        }
        Ok(())
    }

    /// Takes away what belongs to no endpoint: addresses and links of an
    /// addition or removal that did not come to its end.
    fn drop_strays(&mut self) -> Result<(), LoadError> {
        let own: BTreeSet<IpAddr> = self
            .known
            .values()
            .flat_map(|known| known.spec.addresses.iter().copied())
            .collect();
        let local = self.addresses.local();
        let strays: Vec<_> = local.filter(|address| !own.contains(address)).collect();
        for address in strays {
            self.addresses.disclaim(address)?;
            self.endpoints.raise_address_epoch();
        }
        if let Some(pins) = &self.pins {
            for (id, hook) in pins.links()? {
                if !self.known.contains_key(&id) {
                    pins.discard_link(id, hook)?;
                }
            }
        }
        Ok(())
    }

    pub(crate) fn program_at(&self, hook: TcxHook) -> &Program {
        match hook {
            TcxHook::Ingress => &self.from_endpoint,
            TcxHook::Egress => &self.to_endpoint,
        }
    }

    fn program_of(&self, hook: Hook) -> &Program {
        match hook {
            Hook::FromEndpoint | Hook::ToEndpoint => self.program_at(hook.tcx()),
            Hook::FromNetwork | Hook::ToNetwork => self.device_program(Role::Host, hook.tcx()),
            Hook::FromOverlay | Hook::ToOverlay => self.device_program(Role::Overlay, hook.tcx()),
        }
    }

    /// The stream of events; there is one, so the second call gives `None`.
    #[must_use]
    pub fn events(&mut self) -> Option<Events> {
        self.events.take()
    }

    /// Packets dropped since the tables were made, by hook and reason.
    ///
    /// # Errors
    ///
    /// If the kernel refuses to read them.
    pub fn counters(&self) -> Result<Vec<DropCounter>, MapError> {
        self.counters.drops()
    }

    /// Every tracked flow, those included that have expired.
    ///
    /// # Errors
    ///
    /// If the kernel refuses to read them.
    pub fn flows(&self) -> Result<Vec<FlowDump>, MapError> {
        self.flows.dump()
    }

    /// Bytes of kernel memory that a tracked flow takes; all of it is taken at the start.
    ///
    /// # Errors
    ///
    /// If the kernel does not tell.
    pub fn flow_bytes(&self) -> Result<f64, MapError> {
        let (bytes, flows) = self.flows.memory()?;
        Ok(bytes as f64 / flows as f64)
    }

    /// Forgets every flow: the next packet of each is judged as new.
    ///
    /// # Errors
    ///
    /// If the kernel refuses.
    pub fn clear_flows(&self) -> Result<(), MapError> {
        self.flows.clear()
    }

    /// Gives a packet to a program without sending it (`BPF_PROG_TEST_RUN`),
    /// `repeat` times; tables and counters change as by a packet on the wire.
    ///
    /// # Errors
    ///
    /// If the kernel refuses: a frame of less than 14 bytes, an unknown device.
    pub fn run(
        &self,
        hook: Hook,
        packet: &TestPacket<'_>,
        repeat: u32,
    ) -> Result<ProgRun, crate::sys::CallError> {
        crate::run::run(self.program_of(hook), packet, repeat)
    }

    /// The program of a hook on its own: for other threads, and to measure.
    ///
    /// # Errors
    ///
    /// If the process has no descriptor left.
    pub fn program(&self, hook: Hook) -> Result<HookProgram, crate::sys::CallError> {
        HookProgram::new(self.program_of(hook))
    }

    /// The mark that packets of an endpoint bear on their way through the host; `None` if unknown.
    #[must_use]
    pub fn mark(&self, id: EndpointId) -> Option<u32> {
        let known = self.known.get(&id)?;
        Some(mark_of(known.spec.identity.get()))
    }

    /// Ends all enforcement: programs leave their devices, pins their directory.
    ///
    /// # Errors
    ///
    /// The first failure; the rest is taken away all the same.
    pub fn close(mut self) -> Result<(), AttachError> {
        let mut result = self.detach_host().and(self.detach_overlay());
        let groups: Vec<_> = self.groups.keys().copied().collect();
        for id in groups {
            result = result.and(self.remove_group(id));
        }
        let endpoints: Vec<_> = self.known.keys().copied().collect();
        for id in endpoints {
            result = result.and(self.remove_endpoint(id));
        }
        match self.pins.take() {
            Some(pins) => result.and(pins.remove().map_err(AttachError::from)),
            None => result,
        }
    }

    /// Gives up this value and leaves everything pinned in force. Without pins
    /// the programs leave their devices, as when it is dropped.
    pub fn keep(self) {
        drop(self);
    }
}

/// The version of what is pinned; `None` if nothing was ever in force.
fn pinned_version(pins: &PinDir) -> Result<Option<u32>, LoadError> {
    let shape = Table::Abi.shape(&crate::config::Limits::default());
    let Some(map) = pins.map_of(Table::Abi.name(), &shape)? else {
        return Ok(None);
    };
    let stamp = TypedMap::<u32, Abi>::new(map, &shape)?;
    Ok(Some(stamp.get(&0)?.map_or(0, |abi| abi.version)))
}

/// A start that did not come to its end left maps that nobody uses.
fn sweep_unfinished(pins: &PinDir) -> Result<(), LoadError> {
    let unfinished = pins.map(Table::Abi.name())?.is_none() && pins.links()?.is_empty();
    if !unfinished {
        return Err(LoadError::Pin(PinError::Occupied(pins.root().to_owned())));
    }
    for name in pins.map_names()? {
        pins.unpin_map(&name)?;
    }
    Ok(())
}

fn pinned_paths(pins: &PinDir) -> Vec<(&'static str, std::path::PathBuf)> {
    Table::ALL
        .iter()
        .map(|table| (table.name(), pins.map_path(table.name())))
        .collect()
}

fn load_object(
    config: &Config,
    reuse: &[(&'static str, std::path::PathBuf)],
) -> Result<Loaded, LoadError> {
    let (ipv4, ipv6) = config.worlds();
    let (ipv4, ipv6) = (ipv4.get(), ipv6.get());
    let endpoint_mask = config.limits.endpoint_mask();
    let trace_ticks = config.aggregation.ticks();
    let flow_mask = config.limits.flow_buckets() - 1;
    let capacities = Table::ALL
        .iter()
        .map(|table| (table.name(), table.shape(&config.limits).max_entries))
        .collect();
    config.loader.load(&LoadPlan {
        object: object::BYTES,
        constants: vec![
            (object::WORLD_IPV4, bytes_of(&ipv4)),
            (object::WORLD_IPV6, bytes_of(&ipv6)),
            (object::WAKEUP_BYTES, bytes_of(&config.limits.wakeup_bytes)),
            (object::FLOW_MASK, bytes_of(&flow_mask)),
            (object::TRACE_TICKS, bytes_of(&trace_ticks)),
            (object::ENDPOINT_MASK, bytes_of(&endpoint_mask)),
        ],
        capacities,
        reuse: reuse
            .iter()
            .map(|(name, path)| (*name, path.as_path()))
            .collect(),
        programs: object::PROGRAMS,
    })
}
