// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The table of flows: what one is called, where it lies, who has to make room. */
#pragma once

#include "endpoint.h"

/* Sorts the ends. True: the packet comes from the upper one. */
INLINE bool flow_key(const struct packet *p, struct flow_key *key)
{
	__u32 ports = p->flags & PACKET_ONE_WAY ? 0xffff0000U | p->port : p->ports;
	const union address *s = &p->source, *d = &p->destination;
	bool upper;

	upper = s->half[0] != d->half[0]   ? s->half[0] > d->half[0]
		: s->half[1] != d->half[1] ? s->half[1] > d->half[1]
					   : (__u16)ports > ports >> 16;
	key->end[0] = upper ? *d : *s;
	key->end[1] = upper ? *s : *d;
	key->ports = upper ? ports >> 16 | ports << 16 : ports;
	key->protocol = p->protocol | (p->flags & PACKET_ONE_WAY ? FLOW_ONE_WAY : 0);
	return upper;
}

/*
 * Binds what is written into an entry to its key: an entry may be given to
 * another flow while a processor still holds it, and what is written then
 * must mean nothing there. Multilinear under odd multipliers that only this
 * node knows, so that nobody can choose flows that meet (Dietzfelbinger 1996).
 */
INLINE __u64 flow_bind(const struct flow_key *key, __u64 secret)
{
	__u64 rest = key->ports | (__u64)key->protocol << 32;
	__u64 bound = secret;

	bound += key->end[0].half[0] * (0x9e3779b97f4a7c15ULL ^ secret << 1);
	bound += key->end[0].half[1] * (0xc2b2ae3d27d4eb4fULL ^ secret << 2);
	bound += key->end[1].half[0] * (0x165667b19e3779f9ULL ^ secret << 3);
	bound += key->end[1].half[1] * (0xd6e8feb86659fd93ULL ^ secret << 4);
	bound += rest * (0xff51afd7ed558ccdULL ^ secret << 5);
	bound ^= bound >> 32;
	bound *= 0xd6e8feb86659fd93ULL;
	return bound ^ bound >> 32;
}

/*
 * What an allowance stands on, in one word: this flow, this policy of this
 * incarnation of the endpoint, these addresses. Epochs spread over the whole
 * word by a multiplier that only this node knows, so that no two of them can
 * make up for each other.
 */
INLINE __u64 seal_of(const struct crossing *c, __u64 bound, __u64 cell)
{
	return bound ^ cell ^ c->address_epoch * (0x9ddfea08eb382d69ULL ^ c->secret << 6);
}

/* Where a flow lies. */
struct place {
	struct flow *flow;
	__u32 *tag;
	__u32 *expires;
};

/* Bit 0 is for who began, and bit 1 says that somebody did. */
#define TAG_UPPER 1U
#define TAG_TAKEN 2U

INLINE __u32 flow_tag(__u64 bound)
{
	return ((__u32)bound | TAG_TAKEN) & ~TAG_UPPER;
}

/* The second bucket follows from the first and the tag, and the first from the second. */
INLINE __u32 flow_index(__u64 bound, bool second)
{
	__u32 index = bound >> 32;

	if (second)
		index ^= (flow_tag(bound) | 1) * 0x5bd1e995U;
	return index & flow_mask;
}

INLINE bool same_key(const struct flow_key *a, const struct flow_key *b)
{
	const __u64 *x = (const __u64 *)a, *y = (const __u64 *)b;

	return !((x[0] ^ y[0]) | (x[1] ^ y[1]) | (x[2] ^ y[2]) | (x[3] ^ y[3]) | (x[4] ^ y[4]));
}

/*
 * A place as a number, so that the verifier follows one path from here on and
 * not one for each place: 0 nowhere, else
 *
 *   31            4   3   2   0
 *  +---------------+-----+-----+
 *  |  bucket + 1   |upper| way |
 *  +---------------+-----+-----+
 */
#define SPOT_UPPER_SHIFT 3
#define SPOT_BUCKET_SHIFT 4

INLINE __u32 spot_of(__u32 bucket, __u32 way, __u32 upper)
{
	return (bucket + 1) << SPOT_BUCKET_SHIFT | upper << SPOT_UPPER_SHIFT | way;
}

