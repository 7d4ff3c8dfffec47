//! The tables of a node in memory: what the kernel would decide, without it.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use porin_flow::{DropReason, EndpointId, Outcome, PolicyMatch, Tuple};
use porin_identity::IdentityId;
use porin_policy::{
    AuthMode, Direction, EntryAction, MapEntry, MapKey, MapState, Query, RuleCookie,
};

use crate::config::{Config, Limits};
use crate::endpoint::EndpointSpec;
use crate::error::{ApplyError, AttachError};
use crate::run::Hook;

/// A datapath without a kernel, for dry runs and for tests without privileges.
///
/// It takes the same endpoints, policies and prefixes as
/// [`Datapath`](crate::Datapath), with the same errors, and judges the first
/// packet of a flow by the same questions in the same order. It has no
/// connection tracking, no links and no events, and no device is touched.
///
/// ```
/// use porin_datapath::{Config, EndpointSpec, Hook, backend::MemoryDatapath};
/// use porin_flow::{DropReason, EndpointId, Outcome, TcpFlags, Tuple};
/// use porin_identity::IdentityId;
/// use porin_policy::Protocol;
///
/// let id = EndpointId::new(1);
/// let mut dry = MemoryDatapath::new(&Config::default());
/// dry.add_endpoint(EndpointSpec {
///     id,
///     ifindex: 7,
///     identity: IdentityId::new(4711),
///     addresses: vec!["10.0.0.7".parse()?],
/// })?;
/// let packet = Tuple {
///     source: "10.0.0.7".parse()?,
///     destination: "192.0.2.1".parse()?,
///     protocol: Protocol::TCP,
///     source_port: 40000,
///     destination_port: 443,
///     tcp_flags: TcpFlags::SYN,
///     icmp: None,
/// };
/// let ruling = dry.judge(id, Hook::FromEndpoint, &packet);
/// assert_eq!(ruling.outcome, Outcome::Drop(DropReason::NOT_READY));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct MemoryDatapath {
    limits: Limits,
    /// Identities of unknown IPv4 and IPv6 addresses.
    worlds: (IdentityId, IdentityId),
    endpoints: BTreeMap<EndpointId, Endpoint>,
    prefixes: BTreeMap<IpNet, IdentityId>,
}

#[derive(Clone, Debug)]
struct Endpoint {
    spec: EndpointSpec,
    policy: Option<MapState>,
    ready: bool,
}

/// What becomes of a packet at a hook, and by what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ruling {
    /// What happens.
    pub outcome: Outcome,
    /// Identity of the far end; 0 where it was not asked for.
    pub peer: IdentityId,
    /// The entry that decided.
    pub cookie: RuleCookie,
    /// What the deciding entry fixed.
    pub match_kind: PolicyMatch,
}

impl Ruling {
    /// Dropped before the policy was asked.
    const fn before_policy(reason: DropReason) -> Self {
        Self {
            outcome: Outcome::Drop(reason),
            peer: IdentityId::UNKNOWN,
            cookie: RuleCookie::NONE,
            match_kind: PolicyMatch::None,
        }
    }

    fn of(peer: IdentityId, found: Option<(MapKey, MapEntry)>) -> Self {
        let Some((key, entry)) = found else {
            return Self {
                peer,
                ..Self::before_policy(DropReason::POLICY_DENIED)
            };
        };
        let any_peer = key.identity == IdentityId::UNKNOWN;
        let ports = key.prefix_len() > 8;
        Self {
            outcome: match entry.action {
                EntryAction::Deny if entry.cookie == RuleCookie::NONE => {
                    Outcome::Drop(DropReason::POLICY_DENIED)
                }
                EntryAction::Allow | EntryAction::Redirect(_)
                    if entry.auth != AuthMode::Disabled =>
                {
                    Outcome::Drop(DropReason::AUTH_REQUIRED)
                }
                EntryAction::Allow => Outcome::Forward,
                EntryAction::Deny => Outcome::Drop(DropReason::POLICY_DENY),
                EntryAction::Redirect(redirect) if redirect.unrestricted => Outcome::Forward,
                EntryAction::Redirect(_) => Outcome::Drop(DropReason::L7_WITHOUT_PROXY),
            },
            peer,
            cookie: entry.cookie,
            match_kind: PolicyMatch::of(!any_peer, !key.protocol.is_any(), ports),
        }
    }
}

