// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The two hooks at the device of the tunnels between nodes (VXLAN that takes
 * its headers from us):
 *
 *   to_overlay    egress: who sends, as the tunnel's number, and to which node
 *   from_overlay  ingress: may this node say that of this address?
 *
 * A node speaks for the addresses that the routes lead to it for, and for the
 * world outside; never for this node, nor for another. What it says of them is
 * believed, since its own hooks know the device that a packet left.
 */
#pragma once

#include "cross.h"

#define TUNNEL_TTL 64
#define TUNNEL_IDENTITY_MAX 0xffffffU

/* Reserved identities that mean the same on every node and may be claimed. */
#define TUNNEL_RESERVED                                                                            \
	(1U << IDENTITY_WORLD | 1U << IDENTITY_HEALTH | 1U << IDENTITY_INIT |                      \
	 1U << IDENTITY_REMOTE_NODE | 1U << IDENTITY_INGRESS)

/* Sent to the port of the tunnels. */
INLINE bool is_tunnel(const struct crossing *c, const struct packet *p)
{
	return unlikely(c->tunnel_port) && p->protocol == IPPROTO_UDP &&
	       p->destination_port == c->tunnel_port && !(p->flags & PACKET_LATER_FRAGMENT);
}

INLINE bool is_node(const union address *a)
{
	return bpf_map_lookup_elem(&nodes, a);
}

/* Workloads may have tunnels of their own, whatever the port. Anybody else may
 * be a node, or see a node in who masquerades as one. */
INLINE bool is_workload(const union address *a)
{
	struct owner owner = owner_of(a);

	return owner.flags & OWNER_LOCAL ||
	       (owner.identity >= IDENTITY_CLUSTER && owner.identity <= TUNNEL_IDENTITY_MAX);
}

INLINE bool travels(__u32 identity)
{
	if (identity < IDENTITY_WELL_KNOWN)
		return identity < 32 && TUNNEL_RESERVED >> identity & 1;
	return identity <= TUNNEL_IDENTITY_MAX;
}

INLINE union address *route_to(const union address *a)
{
	struct prefix key = { .length = 128 };

	__builtin_memcpy(key.word, a, sizeof(key.word));
	return bpf_map_lookup_elem(&routes, &key);
}

/* The far end of the tunnel and the number in its header. */
static __noinline bool tunnel_read(struct __sk_buff *skb, union address *from, __u32 *claim)
{
	struct bpf_tunnel_key key = {};

	if (!from || !claim)
		return false;
	if (!bpf_skb_get_tunnel_key(skb, &key, sizeof(key), 0)) {
		*from = mapped(bpf_htonl(key.remote_ipv4));
	} else if (!bpf_skb_get_tunnel_key(skb, &key, sizeof(key), BPF_F_TUNINFO_IPV6)) {
		__builtin_memcpy(from, key.remote_ipv6, sizeof(*from));
	} else {
		return false;
	}
	*claim = key.tunnel_id;
	return true;
}

static __noinline long tunnel_write(struct __sk_buff *skb, const union address *to, __u32 identity)
{
	struct bpf_tunnel_key key = { .tunnel_id = identity, .tunnel_ttl = TUNNEL_TTL };

	if (!to)
		return -1;
	if (is_mapped(to)) {
		key.remote_ipv4 = bpf_ntohl(to->word[3]);
		return bpf_skb_set_tunnel_key(skb, &key, sizeof(key), BPF_F_ZERO_CSUM_TX);
	}
	__builtin_memcpy(key.remote_ipv6, to, sizeof(*to));
	return bpf_skb_set_tunnel_key(skb, &key, sizeof(key), BPF_F_TUNINFO_IPV6);
}

/*
 * Who sent a packet that the node @from says to be of @claim. 0 and c->peer, or
 * the reason to drop.
 */
