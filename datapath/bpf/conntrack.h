// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Flows: asked first, so that the steady state costs one lookup.
 *
 * A flow has one entry, whichever way its packets go, and in it two sides: the
 * allowance of the initiator's endpoint and that of the responder's. A side
 * counts only under the very cell (policy and incarnation of the endpoint) and
 * the address epoch it was given under, and only for packets of the same
 * sender; otherwise the flow is judged again as it began, on whichever packet
 * comes next. So a change of policy, label or address takes hold of running
 * flows at once, and the loss of an entry never grants anything.
 *
 * A packet is judged as new, in its own direction, when
 * 1. there is no entry, or it rested for longer than its state allows;
 * 2. it is a bare SYN and the flow is ending, or comes from the responder;
 * 3. the entry is from an earlier endpoint on the same address;
 * 4. it answers a flow that this endpoint never allowed.
 */
#pragma once

#include "identity.h"
#include "policy.h"

/* Ticks of FLOW_CLOCK_SHIFT (1.07 s) after which a silent flow is forgotten. */
#define IDLE_SHORTEST 9
#define IDLE_OPENING 56
#define IDLE_ANSWERED 7450
#define IDLE_DATAGRAM 56

#define FLOW_FINISHED (FLOW_FIN_INITIATOR | FLOW_FIN_RESPONDER)
#define FLOW_ENDING (FLOW_FINISHED | FLOW_RESET)

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

/* Where a flow lies. */
struct place {
	struct flow *flow;
	__u32 *tag;
	__u32 *expires;
};

INLINE __u32 flow_tag(__u64 bound)
{
	return (__u32)bound | 1;
}

