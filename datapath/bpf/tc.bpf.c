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
#include "deliver.h"
#include "group.h"
#include "host.h"
#include "neighbour.h"
#include "overlay.h"

/* Question 6: ARP and ICMPv6. 0 passes, NEIGHBOUR_JUDGE, or the reason to drop. */
__noinline int cross_link(struct __sk_buff *skb, const struct endpoint *ep, struct crossing *c,
			  const struct packet *p)
{
	bool leaving;

	if (!ep || !c || !p)
		return DROP_UNKNOWN_ENDPOINT;
	leaving = c->direction == DIRECTION_EGRESS;
	if (p->flags & PACKET_ARP)
		return leaving ? arp_leaves(skb, ep) : 0;
	return leaving ? neighbour_leaves(skb, ep, p) : neighbour_arrives(c, ep, p);
}

/* All questions. 0, or the reason to drop. */
INLINE int cross(struct __sk_buff *skb, const struct endpoint *ep, struct crossing *c,
		 struct packet *p)
{
	int reason = admit(c, ep, parse(skb, p));

	if (unlikely(reason))
		return reason;
	if (unlikely(p->flags & PACKET_ARP || p->protocol == IPPROTO_ICMPV6)) {
		reason = cross_link(skb, ep, c, p);
		if (reason != NEIGHBOUR_JUDGE)
			return reason;
	}
	if (c->direction == DIRECTION_EGRESS) {
		if (unlikely(!owns(ep, &p->source, p->family)))
			return DROP_INVALID_SOURCE;
		if (unlikely(is_tunnel(c, p)) && !is_workload(&p->destination))
			return DROP_ENCAPSULATION;
	} else if (unlikely(!owns(ep, &p->destination, p->family))) {
		return DROP_UNKNOWN_TARGET;
	}
	return follow(skb, ep, c, p);
}

/* What an allowed packet takes along. The verdict of the hook. */
INLINE int send(struct __sk_buff *skb, const struct endpoint *ep, const struct crossing *c,
		const struct packet *p)
{
	__u32 mark = stamp_for(ep->identity);

	if (c->far) {
		int verdict = deliver(skb, c, p);

		if (verdict >= 0)
			return verdict;
		bpf_set_hash(skb, c->proof);
		mark |= MARK_PROVEN;
	}
	skb->mark = mark;
	return TCX_NEXT;
}

INLINE int judge(struct __sk_buff *skb, __u8 direction)
{
	struct crossing c = crossing_begin(skb, direction);
	struct endpoint *ep = endpoint_at(c.ifindex, &c.slot);
	struct packet p = {};
	int reason;

	if (direction == DIRECTION_INGRESS) {
		c.came_by = skb->ingress_ifindex;
		c.stamp = stamp_arriving(&c, skb->mark);
	}
	reason = cross(skb, ep, &c, &p);
	if (unlikely(reason))
		return refuse(&c, ep, &p, reason);
	report(&c, ep, &p);
	return direction == DIRECTION_EGRESS ? send(skb, ep, &c, &p) : TCX_NEXT;
}

SEC("classifier")
int from_endpoint(struct __sk_buff *skb)
{
	return judge(skb, DIRECTION_EGRESS);
}

SEC("classifier")
int to_endpoint(struct __sk_buff *skb)
{
	if (skb->mark & MARK_PROVEN && proven(skb))
		return TCX_NEXT;
	return judge(skb, DIRECTION_INGRESS);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
