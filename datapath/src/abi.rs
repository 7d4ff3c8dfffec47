//! The border between the kernel programs and user space, as `bpf/abi.h` draws it.
//!
//! Every struct here mirrors one there, field by field; a test compares sizes
//! and offsets with the BTF of the object. All integers are in the machine's
//! order unless a field says otherwise.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::sys::Pod;

/// Version of the tables (`PORIN_ABI`). Pinned tables of another version are neither used nor changed.
pub const VERSION: u32 = 3;

/// How many bits of [`Cell`] name the table.
const TABLE_MASK: u64 = 0x7fff;
const READY: u64 = 0x8000;
const EPOCH_SHIFT: u32 = 16;

/// How many policy tables a [`Cell`] can tell apart.
pub const TABLES_MAX: u32 = 0x8000;

/// The slot of nobody, and one more than an endpoint can have.
pub const SLOT_NONE: u32 = 0xffff;

/// Low byte of `skb->mark` of a packet that left an endpoint of this node, but for its last bit.
pub const MARK_MAGIC: u32 = 0x5e;

/// The highest identity that a mark can carry: those of workloads, and those that mean something on
/// this node only.
pub const IDENTITY_MAX: u32 = (1 << 25) - 1;

/// The mark of packets of an endpoint with this identity (25 bits): its low 24 bits, the magic, and
/// the highest in place of the last.
#[must_use]
pub const fn mark_of(identity: u32) -> u32 {
    identity << 8 | MARK_MAGIC | (identity >> 24 & 1)
}

/// An address in the one form that the programs know: IPv6 as it is, IPv4
/// mapped into it (`::ffff:a.b.c.d`, RFC 4291 §2.5.5.2). 16 bytes, network order.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address(pub [u8; 16]);

impl From<IpAddr> for Address {
    fn from(address: IpAddr) -> Self {
        Self(match address {
            IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
            IpAddr::V6(v6) => v6.octets(),
        })
    }
}

impl From<Address> for IpAddr {
    fn from(address: Address) -> Self {
        Ipv6Addr::from(address.0).to_canonical()
    }
}

/// The word that puts a policy in force: epoch, readiness and table in eight
/// bytes, replaced by one store.
///
/// ```text
///  63                        16 15   14            0
/// +----------------------------+----+---------------+
/// |           epoch            | r  |     table     |
/// +----------------------------+----+---------------+
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Cell(u64);

impl Cell {
    /// The cell of this word.
    #[must_use]
    pub const fn from_word(word: u64) -> Self {
        Self(word)
    }

    /// A cell with this epoch (48 bits) and table slot (15 bits).
    #[must_use]
    pub const fn new(epoch: u64, table: u32, ready: bool) -> Self {
        Self(epoch << EPOCH_SHIFT | if ready { READY } else { 0 } | (table as u64 & TABLE_MASK))
    }

    /// The word.
    #[must_use]
    pub const fn word(self) -> u64 {
        self.0
    }

    /// The policy epoch; 0 before any policy is installed.
    #[must_use]
    pub const fn epoch(self) -> u64 {
        self.0 >> EPOCH_SHIFT
    }

    /// Whether packets are judged; otherwise all are dropped.
    #[must_use]
    pub const fn ready(self) -> bool {
        self.0 & READY != 0
    }

    /// The slot of the policy table.
    #[must_use]
    pub const fn table(self) -> u32 {
        (self.0 & TABLE_MASK) as u32
    }

    /// In place of a cell of the host: nothing was judged before its first policy.
    pub const OPEN: Self = Self(u64::MAX);

    /// The same policy, ready.
    #[must_use]
    pub const fn made_ready(self) -> Self {
        Self(self.0 | READY)
    }
}

