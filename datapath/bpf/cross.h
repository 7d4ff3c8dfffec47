// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What every hook does with a packet: the begin of its passage, the judgement
 * once it is known whose matter it is, and the end. */
#pragma once

#include "conntrack.h"
#include "event.h"
#include "fragment.h"
#include "icmp.h"

INLINE struct crossing crossing_begin(struct __sk_buff *skb, __u8 direction)
{
	__u32 zero = 0;
	struct node *facts = bpf_map_lookup_elem(&node, &zero);
	struct crossing c = {
		.now = bpf_ktime_get_coarse_ns(),
		.length = skb->len,
		.ifindex = skb->ifindex,
		.direction = direction,
		.reply = REPLY_UNKNOWN,
	};

	if (facts) {
		c.address_epoch = READ_ONCE(facts->address_epoch);
		c.secret = facts->secret;
		c.overlay = facts->overlay;
		c.tunnel_port = facts->tunnel_port;
	}
	return c;
}

/* Questions 1 to 4: an endpoint, ready, with a sound packet (@amiss is what was
 * wrong with it), and not at the end of its lease. 0, or the reason to drop. */
INLINE int admit(struct crossing *c, const struct endpoint *ep, int amiss)
{
	if (unlikely(!ep))
		return DROP_UNKNOWN_ENDPOINT;
	c->cell = READ_ONCE(ep->cell);
	if (unlikely(!(c->cell & CELL_READY)))
		return DROP_NOT_READY;
	if (unlikely(amiss))
		return amiss;
	return unlikely(ep->lease) && c->now >= ep->lease ? DROP_LEASE_EXPIRED : 0;
}

/* The verifier wants the field at its own offset from the packet, and the
 * compiler might keep the sum of both. */
INLINE void set_mark(struct __sk_buff *skb, __u32 mark)
{
	asm volatile("*(u32 *)(%0 + %1) = %2" ::"r"(skb), "i"(offsetof(struct __sk_buff, mark)),
		     "r"(mark)
		     : "memory");
}

/* Does a flow or the policy of @ep allow it? 0, or the reason to drop. */
INLINE int follow(struct __sk_buff *skb, const struct endpoint *ep, struct crossing *c,
		  struct packet *p)
{
	int reason;

	if (unlikely(p->flags & PACKET_ICMP_ERROR))
		return error_cross(skb, c, p);
	if (unlikely(p->flags & PACKET_LATER_FRAGMENT)) {
		reason = fragment_recall(p, c->now);
		if (reason)
			return reason;
	}
	reason = flow_cross(c, ep, p);
	if (unlikely(p->flags & PACKET_FIRST_FRAGMENT) && !reason)
		fragment_remember(p, c->now);
	return reason;
}

/* The packet is dropped. */
INLINE int refuse(struct crossing *c, const struct endpoint *ep, const struct packet *p, int reason)
{
	count_drop(c, reason);
	tell(c, ep, p, EVENT_DROP, reason);
	return TC_ACT_SHOT;
}

/* The packet passes. */
INLINE void report(struct crossing *c, const struct endpoint *ep, const struct packet *p)
{
	if (unlikely(c->report))
		tell(c, ep, p, EVENT_VERDICT, DROP_NONE);
	if (unlikely(c->closed))
		tell_flow(c, ep, p, EVENT_CLOSE);
	else if (unlikely(c->traced) && !c->report)
		tell_flow(c, ep, p, EVENT_TRACE);
}