INLINE bool place_at(__u32 spot, struct place *at)
{
	__u32 index = (spot >> SPOT_BUCKET_SHIFT) - 1, way = spot & (FLOW_WAYS - 1);
	struct flow_bucket *b = bpf_map_lookup_elem(&flows, &index);

	if (!b)
		return false;
	at->flow = &b->flow[way];
	at->tag = &b->tag[way];
	at->expires = &b->expires[way];
	return true;
}

/* The spot of a flow, over or not; 0 if it has none. */
__noinline __u32 flow_seek(const struct flow_key *key, __u64 bound)
{
	__u32 want = flow_tag(bound);

	if (!key)
		return 0;
	for (int choice = 0; choice < 2; choice++) {
		__u32 index = flow_index(bound, choice);
		struct flow_bucket *b = bpf_map_lookup_elem(&flows, &index);

		if (!b)
			return 0;
#pragma unroll
		for (int way = 0; way < FLOW_WAYS; way++) {
			__u32 tag = READ_ONCE(b->tag[way]);

			if (likely((tag & ~TAG_UPPER) != want))
				continue;
			if (same_key(&b->flow[way].key, key))
				return spot_of(index, way, tag & TAG_UPPER);
		}
	}
	return 0;
}

INLINE __u32 tick_of(__u64 now)
{
	return now >> FLOW_CLOCK_SHIFT;
}

/* The flow of one packet. No pointers: functions that the verifier looks at once
 * may take it. */
struct track {
	struct flow_key key;
	__u64 bound;
	__u32 spot;  /* where it lies, over or not; 0 nowhere */
	__u8 found;  /* it is not over */
	__u8 upper;  /* the packet comes from the upper end */
	__u8 began;  /* the upper end began */
	__u8 unused;
};

/* @at: the place, if there is one. */
INLINE void flow_track(const struct crossing *c, const struct packet *p, struct track *t,
		       struct place *at)
{
	t->upper = flow_key(p, &t->key);
	t->bound = flow_bind(&t->key, c->secret);
	t->spot = flow_seek(&t->key, t->bound);
	t->began = t->spot >> SPOT_UPPER_SHIFT & 1;
	t->found = t->spot && place_at(t->spot, at) &&
		   (__s32)(tick_of(c->now) - READ_ONCE(*at->expires)) <= 0;
}

INLINE bool goes_forward(const struct track *t)
{
	return t->upper == t->began;
}

/*
 * What a bucket offers to a flow that is nowhere, the more the better:
 *
 *   63           40 39          32 31                      0
 *  +---------------+--------------+-------------------------+
 *  |  ways free    |     way      |  ~ticks until it ends   |
 *  +---------------+--------------+-------------------------+
 *
 * A way is free if nobody has it or its flow is over; else the one is offered
 * whose flow ends first.
 */
__noinline __u64 flow_offer(__u32 index, __u32 tick)
{
	struct flow_bucket *b = bpf_map_lookup_elem(&flows, &index);
	__u32 free = 0, way = 0, best = 0;

	if (!b)
		return 0;
	for (__u32 i = 0; i < FLOW_WAYS; i++) {
		__s32 left = (__s32)(READ_ONCE(b->expires[i]) - tick);
		bool over = !READ_ONCE(b->tag[i]) || left < 0;
		__u32 soon = over ? ~0U : ~(__u32)left;

		free += over;
		if (soon > best) {
			best = soon;
			way = i;
		}
	}
	return (__u64)free << 40 | (__u64)way << 32 | best;
}

/*
 * Room for a flow that is nowhere: in the roomier of its two buckets, which
 * lets three quarters of the table fill with hardly a loss (Azar et al. 1999).
 * Where both are full the flow goes that would end first.
 */
INLINE __u32 flow_room(__u64 bound, __u64 now)
{
	__u32 index = flow_index(bound, false), other = flow_index(bound, true);
	__u64 here = flow_offer(index, tick_of(now)), there = flow_offer(other, tick_of(now));

	/* Without the way, which says nothing of better or worse. */
	if ((there & ~(0xffULL << 32)) > (here & ~(0xffULL << 32))) {
		index = other;
		here = there;
	}
	return spot_of(index, here >> 32 & (FLOW_WAYS - 1), 0);
}