/// `struct endpoint`: 64 bytes, one per slot of the map `endpoints`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Endpoint {
    /// [`Cell`].
    pub cell: u64,
    /// End of the lease, nanoseconds of `CLOCK_MONOTONIC`; 0 never.
    pub lease: u64,
    /// When this incarnation began: nanoseconds of `CLOCK_MONOTONIC` in units of 2^22 (4.2 ms),
    /// never given twice.
    pub born: u64,
    /// The device; 0 for a free slot.
    pub ifindex: u32,
    /// Its number in observations.
    pub id: u32,
    /// Its identity.
    pub identity: u32,
    /// Its IPv4 address in network order; 0 none.
    pub ipv4: u32,
    /// Its IPv6 address; all zero: none.
    pub ipv6: Address,
    /// Its link address inside, for direct delivery.
    pub mac: [u8; 6],
    /// Not 0: packets of this node are delivered past its stack.
    pub direct: u16,
}

impl Endpoint {
    /// Its addresses.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        let v4 = Ipv4Addr::from(self.ipv4.to_ne_bytes());
        let v6 = Ipv6Addr::from(self.ipv6.0);
        let v4 = (!v4.is_unspecified()).then_some(IpAddr::V4(v4));
        let v6 = (!v6.is_unspecified()).then_some(IpAddr::V6(v6));
        v4.into_iter().chain(v6)
    }
}

/// Offset of [`Endpoint::cell`].
pub const CELL: usize = 0;
/// Offset of the word of [`Endpoint::identity`] and [`Endpoint::ipv4`].
pub const IDENTITY: usize = 32;
/// Offset of the word of [`Endpoint::mac`] and [`Endpoint::direct`].
pub const DELIVERY: usize = 56;
/// Offset of [`Endpoint::lease`].
pub const LEASE: usize = 8;

/// `struct host`: 80 bytes, one.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Host {
    /// The host as an endpoint: without device and addresses.
    pub own: Endpoint,
    /// The [`Cell`] after the deadline, or [`Cell::OPEN`].
    pub previous: u64,
    /// Nanoseconds of `CLOCK_MONOTONIC` at which `previous` is in force again; 0 never.
    pub deadline: u64,
}

/// Offset of [`Host::previous`].
pub const PREVIOUS: usize = 64;
/// Offset of [`Host::deadline`].
pub const DEADLINE: usize = 72;

/// `struct node`: 40 bytes, one.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Node {
    /// Raised whenever an address changes its identity.
    pub address_epoch: u64,
    /// The first epoch that was not given yet.
    pub next_epoch: u64,
    /// Drawn once: where flows lie nobody outside can tell.
    pub secret: u64,
    /// The last [`Endpoint::born`] that was given.
    pub born: u64,
    /// The device of the tunnels between nodes; 0 none.
    pub overlay: u32,
    /// Their UDP port, network order.
    pub tunnel_port: [u8; 2],
    /// Zero.
    pub reserved: u16,
}

/// Offset of the word of [`Node::overlay`] and [`Node::tunnel_port`].
pub const OVERLAY: usize = 32;
/// Offset of [`Node::address_epoch`].
pub const ADDRESS_EPOCH: usize = 0;
/// Offset of [`Node::next_epoch`].
pub const NEXT_EPOCH: usize = 8;
/// Offset of [`Node::secret`].
pub const SECRET: usize = 16;
/// Offset of [`Node::born`].
pub const BORN: usize = 24;

/// `struct abi`: 8 bytes, one.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Abi {
    /// [`VERSION`] of who made the tables.
    pub version: u32,
    /// Zero.
    pub reserved: u32,
}

/// `struct owner`: 8 bytes; whom an address or prefix belongs to.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    /// The identity.
    pub identity: u32,
    /// [`Owner::LOCAL`], [`Owner::IPV6`] or 0.
    pub flags: u32,
}

impl Owner {
    /// An endpoint of this node: only its own device may send as it.
    pub const LOCAL: u32 = 1;
    /// An IPv6 prefix: it says nothing of IPv4 addresses, although `::/0` holds their mapped form.
    pub const IPV6: u32 = 2;
}

/// `struct prefix`: 20 bytes; key of the prefix trie.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Prefix {
    /// Leading bits that count, of the mapped form: 96 more than written for IPv4.
    pub length: u32,
    /// [`Address`] bytes.
    pub address: [u8; 16],
}

/// `struct remote`: 8 bytes; a node that tunnels end at.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Remote {
    /// How many prefixes lead there.
    pub prefixes: u32,
    /// Zero.
    pub reserved: u32,
}

