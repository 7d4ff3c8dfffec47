// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The two hooks at the host side of an endpoint's veth:
 *
 *   from_endpoint  ingress of the device: packets the endpoint sends
 *   to_endpoint    egress of the device: packets it is to receive
 *
 * Both return TCX_NEXT or TC_ACT_SHOT. Order of the questions:
 * 1. whose device is it (UNKNOWN_ENDPOINT); 2. is it ready (NOT_READY);
 * 3. is the packet sound; 4. has the lease ended (LEASE_EXPIRED);
 * 5. does it bear the endpoint's own address; 6. is it a matter of the link;
 * 7. does a flow or the policy allow it.
 */
#include "abi.h"
#include "compiler.h"
#include "config.h"
#include "cross.h"
#include "host.h"
#include "neighbour.h"

/* Questions 5 and 6 for what an endpoint sends. */
INLINE int leave(struct __sk_buff *skb, const struct endpoint *ep, struct packet *p)
{
	if (unlikely(p->flags & PACKET_ARP))
		return arp_leaves(skb, ep);
	if (unlikely(p->protocol == IPPROTO_ICMPV6)) {
		int reason = neighbour_leaves(skb, ep, p);

		if (reason != NEIGHBOUR_JUDGE)
			return reason;
	}
	return owns(ep, &p->source, p->family) ? NEIGHBOUR_JUDGE : DROP_INVALID_SOURCE;
}

/* The same for what it is to receive. */
INLINE int arrive(struct crossing *c, const struct endpoint *ep, struct packet *p)
{
	if (unlikely(p->flags & PACKET_ARP))
		return 0;
	if (unlikely(p->protocol == IPPROTO_ICMPV6)) {
		int reason = neighbour_arrives(c, ep, p);

		if (reason != NEIGHBOUR_JUDGE)
			return reason;
	}
	return owns(ep, &p->destination, p->family) ? NEIGHBOUR_JUDGE : DROP_UNKNOWN_TARGET;
}

/* All questions. 0, or the reason to drop. */
INLINE int cross(struct __sk_buff *skb, const struct endpoint *ep, struct crossing *c,
		 struct packet *p)
{
	int reason = parse(skb, p);

	if (unlikely(!ep))
		return DROP_UNKNOWN_ENDPOINT;
	c->cell = READ_ONCE(ep->cell);
	if (unlikely(!(c->cell & CELL_READY)))
		return DROP_NOT_READY;
	if (unlikely(reason))
		return reason;
	if (unlikely(ep->lease) && c->now >= ep->lease)
		return DROP_LEASE_EXPIRED;
	reason = c->direction == DIRECTION_EGRESS ? leave(skb, ep, p) : arrive(c, ep, p);
	if (reason != NEIGHBOUR_JUDGE)
		return reason;
	return follow(skb, ep, c, p);
}

INLINE int judge(struct __sk_buff *skb, __u8 direction)
{
	struct endpoint *ep = endpoint_at(skb->ifindex);
	struct crossing c = crossing_begin(direction);
	struct packet p = {};
	int reason;

	if (direction == DIRECTION_INGRESS) {
		c.stamp = stamp_of(skb->mark);
		c.came_by = skb->ingress_ifindex;
	}
	reason = cross(skb, ep, &c, &p);
	if (unlikely(reason))
		return refuse(skb, ep, &c, &p, reason);
	report(skb, ep, &c, &p);
	if (direction == DIRECTION_EGRESS && ep)
		skb->mark = stamp_for(ep->identity);
	return TCX_NEXT;
}

SEC("classifier")
int from_endpoint(struct __sk_buff *skb)
{
	return judge(skb, DIRECTION_EGRESS);
}

SEC("classifier")
int to_endpoint(struct __sk_buff *skb)
{
	return judge(skb, DIRECTION_INGRESS);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