INLINE int believe(struct crossing *c, const struct packet *p, const union address *from,
		   __u32 claim)
{
	struct owner owner = owner_of(&p->source);
	union address *behind = route_to(&p->source);

	c->peer = owner.identity;
	if (owner.flags & OWNER_LOCAL || owner.identity == IDENTITY_HOST)
		return DROP_INVALID_SOURCE;
	if (behind ? !same(behind, from) : claim != IDENTITY_WORLD)
		return DROP_INVALID_SOURCE;
	if (claim == IDENTITY_WORLD)
		/* Of an endpoint there somebody must know who it is. */
		return behind && (owner.identity < IDENTITY_WELL_KNOWN ||
				  owner.identity > TUNNEL_IDENTITY_MAX)
			       ? DROP_INVALID_IDENTITY
			       : 0;
	c->peer = claim;
	return 0;
}

/* 0, or the reason to drop. */
INLINE int enter(struct __sk_buff *skb, struct crossing *c, struct packet *p)
{
	int amiss = parse(skb, p);
	union address from = {};
	struct owner to;
	__u32 claim = 0;
	int reason;

	if (!tunnel_read(skb, &from, &claim) || !is_node(&from))
		return DROP_UNKNOWN_SENDER;
	if (!travels(claim))
		return DROP_INVALID_IDENTITY;
	if (amiss)
		return amiss;
	if (!p->family)
		return DROP_UNSUPPORTED_L3;
	reason = believe(c, p, &from, claim);
	if (reason)
		return reason;
	to = owner_of(&p->destination);
	return to.flags & OWNER_LOCAL || to.identity == IDENTITY_HOST ? 0 : DROP_UNKNOWN_TARGET;
}

SEC("classifier")
int from_overlay(struct __sk_buff *skb)
{
	struct crossing c = crossing_begin(skb, DIRECTION_INGRESS);
	struct packet p = {};
	int reason = enter(skb, &c, &p);

	if (unlikely(reason))
		return refuse(&c, NULL, &p, reason);
	/* The frame inside is addressed to nobody in particular. */
	bpf_skb_change_type(skb, 0);
	set_mark(skb, stamp_for(c.peer) ^ MARK_MAGIC ^ MARK_OVERLAY);
	return TCX_NEXT;
}

/* 0, or the reason to drop. */
INLINE int depart(struct __sk_buff *skb, struct crossing *c, struct packet *p)
{
	int reason = parse(skb, p);
	union address *to;
	__u32 identity;

	if (reason)
		return reason;
	if (!p->family)
		return DROP_UNSUPPORTED_L3;
	c->came_by = skb->ingress_ifindex;
	c->stamp = stamp_arriving(c, skb->mark);
	/* From one tunnel into another nothing goes. */
	if (came_through_tunnel(c))
		return DROP_UNKNOWN_TARGET;
	reason = sender(c, p);
	if (reason)
		return reason;
	identity = c->peer;
	/* Made here, under whatever address: a group's of processes, or the host's own. */
	if (!c->came_by && c->stamp)
		identity = identity_of(c->stamp);
	else if (!c->came_by)
		identity = IDENTITY_HOST;
	if (identity == IDENTITY_HOST)
		identity = IDENTITY_REMOTE_NODE;
	else if (!travels(identity))
		/* Only this node knows it: the other asks its own tables. */
		identity = IDENTITY_WORLD;
	to = route_to(&p->destination);
	if (!to)
		return DROP_NO_TUNNEL;
	return tunnel_write(skb, to, identity) ? DROP_NO_TUNNEL : 0;
}

SEC("classifier")
int to_overlay(struct __sk_buff *skb)
{
	struct crossing c = crossing_begin(skb, DIRECTION_EGRESS);
	struct packet p = {};
	int reason = depart(skb, &c, &p);

	if (likely(!reason))
		return TCX_NEXT;
	c.peer = IDENTITY_UNKNOWN;
	return refuse(&c, NULL, &p, reason);
}
