// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Address -> identity, and who really sent a packet. */
#pragma once

#include "config.h"
#include "endpoint.h"

#define LOOPBACK 1 /* the device of that name in every network namespace */

INLINE bool link_local(const union address *a)
{
	return (a->word[0] & bpf_htonl(0xffc00000)) == bpf_htonl(0xfe800000);
}

INLINE bool loopback(const union address *a)
{
	if (is_mapped(a))
		return a->byte[12] == 127;
	return !a->half[0] && a->half[1] == bpf_cpu_to_be64(1);
}

/* Exact address, else longest prefix, else the host behind a link-local one (at
 * the other end of a veth there is nobody else), else the world of its family. */
__noinline int find_owner(const union address *a, struct owner *owner)
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
	owner->identity = is_mapped(a) ? world_ipv4 : link_local(a) ? IDENTITY_HOST : world_ipv6;
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
	return (mark & MARK_MAGIC_MASK) == MARK_MAGIC ? mark & ~MARK_PROVEN : 0;
}

INLINE __u32 stamp_for(__u32 identity)
{
	__u32 local = identity >> IDENTITY_LOCAL_SHIFT & MARK_LOCAL;

	return identity << MARK_IDENTITY_SHIFT | MARK_MAGIC | local;
}

INLINE __u32 identity_of(__u32 stamp)
{
	return stamp >> MARK_IDENTITY_SHIFT | (stamp & MARK_LOCAL) << IDENTITY_LOCAL_SHIFT;
}

INLINE bool came_through_tunnel(const struct crossing *c)
{
	return unlikely(c->overlay) && c->came_by == c->overlay;
}

/* The mark of a packet on its way through this node, when it counts. */
INLINE __u32 stamp_arriving(const struct crossing *c, __u32 mark)
{
	__u32 magic = mark & MARK_MAGIC_MASK;

	if (came_through_tunnel(c))
		return magic == MARK_OVERLAY ? mark & ~MARK_PROVEN : 0;
	if (unlikely(magic == MARK_GROUP) && c->came_by <= LOOPBACK)
		return mark & ~MARK_PROVEN;
	return stamp_of(mark);
}

#define STAMP_FOREIGN 1U /* in place of a stamp: unmarked, and came by a device */

/* What a side remembers of its peer's packets: who sends under the address of the
 * host from elsewhere does not take part in the flows of the host. */
INLINE __u32 stamp_shown(const struct crossing *c)
{
	return c->stamp ? c->stamp : c->came_by > LOOPBACK ? STAMP_FOREIGN : 0;
}

/*
 * Identity of the sender of a packet that arrives at an endpoint:
 *
 * 1. the source is an endpoint of this node: the packet must bear the mark of
 *    that endpoint's device. Without one it is forged; with another's it waited
 *    while the address changed hands. Both are dropped;
 * 2. the source is the host: unmarked and made on this node it is the host's
 *    own. A marked packet is an endpoint's that was given the host's address on
 *    its way (masquerade), and remains the endpoint's. An unmarked one that came
 *    by a device is somebody else's, forged or masqueraded: the world's;
 * 3. it came by loopback: made on this node, under whatever address;
 * 4. it came through the tunnel of another node: from_overlay has found out, and
 *    wrote it into the mark. Without that mark nobody has asked the tunnel;
 * 5. else whom the address tables name. A mark says nothing here: another
 *    instance on this node counts identities its own way.
 *
 * 0, or the reason to drop.
 */
INLINE int sender(struct crossing *c, const struct packet *p)
{
	struct owner owner = owner_of(&p->source);

	c->peer = owner.identity;
	if (!(owner.flags & OWNER_LOCAL)) {
		if (unlikely(c->came_by == LOOPBACK)) {
			c->peer = c->stamp ? identity_of(c->stamp) : IDENTITY_HOST;
			return 0;
		}
		if (came_through_tunnel(c)) {
			c->peer = identity_of(c->stamp);
			return c->stamp ? 0 : DROP_UNKNOWN_SENDER;
		}
		if (owner.identity != IDENTITY_HOST)
			return 0;
		if (c->stamp)
			c->peer = identity_of(c->stamp);
		else if (c->came_by)
			c->peer = p->family == 4 ? world_ipv4 : world_ipv6;
		return 0;
	}
	if (!c->stamp)
		return DROP_INVALID_SOURCE;
	return c->stamp == stamp_for(owner.identity) ? 0 : DROP_INVALID_IDENTITY;
}

/* Identity of the far end, whichever way the packet goes. */
INLINE int find_peer(struct crossing *c, const struct packet *p)
{
	struct owner owner;

	if (c->direction == DIRECTION_INGRESS)
		return sender(c, p);
	owner = owner_of(&p->destination);
	c->peer = owner.identity;
	/* Only what is on the node itself can send there. */
	if (unlikely(c->slot == SLOT_NONE) && loopback(&p->destination))
		c->peer = IDENTITY_HOST;
	if (owner.flags & OWNER_LOCAL)
		c->stamp = stamp_for(owner.identity);
	else
		c->stamp = c->peer == IDENTITY_HOST ? 0 : STAMP_FOREIGN;
	return 0;
}
