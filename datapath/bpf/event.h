// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What user space is told: new verdicts, drops and ends, never every packet.
 * A drop is counted whether or not its event finds room. */
#pragma once

#include "config.h"
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

__noinline int tell(struct crossing *c, const struct endpoint *ep, const struct packet *p,
		    __u8 kind, int reason)
{
	__u32 own = ep ? ep->identity : IDENTITY_UNKNOWN;
	struct event *e;
	__u64 pending;
	bool leaving;

	if (!c || !p)
		return 0;
	leaving = c->direction == DIRECTION_EGRESS;
	if (!c->peer && p->family)
		c->peer = owner_of(leaving ? &p->destination : &p->source).identity;
	e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);
	if (!e) {
		count_lost(kind);
		return 0;
	}
	describe(e, c, p);
	e->source_identity = leaving ? own : c->peer;
	e->destination_identity = leaving ? c->peer : own;
	e->endpoint = ep ? ep->id : 0;
	e->ifindex = c->ifindex;
	e->length = c->length;
	e->kind = kind;
	e->reason = reason;
	pending = bpf_ringbuf_query(&events, BPF_RB_AVAIL_DATA);
	bpf_ringbuf_submit(e, pending - wakeup_bytes < WAKEUPS * sizeof(*e) ? BPF_RB_FORCE_WAKEUP
									    : BPF_RB_NO_WAKEUP);
	return 0;
}