/* The second bucket follows from the first and the tag, and the first from the second. */
INLINE __u32 flow_index(__u64 bound, bool second)
{
	__u32 index = bound >> 32;

	if (second)
		index ^= flow_tag(bound) * 0x5bd1e995U;
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
 *   31            4 3   0
 *  +---------------+-----+
 *  |  bucket + 1   | way |
 *  +---------------+-----+
 */
#define SPOT_WAY_MASK 0xfU
#define SPOT_BUCKET_SHIFT 4

INLINE __u32 spot_of(__u32 bucket, __u32 way)
{
	return (bucket + 1) << SPOT_BUCKET_SHIFT | way;
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
	__u32 tag = flow_tag(bound);

	if (!key)
		return 0;
	for (int choice = 0; choice < 2; choice++) {
		__u32 index = flow_index(bound, choice);
		struct flow_bucket *b = bpf_map_lookup_elem(&flows, &index);

		if (!b)
			return 0;
#pragma unroll
		for (int way = 0; way < FLOW_WAYS; way++) {
			if (likely(READ_ONCE(b->tag[way]) != tag))
				continue;
			if (same_key(&b->flow[way].key, key) &&
			    !((READ_ONCE(b->flow[way].origin) ^ bound) & ~1ULL))
				return spot_of(index, way);
		}
	}
	return 0;
}

INLINE __u32 tick_of(__u64 now)
{
	return now >> FLOW_CLOCK_SHIFT;
}

/* False, and yet @at may hold the flow: it is over then, and its place is the next one's. */
INLINE bool flow_find(const struct flow_key *key, __u64 bound, __u64 now, struct place *at)
{
	__u32 spot = flow_seek(key, bound);

	at->flow = NULL;
	if (!spot || !place_at(spot, at))
		return false;
	return (__s32)(tick_of(now) - READ_ONCE(*at->expires)) <= 0;
}

/* How long a flow may rest, in ticks. */
INLINE __u32 flow_idle(__u32 protocol, __u32 state)
{
	if ((__u8)protocol != IPPROTO_TCP)
		return IDLE_DATAGRAM;
	if (state & FLOW_RESET || (state & FLOW_FINISHED) == FLOW_FINISHED)
		return IDLE_SHORTEST;
	return state & FLOW_ANSWERED ? IDLE_ANSWERED : IDLE_OPENING;
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
INLINE bool flow_room(__u64 bound, __u64 now, struct place *at)
{
	__u32 index = flow_index(bound, false), other = flow_index(bound, true);
	__u64 here = flow_offer(index, tick_of(now)), there = flow_offer(other, tick_of(now));

	/* Without the way, which says nothing of better or worse. */
	if ((there & ~(0xffULL << 32)) > (here & ~(0xffULL << 32))) {
		index = other;
		here = there;
	}
	return place_at(spot_of(index, here >> 32 & (FLOW_WAYS - 1)), at);
}

/* Keeps the clock and the TCP state. */
INLINE void flow_touch(struct place *at, struct crossing *c, const struct packet *p, bool forward)
{
	struct flow *flow = at->flow;
	__u32 news = 0, old, until;

	if (!forward)
		news = FLOW_ANSWERED;
	if (p->tcp_flags & TCP_FIN)
		news |= forward ? FLOW_FIN_INITIATOR : FLOW_FIN_RESPONDER;
	if (p->tcp_flags & TCP_RST)
		news |= FLOW_RESET;
	old = READ_ONCE(flow->state);
	until = tick_of(c->now) + flow_idle(p->protocol, old | news);
	if (unlikely(*at->expires != until))
		WRITE_ONCE(*at->expires, until);
	if (likely(!(news & ~old)))
		return;
	old = __sync_fetch_and_or(&flow->state, news);
	news |= old;
	c->closed = !(old & FLOW_RESET) && (old & FLOW_FINISHED) != FLOW_FINISHED &&
		    (news & FLOW_RESET || (news & FLOW_FINISHED) == FLOW_FINISHED);
}

/* The port the flow was opened to, read from an answer. */
INLINE __be16 opened_port(const struct packet *p)
{
	if (p->flags & PACKET_ECHO_REPLY)
		return bpf_htons(p->family == 4 ? 8 : 128);
	return p->flags & PACKET_PORTLESS ? 0 : p->source_port;
}

/* Asks the policy of the endpoint; c->peer is known. 0, or the reason. */
INLINE int flow_judge(struct crossing *c, const struct packet *p, __u8 direction, __be16 port)
{
	struct policy_key key = {
		.length = p->flags & PACKET_PORTLESS ? POLICY_LENGTH_PROTOCOL : POLICY_LENGTH_FULL,
		.identity = c->peer,
		.direction = direction,
		.protocol = p->protocol,
		.port = port,
	};
	struct ruling r = {};

	policy_judge(c->cell, &key, &r);
	c->cookie = r.cookie;
	c->match = r.match;
	if (p->flags & PACKET_PORTLESS && r.reason == DROP_POLICY_DENIED)
		return DROP_UNKNOWN_L4;
	return r.reason;
}

/*
 * Writes the entry of a flow that this packet begins, with @state and, under
 * c->cell, its own side. @at is its place if it has one. While the place
 * changes hands it bears no tag, and whoever holds it still finds nothing there
 * that is bound to his key. False: there is no room.
 */
INLINE bool flow_open(struct crossing *c, const struct packet *p, const struct flow_key *key,
		      __u64 bound, bool upper, __u32 state, struct place *at)
{
	bool leaving = c->direction == DIRECTION_EGRESS;
	struct side *own, *other;

	if (!at->flow && !flow_room(bound, c->now, at))
		return false;
	if (p->tcp_flags & TCP_FIN)
		state |= FLOW_FIN_INITIATOR;
	if (p->tcp_flags & TCP_RST)
		state |= FLOW_RESET;
	own = leaving ? &at->flow->side[SIDE_INITIATOR] : &at->flow->side[SIDE_RESPONDER];
	other = leaving ? &at->flow->side[SIDE_RESPONDER] : &at->flow->side[SIDE_INITIATOR];
	WRITE_ONCE(*at->tag, 0);
	WRITE_ONCE(own->cell, 0);
	WRITE_ONCE(other->cell, 0);
	at->flow->key = *key;
	WRITE_ONCE(other->proof, 0);
	WRITE_ONCE(own->stamp, c->stamp);
	WRITE_ONCE(own->cookie, c->cookie);
	WRITE_ONCE(own->proof, bound ^ c->address_epoch);
	WRITE_ONCE(at->flow->state, state);
	WRITE_ONCE(at->flow->origin, (bound & ~1ULL) | upper);
	WRITE_ONCE(*at->expires, tick_of(c->now) + flow_idle(p->protocol, state));
	WRITE_ONCE(own->cell, c->cell);
	WRITE_ONCE(*at->tag, flow_tag(bound));
	return true;
}

/* A flow that this packet begins. 0, or the reason to drop. */
INLINE int flow_begin(struct crossing *c, const struct packet *p, const struct flow_key *key,
		      __u64 bound, bool upper, struct place *at)
{
	int reason;

	c->reply = REPLY_NO;
	reason = flow_judge(c, p, c->direction, p->port);
	if (reason)
		return reason;
	if (!flow_open(c, p, key, bound, upper, 0, at))
		return DROP_CONNTRACK_INSERT;
	c->report = true;
	return 0;
}

/* Judged again as it began. The cell goes last: it is what makes a side count. */
INLINE int flow_renew(struct crossing *c, const struct packet *p, struct side *side, __u64 proof,
		      bool initiator, bool forward)
{
	int reason = flow_judge(c, p, initiator ? DIRECTION_EGRESS : DIRECTION_INGRESS,
				forward ? p->port : opened_port(p));

	if (reason)
		return reason;
	c->report = !side->cell || side->cookie != c->cookie;
	WRITE_ONCE(side->cell, 0);
	WRITE_ONCE(side->stamp, c->stamp);
	WRITE_ONCE(side->cookie, c->cookie);
	WRITE_ONCE(side->proof, proof);
	WRITE_ONCE(side->cell, c->cell);
	return 0;
}

/* An echo reply that is no answer is a message of its own, which opens nothing. With
 * identifier 0 both ends of an echo look alike, and the one who asked may have sent it. */
INLINE bool flow_unasked(struct crossing *c, struct packet *p, struct flow_key *key, __u64 *bound,
			 bool *upper, struct place *at)
{
	p->flags = (p->flags & ~PACKET_ECHO_REPLY) | PACKET_ONE_WAY;
	*upper = flow_key(p, key);
	*bound = flow_bind(key, c->secret);
	return flow_find(key, *bound, c->now, at);
}

/* The whole judgement of an ordinary packet. 0, or the reason to drop. */
INLINE int flow_cross(struct crossing *c, const struct endpoint *ep, struct packet *p)
{
	bool upper, forward, initiator, syn, never, found;
	__u64 bound, proof, cell;
	struct place at = {};
	struct flow_key key;
	struct flow *flow;
	struct side *side;
	int reason;

	upper = flow_key(p, &key);
	bound = flow_bind(&key, c->secret);
	found = flow_find(&key, bound, c->now, &at);
	if (unlikely(p->flags & PACKET_ECHO_REPLY) && (!found || upper == (at.flow->origin & 1)))
		found = flow_unasked(c, p, &key, &bound, &upper, &at);
	if (!found)
		goto fresh;
	flow = at.flow;
	forward = upper == (flow->origin & 1);
	initiator = forward == (c->direction == DIRECTION_EGRESS);
	c->reply = forward ? REPLY_NO : REPLY_YES;
	syn = (p->tcp_flags & (TCP_SYN | TCP_ACK)) == TCP_SYN;
	if (unlikely(syn) && (!forward || READ_ONCE(flow->state) & FLOW_ENDING))
		goto fresh;

	side = initiator ? &flow->side[SIDE_INITIATOR] : &flow->side[SIDE_RESPONDER];
	proof = bound ^ c->address_epoch;
	cell = READ_ONCE(side->cell);
	if (likely(cell == c->cell && side->proof == proof &&
		   (c->direction == DIRECTION_EGRESS || side->stamp == c->stamp))) {
		flow_touch(&at, c, p, forward);
		return 0;
	}
	never = !cell;
	if (!never && cell >> CELL_EPOCH_SHIFT < ep->born)
		goto fresh;
	reason = find_peer(c, p);
	if (reason)
		return reason;
	reason = flow_renew(c, p, side, proof, initiator, forward);
	if (!reason) {
		flow_touch(&at, c, p, forward);
		return 0;
	}
	if (forward || !never)
		return reason;
fresh:
	if (unlikely(p->flags & PACKET_ECHO_REPLY))
		flow_unasked(c, p, &key, &bound, &upper, &at);
	reason = find_peer(c, p);
	if (reason)
		return reason;
	return flow_begin(c, p, &key, bound, upper, &at);
}
