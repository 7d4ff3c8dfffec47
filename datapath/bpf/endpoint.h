// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The endpoint behind a device, and one packet's passage of one hook. */
#pragma once

#include "config.h"
#include "maps.h"
#include "parse.h"

/* One packet at one hook: what was read once, and what was found out. */
struct crossing {
	__u64 now;           /* coarse clock, ns */
	__u64 cell;          /* endpoint.cell, read once */
	__u64 address_epoch; /* read before any address is looked up */
	__u64 secret;        /* of the node */
	__u32 far;           /* 1 + slot of the other end, if it is here and allows */
	__u32 proof;         /* that it does, for its hook */
	__u32 length;        /* of the frame */
	__u32 ifindex;       /* of the hook */
	__u32 slot;          /* of the endpoint */
	__u32 spot;          /* of the flow, 0 none */
	__u32 stamp;         /* skb->mark when it bears the magic, else 0 */
	__u32 came_by;       /* device by which the packet reached this node, 0 made here */
	__u32 overlay;       /* device of the tunnels, 0 none */
	__u32 peer;          /* identity of the far end, 0 not asked yet */
	__u32 cookie;
	__be16 tunnel_port;
	__u8 direction; /* of the hook */
	__u8 match;
	__u8 reply;
	bool report; /* the verdict is news */
	bool closed; /* this packet ended the flow */
	bool traced; /* the flow is due for a report */
};

/* A device has its endpoint in the slot of its own number unless another was
 * there first. The slot may be given to another device while we look: ifindex
 * decides. */
INLINE struct endpoint *endpoint_at(__u32 ifindex, __u32 *at)
{
	struct endpoint *ep;
	__u32 *slot;

	*at = ifindex & endpoint_mask;
	ep = bpf_map_lookup_elem(&endpoints, at);
	if (likely(ep && ep->ifindex == ifindex))
		return ep;
	slot = bpf_map_lookup_elem(&devices, &ifindex);
	if (!slot)
		return NULL;
	*at = READ_ONCE(*slot);
	ep = bpf_map_lookup_elem(&endpoints, at);
	return ep && ep->ifindex == ifindex ? ep : NULL;
}

INLINE bool owns(const struct endpoint *ep, const union address *a, __u8 family)
{
	if (family == 4)
		return ep->ipv4 && a->word[3] == ep->ipv4;
	return (ep->ipv6.half[0] | ep->ipv6.half[1]) && same(a, &ep->ipv6);
}
