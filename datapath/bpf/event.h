// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What user space is told: new verdicts, drops and ends, never every packet.
 * A drop is counted whether or not its event finds room. */
#pragma once

#include "config.h"
#include "flow.h"
#include "identity.h"

/* A wake-up costs as much as hundreds of lookups, and a reader that is awake
 * needs no other: only so many events around the mark call for one. */
#define WAKEUPS 4

INLINE void count_drop(const struct crossing *c, int reason)
{
	__u32 at = (c->direction << 8 | (reason & 0xff)) & (COUNTERS - 1);
	struct counter *n = bpf_map_lookup_elem(&drops, &at);

	if (!n)
		return;
	n->packets += 1;
	n->bytes += c->length;
}

INLINE void count_lost(__u32 kind)
{
	__u64 *n = bpf_map_lookup_elem(&lost, &kind);

	if (n)
		*n += 1;
}

/* Everything that the packet and its judgement say. */
static __noinline int describe(struct event *e, const struct crossing *c, const struct packet *p)
{
	e->time = c->now;
	e->source = p->source;
	e->destination = p->destination;
	e->epoch = c->cell >> CELL_EPOCH_SHIFT;
	e->cookie = c->cookie;
	e->source_port = p->source_port;
	e->destination_port = p->destination_port;
	e->direction = c->direction;
	e->match = c->match;
	e->protocol = p->protocol;
	e->tcp_flags = p->protocol == IPPROTO_TCP ? p->tcp_flags : 0;
	e->icmp_type = p->icmp_type;
	e->icmp_code = p->icmp_code;
	e->reply = c->reply;
	e->family = p->family;
	e->reserved[0] = 0;
	e->reserved[1] = 0;
	return 0;
}

/* Who speaks to whom, as far as it was found out. */
INLINE void introduce(struct event *e, struct crossing *c, const struct endpoint *ep)
{
	__u32 own = ep ? ep->identity : IDENTITY_UNKNOWN;
	bool leaving = c->direction == DIRECTION_EGRESS;

	e->source_identity = leaving ? own : c->peer;
	e->destination_identity = leaving ? c->peer : own;
	e->endpoint = ep ? ep->id : 0;
	e->ifindex = c->ifindex;
	e->length = c->length;
}

INLINE void seek_peer(struct crossing *c, const struct packet *p)
{
	bool leaving = c->direction == DIRECTION_EGRESS;

	if (!c->peer && p->family)
		c->peer = owner_of(leaving ? &p->destination : &p->source).identity;
}

INLINE __u64 wakeup(void)
{
	__u64 pending = bpf_ringbuf_query(&events, BPF_RB_AVAIL_DATA);

	return pending - wakeup_bytes < WAKEUPS * sizeof(struct event) ? BPF_RB_FORCE_WAKEUP
								       : BPF_RB_NO_WAKEUP;
}

/* A verdict or a drop. */
__noinline int tell(struct crossing *c, const struct endpoint *ep, const struct packet *p,
		    __u8 kind, int reason)
{
	struct event *e;

	if (!c || !p)
		return 0;
	seek_peer(c, p);
	e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);
	if (!e) {
		count_lost(kind);
		return 0;
	}
	describe(e, c, p);
	introduce(e, c, ep);
	e->kind = kind;
	e->reason = reason;
	bpf_ringbuf_submit(e, wakeup());
	return 0;
}

static __noinline int sum_up(struct flow_event *e, const struct flow *flow, __u64 now)
{
	if (!e || !flow)
		return 0;
	__builtin_memcpy(e->totals.bytes, flow->bytes, sizeof(e->totals.bytes));
	__builtin_memcpy(e->totals.packets, flow->packets, sizeof(e->totals.packets));
	e->totals.age = (__u32)(now >> FLOW_AGE_SHIFT) - flow->opened;
	e->totals.handshake = flow->state & FLOW_ESTABLISHED ? flow->handshake : 0;
	return 0;
}

/* The flow at c->spot: that it ended, or what it came to so far. */
__noinline int tell_flow(struct crossing *c, const struct endpoint *ep, const struct packet *p,
			 __u8 kind)
{
	struct flow_event *e;
	struct place at;
	__u32 own;

	if (!c || !p || !c->spot || !place_at(c->spot, &at))
		return 0;
	seek_peer(c, p);
	own = (c->reply == REPLY_NO) == (c->direction == DIRECTION_EGRESS) ? SIDE_INITIATOR
									   : SIDE_RESPONDER;
	c->cookie = at.flow->side[own & 1].cookie;
	e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);
	if (!e) {
		count_lost(kind);
		return 0;
	}
	describe(&e->event, c, p);
	introduce(&e->event, c, ep);
	e->event.kind = kind;
	e->event.reason = 0;
	sum_up(e, at.flow, c->now);
	bpf_ringbuf_submit(e, wakeup());
	return 0;
}
