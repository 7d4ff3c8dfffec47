// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The border between the kernel programs and user space: every struct, code
 * and constant that both sides know, and nothing else. `src/abi.rs` mirrors
 * this file; a test compares sizes and offsets with the BTF of the object.
 * Whoever changes a layout or the meaning of a code raises PORIN_ABI.
 */
#pragma once

#include <linux/types.h>

#define PORIN_ABI 3

/* One address form: IPv6 as it is, IPv4 as ::ffff:a.b.c.d, network order. */
union address {
	__u64 half[2];
	__u32 word[4];
	__u8 byte[16];
};

/* Directions, seen from the endpoint whose policy is asked. */
enum direction {
	DIRECTION_INGRESS = 0, /* judged at to_endpoint */
	DIRECTION_EGRESS = 1,  /* judged at from_endpoint */
};

/* Reserved identities that the programs themselves must know. */
enum identity {
	IDENTITY_UNKNOWN = 0, /* in a policy key: any peer */
	IDENTITY_HOST = 1,
	IDENTITY_WORLD = 2, /* between nodes: ask the address */
	IDENTITY_HEALTH = 4,
	IDENTITY_INIT = 5,
	IDENTITY_REMOTE_NODE = 6,
	IDENTITY_INGRESS = 8,
	IDENTITY_WELL_KNOWN = 100, /* the first that is the same on every node */
	IDENTITY_CLUSTER = 256,    /* the first of a workload */
};

/*
 * skb->mark of a packet that left an endpoint of this node:
 *
 *   31                              8 7   6 5 4     1 0
 *  +---------------------------------+-----+-+-------+-+
 *  |   source identity, low 24 bits  |magic|P| magic |L|
 *  +---------------------------------+-----+-+-------+-+
 *
 * P says that skb->hash is a proof (proof.h). L is bit 24 of the identity: it
 * means something on this node only. The identity with magic and L, but without
 * P, is called the stamp. What came through the tunnel of another node, or left a
 * group of processes, bears another magic, and counts only if it came by the
 * overlay's device, or was made on this node.
 */
#define MARK_MAGIC 0x5eU
#define MARK_OVERLAY 0x5cU
#define MARK_GROUP 0x5aU
#define MARK_MAGIC_MASK 0xdeU
#define MARK_PROVEN 0x20U
#define MARK_LOCAL 0x01U
#define MARK_IDENTITY_SHIFT 8
#define IDENTITY_LOCAL_SHIFT 24

/* --- endpoints ---------------------------------------------------------- */

/*
 * The word that puts a policy in force for an endpoint. User space replaces
 * it with one aligned 8-byte store, so a packet sees the old policy or the
 * new one and never a mixture.
 *
 *   63                        16 15   14            0
 *  +----------------------------+----+---------------+
 *  |           epoch            | r  |     table     |
 *  +----------------------------+----+---------------+
 *
 * epoch  never given twice, over all endpoints and all incarnations
 * r      ready: without it every packet is dropped (NOT_READY)
 * table  slot in `tables`
 */
#define SLOT_NONE 0xffffU /* more than there are */
#define CELL_TABLE_MASK 0x7fffULL
#define CELL_READY 0x8000ULL
#define CELL_EPOCH_SHIFT 16

/* One cache line. Key of `endpoints` is a slot, `devices` says which. */
struct endpoint {
	__u64 cell;
	__u64 lease;          /* ns of CLOCK_MONOTONIC after which all is dropped, 0 never */
	__u64 born;           /* when this incarnation began, ns >> FLOW_AGE_SHIFT */
	__u32 ifindex;        /* host side device; another value: the slot is not ours */
	__u32 id;             /* number in observations */
	__u32 identity;
	__u32 ipv4;           /* own address, network order, 0 none */
	union address ipv6;   /* own address, :: none */
	__u8 mac[6];          /* link address inside, for direct delivery */
	__u16 direct;         /* not 0: packets of this node are delivered past its stack */
};

/* In place of a cell: nothing was judged before the host's first policy. */
#define HOST_OPEN (~0ULL)

/*
 * The host, one element: under its policy is what the node itself sends and
 * receives. A policy may be on trial: at the deadline the one before it is in
 * force again, unless the deadline was taken away.
 */
struct host {
	struct endpoint self; /* without device and addresses */
	__u64 previous;       /* cell after the deadline, or HOST_OPEN */
	__u64 deadline;       /* ns of CLOCK_MONOTONIC, 0: self.cell stays in force */
};

/* Facts of the node, one element. The epochs only ever grow. */
struct node {
	__u64 address_epoch; /* raised when a known address changes its identity */
	__u64 next_epoch;    /* first epoch not given yet (user space only) */
	__u64 secret;        /* drawn once; where flows lie nobody outside can tell */
	__u64 born;          /* the last one given to an endpoint (user space only) */
	__u32 overlay;       /* device of the tunnels between nodes, 0 none */
	__be16 tunnel_port;  /* UDP port of the tunnels */
	__u16 reserved;
};

