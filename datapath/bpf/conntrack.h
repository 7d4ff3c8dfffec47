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

/* Binds what is written into an entry to its key: an entry may be given to
 * another flow while a processor still holds it, and what is written then
 * must mean nothing there. Multilinear, odd constants. */
INLINE __u64 flow_bind(const struct flow_key *key)
{
	__u64 rest = key->ports | (__u64)key->protocol << 32;

	return key->end[0].half[0] * 0x9e3779b97f4a7c15ULL +
	       key->end[0].half[1] * 0xc2b2ae3d27d4eb4fULL +
	       key->end[1].half[0] * 0x165667b19e3779f9ULL +
	       key->end[1].half[1] * 0xd6e8feb86659fd93ULL + rest * 0xff51afd7ed558ccdULL;
}

INLINE bool flow_expired(const struct flow *flow, __u8 protocol, __u64 now)
{
	__u32 idle = (__u32)(now >> FLOW_CLOCK_SHIFT) - READ_ONCE(flow->seen);
	__u32 state;

	if (likely(idle <= IDLE_SHORTEST) || (__s32)idle < 0)
		return false;
	if (protocol != IPPROTO_TCP)
		return idle > IDLE_DATAGRAM;
	state = READ_ONCE(flow->state);
	if (state & FLOW_RESET || (state & FLOW_FINISHED) == FLOW_FINISHED)
		return true;
	return idle > (state & FLOW_ANSWERED ? IDLE_ANSWERED : IDLE_OPENING);
}

INLINE struct flow *flow_find(const struct flow_key *key, __u64 bound, __u64 now)
{
	struct flow *flow = bpf_map_lookup_elem(&flows, key);

	if (!flow || unlikely((READ_ONCE(flow->origin) ^ bound) & ~1ULL))
		return NULL;
	return flow_expired(flow, key->protocol, now) ? NULL : flow;
}

/* Keeps the clock and the TCP state. */
INLINE void flow_touch(struct flow *flow, struct crossing *c, const struct packet *p, bool forward)
{
	__u32 tick = c->now >> FLOW_CLOCK_SHIFT, news = 0, old;

	if (unlikely(flow->seen != tick))
		WRITE_ONCE(flow->seen, tick);
	if (!forward)
		news = FLOW_ANSWERED;
	if (p->tcp_flags & TCP_FIN)
		news |= forward ? FLOW_FIN_INITIATOR : FLOW_FIN_RESPONDER;
	if (p->tcp_flags & TCP_RST)
		news |= FLOW_RESET;
	if (likely(!(news & ~READ_ONCE(flow->state))))
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

/* A flow that this packet begins. 0, or the reason to drop. */
INLINE int flow_begin(struct crossing *c, const struct packet *p, const struct flow_key *key,
		      __u64 bound, bool upper)
{
	struct flow flow = {};
	struct side *side;
	int reason;

	c->reply = REPLY_NO;
	reason = flow_judge(c, p, c->direction, p->port);
	if (reason)
		return reason;
	side = &flow.side[c->direction == DIRECTION_EGRESS ? SIDE_INITIATOR : SIDE_RESPONDER];
	side->cell = c->cell;
	side->proof = bound ^ c->address_epoch;
	side->stamp = c->stamp;
	side->cookie = c->cookie;
	flow.origin = (bound & ~1ULL) | upper;
	flow.seen = c->now >> FLOW_CLOCK_SHIFT;
	if (p->tcp_flags & TCP_FIN)
		flow.state |= FLOW_FIN_INITIATOR;
	if (p->tcp_flags & TCP_RST)
		flow.state |= FLOW_RESET;
	if (bpf_map_update_elem(&flows, key, &flow, BPF_ANY))
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

/* The whole judgement of an ordinary packet. 0, or the reason to drop. */
INLINE int flow_cross(struct crossing *c, const struct endpoint *ep, struct packet *p)
{
	bool upper, forward, initiator, syn, never;
	__u64 bound, proof, cell;
	struct flow_key key;
	struct flow *flow;
	struct side *side;
	int reason;

	upper = flow_key(p, &key);
	bound = flow_bind(&key);
	flow = flow_find(&key, bound, c->now);
	if (!flow && p->flags & PACKET_ECHO_REPLY) {
		/* Nobody asked: a message of its own, which opens nothing. */
		p->flags = (p->flags & ~PACKET_ECHO_REPLY) | PACKET_ONE_WAY;
		upper = flow_key(p, &key);
		bound = flow_bind(&key);
		flow = flow_find(&key, bound, c->now);
	}
	if (!flow)
		goto fresh;

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
		flow_touch(flow, c, p, forward);
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
		flow_touch(flow, c, p, forward);
		return 0;
	}
	if (forward || !never)
		return reason;
fresh:
	reason = find_peer(c, p);
	if (reason)
		return reason;
	return flow_begin(c, p, &key, bound, upper);
}