impl MemoryDatapath {
    /// Empty tables of these limits.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self {
            limits: config.limits,
            worlds: config.worlds(),
            endpoints: BTreeMap::new(),
            prefixes: BTreeMap::new(),
        }
    }

    /// Makes an endpoint known: from now on its packets are dropped, until a
    /// policy is installed and it is made ready.
    ///
    /// # Errors
    ///
    /// As [`Datapath::add_endpoint`](crate::Datapath::add_endpoint).
    pub fn add_endpoint(&mut self, spec: EndpointSpec) -> Result<(), AttachError> {
        spec.check()?;
        let taken = |held: &&Endpoint| held.spec.id == spec.id || held.spec.ifindex == spec.ifindex;
        if let Some(held) = self.endpoints.values().find(taken) {
            return Err(AttachError::Duplicate(held.spec.id));
        }
        if let Some(address) = spec
            .addresses
            .iter()
            .find(|address| self.is_local(**address))
        {
            return Err(AttachError::AddressTaken(*address));
        }
        if self.endpoints.len() >= self.limits.endpoints as usize {
            return Err(AttachError::Capacity {
                capacity: self.limits.endpoints as usize,
            });
        }
        let endpoint = Endpoint {
            policy: None,
            ready: false,
            spec,
        };
        self.endpoints.insert(endpoint.spec.id, endpoint);
        Ok(())
    }

    /// Brings policies into force for many endpoints at once, or for none of them.
    ///
    /// # Errors
    ///
    /// As [`Datapath::install`](crate::Datapath::install).
    pub fn install(&mut self, policies: &[(EndpointId, &MapState)]) -> Result<(), ApplyError> {
        for (id, state) in policies {
            self.endpoint(*id)?;
            let capacity = self.limits.policy_entries as usize;
            if state.len() > capacity {
                return Err(ApplyError::Capacity {
                    what: "a policy table",
                    needed: state.len(),
                    capacity,
                });
            }
        }
        for (id, state) in policies {
            self.endpoint(*id)?.policy = Some((*state).clone());
        }
        Ok(())
    }

    /// Opens the gate: from now on packets are judged by the policy that is installed.
    ///
    /// # Errors
    ///
    /// [`ApplyError::NoPolicy`] if none is installed yet.
    pub fn set_ready(&mut self, id: EndpointId) -> Result<(), ApplyError> {
        let endpoint = self.endpoint(id)?;
        if endpoint.policy.is_none() {
            return Err(ApplyError::NoPolicy(id));
        }
        endpoint.ready = true;
        Ok(())
    }

    /// Gives an endpoint another identity.
    ///
    /// # Errors
    ///
    /// [`ApplyError::UnknownEndpoint`].
    pub fn set_identity(&mut self, id: EndpointId, identity: IdentityId) -> Result<(), ApplyError> {
        self.endpoint(id)?.spec.identity = identity;
        Ok(())
    }

    /// Takes an endpoint out.
    ///
    /// # Errors
    ///
    /// [`AttachError::UnknownEndpoint`].
    pub fn remove_endpoint(&mut self, id: EndpointId) -> Result<(), AttachError> {
        match self.endpoints.remove(&id) {
            Some(_) => Ok(()),
            None => Err(AttachError::UnknownEndpoint(id)),
        }
    }

    /// Says whom the addresses of a block belong to; the longest block wins.
    ///
    /// # Errors
    ///
    /// [`ApplyError::Capacity`] if there is no room for one more.
    pub fn upsert_prefix(&mut self, net: IpNet, identity: IdentityId) -> Result<(), ApplyError> {
        let net = net.trunc();
        let exact = |net: &IpNet| net.prefix_len() == net.max_prefix_len();
        let (what, capacity) = match exact(&net) {
            true => ("the table of addresses", self.limits.addresses),
            false => ("the table of prefixes", self.limits.prefixes),
        };
        let alike = self
            .prefixes
            .keys()
            .filter(|held| exact(held) == exact(&net));
        let (held, capacity) = (alike.count(), capacity as usize);
        if held >= capacity && !self.prefixes.contains_key(&net) {
            return Err(ApplyError::Capacity {
                what,
                needed: held + 1,
                capacity,
            });
        }
        self.prefixes.insert(net, identity);
        Ok(())
    }

    /// The block is nobody's any more. One that is not there is no matter.
    pub fn remove_prefix(&mut self, net: IpNet) {
        self.prefixes.remove(&net.trunc());
    }

    /// Whose an address is: an endpoint's own, else the longest block's, else the world's.
    #[must_use]
    pub fn identity_of(&self, address: IpAddr) -> IdentityId {
        let own = self.endpoints.values().find(|held| held.owns(address));
        if let Some(held) = own {
            return held.spec.identity;
        }
        let (most, world) = match address {
            IpAddr::V4(_) => (32, self.worlds.0),
            IpAddr::V6(_) => (128, self.worlds.1),
        };
        (0..=most)
            .rev()
            .filter_map(|length| IpNet::new(address, length).ok())
            .find_map(|net| self.prefixes.get(&net.trunc()).copied())
            .unwrap_or(world)
    }

    /// What becomes of the first packet of a flow at an endpoint's hook. A
    /// packet that bears the address of another endpoint is taken for that
    /// endpoint's own.
    #[must_use]
    pub fn judge(&self, id: EndpointId, hook: Hook, packet: &Tuple) -> Ruling {
        let Some(endpoint) = self.endpoints.get(&id) else {
            return Ruling::before_policy(DropReason::UNKNOWN_ENDPOINT);
        };
        let (true, Some(policy)) = (endpoint.ready, &endpoint.policy) else {
            return Ruling::before_policy(DropReason::NOT_READY);
        };
        let (direction, own, far, wrong) = match hook {
            // Neither the host nor a tunnel is among the endpoints of these tables.
            Hook::FromNetwork | Hook::ToNetwork | Hook::FromOverlay | Hook::ToOverlay => {
                return Ruling::before_policy(DropReason::UNKNOWN_ENDPOINT);
            }
            Hook::FromEndpoint => (
                Direction::Egress,
                packet.source,
                packet.destination,
                DropReason::INVALID_SOURCE_IP,
            ),
            Hook::ToEndpoint => (
                Direction::Ingress,
                packet.destination,
                packet.source,
                DropReason::UNKNOWN_L3_TARGET_ADDRESS,
            ),
        };
        if !endpoint.owns(own) {
            return Ruling::before_policy(wrong);
        }
        let peer = self.identity_of(far);
        let query = Query {
            direction,
            peer,
            protocol: packet.protocol,
            port: packet
                .icmp
                .map_or(packet.destination_port, |icmp| u16::from(icmp.kind)),
        };
        Ruling::of(peer, policy.lookup(&query))
    }

    fn endpoint(&mut self, id: EndpointId) -> Result<&mut Endpoint, ApplyError> {
        self.endpoints
            .get_mut(&id)
            .ok_or(ApplyError::UnknownEndpoint(id))
    }

    fn is_local(&self, address: IpAddr) -> bool {
        self.endpoints.values().any(|held| held.owns(address))
    }
}