/// `struct policy_key`: 12 bytes; key of a policy table.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PolicyKey {
    /// Leading bits that count of what follows: 40, 48, or 48 + bits of the port.
    pub length: u32,
    /// The peer's identity; 0 any peer.
    pub identity: u32,
    /// 0 ingress, 1 egress.
    pub direction: u8,
    /// Protocol number; 0 with length 40: every protocol.
    pub protocol: u8,
    /// Destination port or ICMP type, network order.
    pub port: [u8; 2],
}

/// `struct policy_entry`: 12 bytes; value of a policy table.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PolicyEntry {
    /// Strength against the entry of the other chain.
    pub precedence: u32,
    /// The rule.
    pub cookie: u32,
    /// 0 deny, 1 allow, 2 redirect, 3 redirect that would pass everything.
    pub action: u8,
    /// L7 parser of a redirect.
    pub parser: u8,
    /// How much of protocol and port the key fixes: 0, 8, 8 + bits.
    pub prefix: u8,
    /// What the connection has to prove: 0 nothing, 1 authentication, 2 what cannot be proved.
    pub auth: u8,
}

/// `struct flow_key`: 40 bytes; both directions of a flow have the same.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct FlowKey {
    /// The two ends, in order.
    pub ends: [Address; 2],
    /// Port of the first end, then of the second, in network order.
    pub ports: [[u8; 2]; 2],
    /// Protocol number; bit 8: a message that has no answer.
    pub protocol: u32,
}

/// `struct side`: 16 bytes; the allowance of one endpoint.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Side {
    /// [`Cell`] and address epoch under which it was given, bound to the key; 0 never.
    pub seal: u64,
    /// Mark that the peer's packets bear; of those without: 0 made on this node, 1 not.
    pub stamp: u32,
    /// The rule that allowed.
    pub cookie: u32,
}

/// `struct flow`: 112 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct FlowEntry {
    /// Whose it is.
    pub key: FlowKey,
    /// The initiator's side (egress policy), the responder's (ingress policy).
    pub sides: [Side; 2],
    /// 1 answered, 2 and 4 FIN of initiator and responder, 8 reset, 16 forwarded under the host's
    /// address, 32 established.
    pub state: u32,
    /// When it was opened, in units of 2^[`AGE_SHIFT`] ns.
    pub opened: u32,
    /// Slots of the endpoints behind the sides.
    pub slots: [u16; 2],
    /// Once established, how long the TCP handshake took, in units of 2^[`HANDSHAKE_SHIFT`] ns;
    /// 0 if it was not seen.
    pub handshake: u32,
    /// Bytes of the frames that the initiator and the responder sent.
    pub bytes: [u64; 2],
    /// How many frames.
    pub packets: [u32; 2],
}

/// Binary digits of the nanoseconds that a tick of [`FlowBucket::expires`] leaves out.
pub const FLOW_CLOCK_SHIFT: u32 = 30;
/// Binary digits of the nanoseconds that [`FlowEntry::opened`] and [`Endpoint::born`] leave out.
pub const AGE_SHIFT: u32 = 22;
/// The same of [`FlowEntry::handshake`].
pub const HANDSHAKE_SHIFT: u32 = 10;

/// Flows of one bucket.
pub const FLOW_WAYS: usize = 8;

/// `struct flow_bucket`: 960 bytes; value of the map `flows`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct FlowBucket {
    /// Bit 0: the end that began, by its place in the key; the rest binds the flow to its key; 0:
    /// nobody has the place.
    pub tags: [u32; FLOW_WAYS],
    /// The last tick of each flow's life, in 2^30 ns of `CLOCK_MONOTONIC`.
    pub expires: [u32; FLOW_WAYS],
    /// The flows.
    pub flows: [FlowEntry; FLOW_WAYS],
}

