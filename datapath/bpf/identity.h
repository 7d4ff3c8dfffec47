// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Address -> identity, and who really sent a packet. */
#pragma once

#include "config.h"
#include "endpoint.h"

/* Exact address, else longest prefix, else the world of its family. */
static __noinline int find_owner(const union address *a, struct owner *owner)
{
	struct prefix key = { .length = 128 };
	struct owner *found;

	if (!a || !owner)
		return 0;
	found = bpf_map_lookup_elem(&addresses, a);
	if (!found) {
		__builtin_memcpy(key.word, a, sizeof(key.word));
		found = bpf_map_lookup_elem(&prefixes, &key);
	}
	if (found && !(found->flags & OWNER_IPV6 && is_mapped(a))) {
		*owner = *found;
		return 0;
	}
	owner->identity = is_mapped(a) ? world_ipv4 : world_ipv6;
	owner->flags = 0;
	return 0;
}

INLINE struct owner owner_of(const union address *a)
{
	struct owner owner = {};

	find_owner(a, &owner);
	return owner;
}

INLINE __u32 stamp_of(__u32 mark)
{
	return (mark & MARK_MAGIC_MASK) == MARK_MAGIC ? mark : 0;
}

INLINE __u32 stamp_for(__u32 identity)
{
	return identity << MARK_IDENTITY_SHIFT | MARK_MAGIC;
}

/*
 * Identity of the sender of a packet that arrives at an endpoint:
 *
 * 1. a mark of ours: the identity of the device it left. Where the address
 *    table knows the source as an endpoint of another identity, the packet
 *    waited while the address changed hands: dropped;
 * 2. no mark, but the source is an endpoint of this node: forged, dropped;
 * 3. else whom the address tables name, the host itself included.
 *
 * 0, or the reason to drop.
 */
INLINE int sender(struct crossing *c, const struct packet *p)
{
	struct owner owner = owner_of(&p->source);

	c->peer = owner.identity;
	if (c->stamp) {
		c->peer = c->stamp >> MARK_IDENTITY_SHIFT;
		return (owner.flags & OWNER_LOCAL) && owner.identity != c->peer
			       ? DROP_INVALID_IDENTITY
			       : 0;
	}
	return owner.flags & OWNER_LOCAL ? DROP_INVALID_SOURCE : 0;
}

/* Identity of the far end, whichever way the packet goes. */
INLINE int find_peer(struct crossing *c, const struct packet *p)
{
	struct owner owner;

	if (c->direction == DIRECTION_INGRESS)
		return sender(c, p);
	owner = owner_of(&p->destination);
	c->peer = owner.identity;
	c->stamp = owner.flags & OWNER_LOCAL ? stamp_for(owner.identity) : 0;
	return 0;
}