/* Version and sizes the pinned maps were made with, one element. */
struct abi {
	__u32 version;
	__u32 reserved;
};

/* --- addresses ---------------------------------------------------------- */

enum owner_flag {
	OWNER_LOCAL = 1, /* an endpoint of this node: only its own device may send as it */
	OWNER_IPV6 = 2,  /* an IPv6 prefix: says nothing of IPv4, though ::/0 holds its form */
};

/* Whom an address or a prefix belongs to. */
struct owner {
	__u32 identity;
	__u32 flags;
};

/* Key of the prefix trie; IPv4 prefixes are 96 bits longer than written. */
struct prefix {
	__u32 length;
	__u32 word[4];
};

/* --- other nodes -------------------------------------------------------- */

/* Of a node that tunnels end at; its key is the address of that end. */
struct remote {
	__u32 prefixes; /* how many lead there */
	__u32 reserved;
};

/* --- policy ------------------------------------------------------------- */

/*
 * Key of a policy table (longest prefix match). Bits of `length`:
 *
 *   0           32          40         48              64
 *   +-----------+-----------+----------+---------------+
 *   | identity  | direction | protocol |  port (be16)  |
 *   +-----------+-----------+----------+---------------+
 *
 * 40 every protocol, 48 one protocol, 48 + n the n leading bits of the port.
 */
#define POLICY_LENGTH_ANY 40
#define POLICY_LENGTH_PROTOCOL 48
#define POLICY_LENGTH_FULL 64

struct policy_key {
	__u32 length;
	__u32 identity;
	__u8 direction;
	__u8 protocol;
	__be16 port; /* destination port; type for ICMP and ICMPv6 */
};

enum policy_action {
	POLICY_DENY = 0,
	POLICY_ALLOW = 1,
	POLICY_REDIRECT = 2,              /* needs a proxy */
	POLICY_REDIRECT_UNRESTRICTED = 3, /* a proxy would pass everything */
};

struct policy_entry {
	__u32 precedence;
	__u32 cookie;
	__u8 action; /* enum policy_action */
	__u8 parser; /* L7 protocol of a redirect, for user space */
	__u8 prefix; /* length - POLICY_LENGTH_ANY: 0, 8, 8 + bits of the port */
	__u8 auth;   /* not 0: dropped, since nobody has proved anything */
};

/* Which kind of entry decided (numbers of the flow API). */
enum policy_match {
	MATCH_NONE = 0,
	MATCH_L3 = 1,
	MATCH_L3_L4 = 2,
	MATCH_L4 = 3,
	MATCH_ALL = 4,
	MATCH_L3_PROTOCOL = 5,
	MATCH_PROTOCOL = 6,
};

/* --- flows -------------------------------------------------------------- */

/*
 * One key for both directions: the ends are sorted. `ports` holds the port of
 * the lower end in its low half, each in network order as it lies in memory.
 * ICMP echo: the identifier is the port of the end that asks, 0 the other's.
 */
struct flow_key {
	union address end[2];
	__u32 ports;
	__u32 protocol; /* | FLOW_ONE_WAY: messages that have no answer */
};

#define FLOW_ONE_WAY 0x100U

/*
 * An allowance of one endpoint, good only as long as all of it still holds.
 * Denials are never remembered: absence is the safe state.
 */
struct side {
	__u64 seal;  /* endpoint.cell and address epoch, bound to the key; 0 never given */
	__u32 stamp; /* mark of the peer's packets; without: 0 made here, 1 not */
	__u32 cookie;
};

enum side_index {
	SIDE_INITIATOR = 0, /* by egress policy of the end that began */
	SIDE_RESPONDER = 1, /* by ingress policy of the end that answers */
};

enum flow_state {
	FLOW_ANSWERED = 1,
	FLOW_FIN_INITIATOR = 2,
	FLOW_FIN_RESPONDER = 4,
	FLOW_RESET = 8,
	FLOW_FORWARDED = 16,   /* leaves under the host's address for somebody behind it */
	FLOW_ESTABLISHED = 32, /* the handshake is over, or was never seen */
};

struct flow {
	struct flow_key key;
	struct side side[2];
	__u32 state;      /* enum flow_state */
	__u32 opened;     /* coarse clock >> FLOW_AGE_SHIFT */
	__u16 slot[2];    /* of the endpoint behind each side */
	__u32 handshake;  /* when the SYN passed, and once established how long it took;
			  * clock >> FLOW_HANDSHAKE_SHIFT */
	__u64 bytes[2];   /* of frames, by side that sends */
	__u32 packets[2];
};