/// `struct event`: 88 bytes; one record of the ring.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Event {
    /// Nanoseconds of `CLOCK_MONOTONIC_COARSE`.
    pub time: u64,
    /// Source address.
    pub source: Address,
    /// Destination address.
    pub destination: Address,
    /// Policy epoch of the endpoint.
    pub epoch: u64,
    /// Identity of the sender; 0 not found out.
    pub source_identity: u32,
    /// Identity of the receiver; 0 not found out.
    pub destination_identity: u32,
    /// The endpoint's number.
    pub endpoint: u32,
    /// The device.
    pub ifindex: u32,
    /// The rule that decided.
    pub cookie: u32,
    /// Length of the frame in bytes.
    pub length: u32,
    /// Source port, network order.
    pub source_port: [u8; 2],
    /// Destination port, network order.
    pub destination_port: [u8; 2],
    /// 0 verdict, 1 drop, 2 close, 3 trace; the last two are [`FlowEvent`]s.
    pub kind: u8,
    /// 0 ingress, 1 egress.
    pub direction: u8,
    /// Drop reason; 0 forwarded.
    pub reason: u8,
    /// Policy match type.
    pub match_kind: u8,
    /// Protocol number.
    pub protocol: u8,
    /// Flags of the TCP header.
    pub tcp_flags: u8,
    /// ICMP type.
    pub icmp_type: u8,
    /// ICMP code.
    pub icmp_code: u8,
    /// 0 no, 1 yes, 2 unknown.
    pub reply: u8,
    /// 4, 6, or 0 if it is not IP.
    pub family: u8,
    /// Zero.
    pub reserved: [u8; 2],
}

/// `struct totals`: 32 bytes; what a flow came to.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Totals {
    /// Bytes of the frames that the initiator and the responder sent.
    pub bytes: [u64; 2],
    /// How many frames.
    pub packets: [u32; 2],
    /// Since when, in units of 2^[`AGE_SHIFT`] ns.
    pub age: u32,
    /// How long the TCP handshake took, in units of 2^[`HANDSHAKE_SHIFT`] ns; 0 if it was not seen
    /// or is not over.
    pub handshake: u32,
}

/// `struct flow_event`: 120 bytes; a record of the ring about a flow as a whole.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct FlowEvent {
    /// The packet.
    pub event: Event,
    /// The flow.
    pub totals: Totals,
}

/// How many kinds of event there are.
pub const EVENT_KINDS: u32 = 4;

/// `struct counter`: 16 bytes; per CPU.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counter {
    /// Packets.
    pub packets: u64,
    /// Bytes of their frames.
    pub bytes: u64,
}

/// Elements of the map `drops`: direction << 8 | reason.
pub const COUNTERS: u32 = 512;

/// `struct fragment_key`: 40 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct FragmentKey {
    /// Source address.
    pub source: Address,
    /// Destination address.
    pub destination: Address,
    /// Identification of the datagram.
    pub id: u32,
    /// Protocol that the fragments name.
    pub protocol: u32,
}

/// `struct fragment`: 16 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Fragment {
    /// Ports of the first fragment.
    pub ports: u32,
    /// Its L4 protocol.
    pub protocol: u8,
    /// ICMP type.
    pub icmp_type: u8,
    /// ICMP code.
    pub icmp_code: u8,
    /// How it is judged.
    pub flags: u8,
    /// Nanoseconds of the coarse clock.
    pub seen: u64,
}

macro_rules! plain {
    ($($name:ident = $size:literal),+ $(,)?) => {$(
        const _: () = assert!(size_of::<$name>() == $size);
        // SAFETY: `repr(C)`, integers and byte arrays only; the size above is the sum of its
        // fields, so there is no padding, and every pattern of bytes is a value.
        unsafe impl Pod for $name {}
    )+};
}

plain!(
    Address = 16,
    Endpoint = 64,
    Host = 80,
    Node = 40,
    Remote = 8,
    Abi = 8,
    Owner = 8,
    Prefix = 20,
    PolicyKey = 12,
    PolicyEntry = 12,
    FlowKey = 40,
    Side = 16,
    FlowEntry = 112,
    FlowBucket = 960,
    Event = 88,
    Totals = 32,
    FlowEvent = 120,
    Counter = 16,
    FragmentKey = 40,
    Fragment = 16,
);