impl Endpoint {
    fn owns(&self, address: IpAddr) -> bool {
        self.spec.addresses.contains(&address)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use porin_flow::TcpFlags;
    use porin_policy::{PortPrefix, Precedence, Protocol};
    use proptest::prelude::*;

    use super::*;

    const POD: EndpointId = EndpointId::new(1);

    fn spec(id: u32, address: &str) -> EndpointSpec {
        EndpointSpec {
            id: EndpointId::new(id),
            ifindex: id + 10,
            identity: IdentityId::new(1000 + id),
            addresses: vec![address.parse().unwrap()],
        }
    }

    fn allow(peer: u32, port: u16) -> (MapKey, MapEntry) {
        let key = MapKey {
            direction: Direction::Ingress,
            identity: IdentityId::new(peer),
            protocol: Protocol::TCP,
            port: PortPrefix::exact(port),
        };
        let entry = MapEntry {
            action: EntryAction::Allow,
            auth: AuthMode::Disabled,
            precedence: Precedence::MIN,
            cookie: RuleCookie::new(16),
        };
        (key, entry)
    }

    fn syn(source: &str, destination: &str, port: u16) -> Tuple {
        Tuple {
            source: source.parse().unwrap(),
            destination: destination.parse().unwrap(),
            protocol: Protocol::TCP,
            source_port: 40000,
            destination_port: port,
            tcp_flags: TcpFlags::SYN,
            icmp: None,
        }
    }

    fn ready(limits: Limits, policy: &MapState) -> MemoryDatapath {
        let mut dry = MemoryDatapath::new(&Config {
            limits,
            ..Config::default()
        });
        dry.add_endpoint(spec(1, "10.0.0.1")).unwrap();
        dry.install(&[(POD, policy)]).unwrap();
        dry.set_ready(POD).unwrap();
        dry
    }

    fn reason(dry: &MemoryDatapath, hook: Hook, packet: &Tuple) -> Option<DropReason> {
        match dry.judge(POD, hook, packet).outcome {
            Outcome::Drop(reason) => Some(reason),
            _ => None,
        }
    }

    #[test]
    fn the_questions_come_in_order() {
        let policy: MapState = [allow(1002, 80)].into_iter().collect();
        let mut dry = MemoryDatapath::new(&Config::default());
        let packet = syn("10.0.0.2", "10.0.0.1", 80);
        let to = Hook::ToEndpoint;
        assert_eq!(
            reason(&dry, to, &packet),
            Some(DropReason::UNKNOWN_ENDPOINT)
        );
        dry.add_endpoint(spec(1, "10.0.0.1")).unwrap();
        assert_eq!(reason(&dry, to, &packet), Some(DropReason::NOT_READY));
        assert!(matches!(dry.set_ready(POD), Err(ApplyError::NoPolicy(POD))));
        dry.install(&[(POD, &policy)]).unwrap();
        assert_eq!(reason(&dry, to, &packet), Some(DropReason::NOT_READY));
        dry.set_ready(POD).unwrap();
        assert_eq!(reason(&dry, to, &packet), Some(DropReason::POLICY_DENIED));
        dry.add_endpoint(spec(2, "10.0.0.2")).unwrap();
        assert_eq!(reason(&dry, to, &packet), None);
        let forged = syn("10.0.0.2", "10.0.0.9", 80);
        let from = Hook::FromEndpoint;
        assert_eq!(
            reason(&dry, from, &forged),
            Some(DropReason::INVALID_SOURCE_IP)
        );
    }

    #[test]
    fn an_address_has_one_owner() {
        let mut dry = MemoryDatapath::new(&Config::default());
        dry.add_endpoint(spec(1, "10.0.0.1")).unwrap();
        let again = dry.add_endpoint(spec(1, "10.0.0.2"));
        assert!(matches!(again, Err(AttachError::Duplicate(POD))));
        let same = dry.add_endpoint(spec(2, "10.0.0.1"));
        assert!(matches!(same, Err(AttachError::AddressTaken(_))));
        dry.remove_endpoint(POD).unwrap();
        dry.add_endpoint(spec(2, "10.0.0.1")).unwrap();
    }

    #[test]
    fn a_policy_without_room_leaves_the_old_one() {
        let one: MapState = [allow(0, 80)].into_iter().collect();
        let two: MapState = [allow(0, 81), allow(0, 82)].into_iter().collect();
        let limits = Limits {
            policy_entries: 1,
            ..Limits::default()
        };
        let mut dry = ready(limits, &one);
        let refused = dry.install(&[(POD, &two)]);
        assert!(matches!(
            refused,
            Err(ApplyError::Capacity { needed: 2, .. })
        ));
        let packet = syn("192.0.2.1", "10.0.0.1", 80);
        assert_eq!(reason(&dry, Hook::ToEndpoint, &packet), None);
    }

    proptest! {
        /// The longest block that contains the address decides, however they came.
        #[test]
        fn the_longest_prefix_wins(
            blocks in prop::collection::btree_map((any::<[u8; 4]>(), 0_u8..=32), 256_u32..600, 0..40),
            address in any::<[u8; 4]>(),
        ) {
            let mut dry = MemoryDatapath::new(&Config::default());
            let mut held = BTreeMap::new();
            for ((network, length), identity) in &blocks {
                // Some blocks that surely contain the address.
                let near = if identity % 2 == 0 { address } else { *network };
                let net = IpNet::new(near.into(), *length).unwrap().trunc();
                dry.upsert_prefix(net, IdentityId::new(*identity)).unwrap();
                held.insert(net, IdentityId::new(*identity));
            }
            let address = IpAddr::from(address);
            let longest = held
                .iter()
                .filter(|(net, _)| net.contains(&address))
                .max_by_key(|(net, _)| net.prefix_len())
                .map(|(_, identity)| *identity);
            let expected = longest.unwrap_or(IdentityId::WORLD_IPV4);
            prop_assert_eq!(dry.identity_of(address), expected);
        }

        /// The ruling is the map state's answer about the owner of the address.
        #[test]
        fn the_policy_decides(ports in prop::collection::btree_set(1_u16..20, 0..8), port in 1_u16..20) {
            let world = IdentityId::WORLD_IPV4.get();
            let policy: MapState = ports.iter().map(|port| allow(world, *port)).collect();
            let dry = ready(Limits::default(), &policy);
            let packet = syn("192.0.2.1", "10.0.0.1", port);
            let expected = (!ports.contains(&port)).then_some(DropReason::POLICY_DENIED);
            prop_assert_eq!(reason(&dry, Hook::ToEndpoint, &packet), expected);
        }
    }
}