#define FLOW_CLOCK_SHIFT 30     /* ticks of 1.07 s */
#define FLOW_AGE_SHIFT 22       /* 4.19 ms */
#define FLOW_HANDSHAKE_SHIFT 10 /* 1.02 us */
#define FLOW_WAYS 8

/*
 * Fifteen cache lines. A flow lies in one of two buckets, in any way. What has
 * to be known of every flow to find one, or to find room, stands in front.
 */
struct flow_bucket {
	__u32 tag[FLOW_WAYS]; /* bit 0: which end began; part of what binds to the key; 0 free */
	__u32 expires[FLOW_WAYS]; /* last tick (coarse clock >> FLOW_CLOCK_SHIFT) of its life */
	struct flow flow[FLOW_WAYS];
};

/* --- fragments ---------------------------------------------------------- */

struct fragment_key {
	union address source;
	union address destination;
	__u32 id;
	__u32 protocol;
};

/* What the first fragment said, for those that follow it. */
struct fragment {
	__u32 ports;
	__u8 protocol;
	__u8 icmp_type;
	__u8 icmp_code;
	__u8 flags; /* enum packet_flag of parse.h */
	__u64 seen; /* ns of the coarse clock */
};

/* --- events ------------------------------------------------------------- */

enum event_kind {
	EVENT_VERDICT = 0, /* first packet of a flow at a hook, or judged anew */
	EVENT_DROP = 1,
	EVENT_CLOSE = 2, /* the packet that ended a flow, with the totals */
	EVENT_TRACE = 3, /* a packet of a flow that goes on, with the totals so far */
	EVENT_KINDS = 4,
};

enum event_reply {
	REPLY_NO = 0,
	REPLY_YES = 1,
	REPLY_UNKNOWN = 2,
};

struct event {
	__u64 time; /* ns of CLOCK_MONOTONIC_COARSE */
	union address source;
	union address destination;
	__u64 epoch; /* of the endpoint's policy */
	__u32 source_identity;
	__u32 destination_identity;
	__u32 endpoint;
	__u32 ifindex;
	__u32 cookie;
	__u32 length; /* whole frame, octets */
	__be16 source_port;
	__be16 destination_port;
	__u8 kind; /* enum event_kind */
	__u8 direction; /* enum direction */
	__u8 reason; /* enum drop_reason, 0 forwarded */
	__u8 match; /* enum policy_match */
	__u8 protocol;
	__u8 tcp_flags;
	__u8 icmp_type;
	__u8 icmp_code;
	__u8 reply; /* enum event_reply */
	__u8 family; /* 4, 6, 0 not IP */
	__u8 reserved[2];
};

/* What a flow came to; the sides as in struct flow. */
struct totals {
	__u64 bytes[2];
	__u32 packets[2];
	__u32 age;       /* ns >> FLOW_AGE_SHIFT */
	__u32 handshake; /* ns >> FLOW_HANDSHAKE_SHIFT, 0 not seen or not over */
};

/* Record of EVENT_CLOSE and EVENT_TRACE; the others are the event alone. */
struct flow_event {
	struct event event;
	struct totals totals;
};

/* Per reason and direction: index `direction << 8 | reason`. */
struct counter {
	__u64 packets;
	__u64 bytes;
};

#define COUNTERS 512

/* Numbers as Hubble gives them; 240 and above are Porin's own. */
enum drop_reason {
	DROP_NONE = 0,
	DROP_INVALID_SOURCE = 132,
	DROP_POLICY_DENIED = 133,
	DROP_INVALID_PACKET = 134,
	DROP_TRUNCATED = 135,
	DROP_UNSUPPORTED_L3 = 139,
	DROP_UNKNOWN_L4 = 142,
	DROP_UNKNOWN_TARGET = 150,
	DROP_CONNTRACK_INSERT = 155,
	DROP_EXTENSION_HEADER = 156,
	DROP_FRAGMENT = 157,
	DROP_NO_TUNNEL = 160,
	DROP_UNKNOWN_FLOW = 163,
	DROP_UNSUPPORTED_L2 = 166,
	DROP_ENCAPSULATION = 170,
	DROP_INVALID_IDENTITY = 171,
	DROP_UNKNOWN_SENDER = 172,
	DROP_FRAGMENT_NOT_FOUND = 175,
	DROP_FORBIDDEN_ICMP6 = 176,
	DROP_POLICY_DENY = 181,
	DROP_AUTH_REQUIRED = 189,
	DROP_NOT_READY = 240,
	DROP_L7_WITHOUT_PROXY = 241,
	DROP_LEASE_EXPIRED = 242,
	DROP_UNKNOWN_ENDPOINT = 244,
	DROP_TABLE_MISSING = 245,
	DROP_NEIGHBOUR_SPOOFED = 246,
};
