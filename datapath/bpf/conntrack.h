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
 * 3. the entry is older than the endpoint;
 * 4. it answers a flow that this endpoint never allowed.
 */
#pragma once

#include "flow.h"
#include "policy.h"
#include "proof.h"

/* Ticks of FLOW_CLOCK_SHIFT (1.07 s) after which a silent flow is forgotten. */
#define IDLE_SHORTEST 9
#define IDLE_OPENING 56
#define IDLE_ANSWERED 7450
#define IDLE_DATAGRAM 56

#define FLOW_FINISHED (FLOW_FIN_INITIATOR | FLOW_FIN_RESPONDER)
#define FLOW_ENDING (FLOW_FINISHED | FLOW_RESET)

/* How long a flow may rest, in ticks. */
INLINE __u32 flow_idle(__u32 protocol, __u32 state)
{
	if ((__u8)protocol != IPPROTO_TCP)
		return IDLE_DATAGRAM;
	if (state & FLOW_RESET || (state & FLOW_FINISHED) == FLOW_FINISHED)
		return IDLE_SHORTEST;
	return state & FLOW_ANSWERED ? IDLE_ANSWERED : IDLE_OPENING;
}

INLINE __u32 handshake_clock(void)
{
	return bpf_ktime_get_ns() >> FLOW_HANDSHAKE_SHIFT;
}

/* What this packet adds to the state of its flow. */
INLINE __u32 flow_news(const struct packet *p, __u32 state, bool forward)
{
	__u32 news = forward ? 0 : FLOW_ANSWERED;

	if (p->tcp_flags & TCP_FIN)
		news |= forward ? FLOW_FIN_INITIATOR : FLOW_FIN_RESPONDER;
	if (p->tcp_flags & TCP_RST)
		news |= FLOW_RESET;
	if (forward && p->tcp_flags & TCP_ACK && state & FLOW_ANSWERED)
		news |= FLOW_ESTABLISHED;
	return news & ~state;
}

/* Rare: the flow is answered, established, or ends. */
static __noinline int flow_advance(struct flow *flow, struct crossing *c, __u32 news)
{
	__u32 old;

	if (!flow || !c)
		return 0;
	old = __sync_fetch_and_or(&flow->state, news);
	if (news & ~old & FLOW_ESTABLISHED)
		WRITE_ONCE(flow->handshake, handshake_clock() - flow->handshake);
	news |= old;
	c->closed = !(old & FLOW_RESET) && (old & FLOW_FINISHED) != FLOW_FINISHED &&
		    (news & FLOW_RESET || (news & FLOW_FINISHED) == FLOW_FINISHED);
	return 0;
}

/* Has a round of ticks ended since the last packet, some ticks ago? */
INLINE bool trace_due(__u32 tick, __u32 since)
{
	return trace_ticks && tick % trace_ticks < since;
}

/*
 * Keeps the clock, the state and the counts. Who counts is the first hook that
 * sees the packet: the sender's, if there is one.
 */
INLINE void flow_touch(struct place *at, struct crossing *c, const struct packet *p, bool forward)
{
	__u32 sender = forward ? SIDE_INITIATOR : SIDE_RESPONDER;
	struct flow *flow = at->flow;
	__u32 state = READ_ONCE(flow->state), news = flow_news(p, state, forward), until;

	until = tick_of(c->now) + flow_idle(p->protocol, state | news);
	if (unlikely(READ_ONCE(*at->expires) != until)) {
		c->traced |= trace_due(tick_of(c->now), until - *at->expires);
		WRITE_ONCE(*at->expires, until);
	}
	c->traced |= trace_ticks == TRACE_PACKETS || (news && trace_ticks);
	if (c->direction == DIRECTION_EGRESS || !flow->side[sender].seal) {
		flow->bytes[sender] += c->length;
		flow->packets[sender] += 1;
	}
	if (unlikely(news))
		flow_advance(flow, c, news);
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
 * When a flow began that this incarnation of the endpoint knows: later than the
 * endpoint, though the clock has not moved on, so that all others are older.
 */
INLINE __u32 opened_after(const struct endpoint *ep, __u64 opened)
{
	return opened > ep->born ? opened : ep->born + 1;
}

/* So far opened_after() may run ahead of the clock: a tick with each endpoint that is
 * born, though there be many in one. */
#define BIRTHS_AHEAD (1ULL << 20)

INLINE __u64 opened_at(const struct flow *flow, __u64 now)
{
	__u64 soon = (now >> FLOW_AGE_SHIFT) + BIRTHS_AHEAD;

	return soon - (__u32)((__u32)soon - READ_ONCE(flow->opened));
}

/* The seal goes last: it is what makes a side count. */
INLINE void side_give(struct flow *flow, __u32 index, struct crossing *c, __u64 bound)
{
	struct side *side = &flow->side[index & 1];

	WRITE_ONCE(side->stamp, stamp_shown(c));
	WRITE_ONCE(side->cookie, c->cookie);
	WRITE_ONCE(flow->slot[index & 1], c->slot);
	WRITE_ONCE(side->seal, c->cell ? seal_of(c, bound, c->cell) : 0);
}

/* Which side is asked: the one whose end this hook belongs to. */
INLINE __u32 own_side(const struct crossing *c, bool forward)
{
	return forward == (c->direction == DIRECTION_EGRESS) ? SIDE_INITIATOR : SIDE_RESPONDER;
}

/* A bare SYN begins anew what is ending, and whatever comes from the responder. */
INLINE bool begins_anew(const struct packet *p, const struct flow *flow, bool forward)
{
	return (p->tcp_flags & (TCP_SYN | TCP_ACK)) == TCP_SYN &&
	       (!forward || READ_ONCE(flow->state) & FLOW_ENDING);
}

/*
 * Writes the entry of a flow that this packet begins, with @state and, under
 * c->cell, its own side. While the place changes hands it bears no tag, and
 * whoever holds it still finds nothing there that is bound to his key. False:
 * there is no room.
 */
INLINE bool flow_open(struct crossing *c, const struct endpoint *ep, const struct packet *p,
		      const struct track *t, __u32 state)
{
	bool syn = (p->tcp_flags & (TCP_SYN | TCP_ACK)) == TCP_SYN && p->protocol == IPPROTO_TCP;
	struct place at;
	struct flow *flow;

	if (!place_at(t->spot ? t->spot : flow_room(t->bound, c->now), &at))
		return false;
	if (!syn)
		state |= FLOW_ESTABLISHED;
	if (p->tcp_flags & TCP_FIN)
		state |= FLOW_FIN_INITIATOR;
	if (p->tcp_flags & TCP_RST)
		state |= FLOW_RESET;
	flow = at.flow;
	WRITE_ONCE(*at.tag, 0);
	WRITE_ONCE(flow->side[0].seal, 0);
	WRITE_ONCE(flow->side[1].seal, 0);
	flow->key = t->key;
	WRITE_ONCE(flow->state, state);
	WRITE_ONCE(flow->opened, opened_after(ep, c->now >> FLOW_AGE_SHIFT));
	WRITE_ONCE(flow->handshake, syn ? handshake_clock() : 0);
	flow->bytes[SIDE_INITIATOR] = c->length;
	flow->bytes[SIDE_RESPONDER] = 0;
	flow->packets[SIDE_INITIATOR] = 1;
	flow->packets[SIDE_RESPONDER] = 0;
	WRITE_ONCE(*at.expires, tick_of(c->now) + flow_idle(p->protocol, state));
	side_give(flow, own_side(c, true), c, t->bound);
	WRITE_ONCE(*at.tag, flow_tag(t->bound) | t->upper);
	return true;
}

/* An echo reply that is no answer is a message of its own, which opens nothing. */
INLINE void flow_unasked(struct crossing *c, struct packet *p, struct track *t)
{
	struct place at;

	p->flags = (p->flags & ~PACKET_ECHO_REPLY) | PACKET_ONE_WAY;
	flow_track(c, p, t, &at);
}

/* With identifier 0 both ends of an echo look alike, and the one who asked may
 * have sent the answer: it is none. */
INLINE bool answers_itself(const struct packet *p, bool forward)
{
	return p->flags & PACKET_ECHO_REPLY && forward;
}

/* A flow that this packet begins. 0, or the reason to drop. */
__noinline int flow_begin(struct crossing *c, const struct endpoint *ep, struct packet *p,
			  struct track *t)
{
	int reason;

	if (!c || !ep || !p || !t)
		return DROP_CONNTRACK_INSERT;
	if (unlikely(p->flags & PACKET_ECHO_REPLY))
		flow_unasked(c, p, t);
	c->reply = REPLY_NO;
	reason = find_peer(c, p);
	if (!reason)
		reason = flow_judge(c, p, c->direction, p->port);
	if (reason)
		return reason;
	if (!flow_open(c, ep, p, t, 0))
		return DROP_CONNTRACK_INSERT;
	c->report = true;
	return 0;
}

/* Judged again as it began; c->peer is known. */
INLINE int flow_renew(struct crossing *c, const struct packet *p, const struct track *t,
		      struct place *at)
{
	bool forward = goes_forward(t);
	__u32 index = own_side(c, forward);
	struct side *side = &at->flow->side[index & 1];
	int reason =
		flow_judge(c, p, index == SIDE_INITIATOR ? DIRECTION_EGRESS : DIRECTION_INGRESS,
			   forward ? p->port : opened_port(p));

	if (reason)
		return reason;
	c->report = !side->seal || side->cookie != c->cookie;
	WRITE_ONCE(side->seal, 0);
	side_give(at->flow, index, c, t->bound);
	flow_touch(at, c, p, forward);
	return 0;
}

/* To a group of processes one speaks as to the host, and so it answers. */
INLINE bool answers_as_host(const struct crossing *c)
{
	return c->direction == DIRECTION_INGRESS && (c->stamp & MARK_MAGIC_MASK) == MARK_GROUP &&
	       c->peer == identity_of(c->stamp);
}

#define FLOW_BEGINS (-1) /* whatever there was, this packet begins a flow */

/* What no allowance covers. 0, FLOW_BEGINS, or the reason to drop. */
__noinline int flow_decide(struct crossing *c, const struct endpoint *ep, struct packet *p,
			   struct track *t)
{
	bool forward, never;
	struct place at;
	int reason;

	if (!c || !ep || !p || !t)
		return DROP_CONNTRACK_INSERT;
	if (p->flags & PACKET_ECHO_REPLY && (!t->found || goes_forward(t)))
		flow_unasked(c, p, t);
	if (!t->found || !place_at(t->spot, &at))
		return FLOW_BEGINS;
	forward = goes_forward(t);
	if (begins_anew(p, at.flow, forward) || opened_at(at.flow, c->now) <= ep->born)
		return FLOW_BEGINS;
	c->reply = forward ? REPLY_NO : REPLY_YES;
	never = !READ_ONCE(at.flow->side[own_side(c, forward) & 1].seal);
	reason = find_peer(c, p);
	if (reason)
		return reason;
	if (!forward && answers_as_host(c))
		c->peer = IDENTITY_HOST;
	reason = flow_renew(c, p, t, &at);
	return !reason || forward || !never ? reason : FLOW_BEGINS;
}

/* The whole judgement of an ordinary packet. 0, or the reason to drop. */
INLINE int flow_cross(struct crossing *c, const struct endpoint *ep, struct packet *p)
{
	bool leaving = c->direction == DIRECTION_EGRESS, forward;
	struct track t = {};
	struct place at;
	struct side *side;
	__u32 own;
	int reason;

	flow_track(c, p, &t, &at);
	c->spot = t.spot;
	if (unlikely(!t.found))
		goto decide;
	forward = goes_forward(&t);
	own = own_side(c, forward);
	side = &at.flow->side[own & 1];
	if (unlikely(READ_ONCE(side->seal) != seal_of(c, t.bound, c->cell)) ||
	    unlikely(!leaving && side->stamp != stamp_shown(c)) ||
	    unlikely(begins_anew(p, at.flow, forward)) || unlikely(answers_itself(p, forward)))
		goto decide;
	c->reply = forward ? REPLY_NO : REPLY_YES;
	flow_touch(&at, c, p, forward);
	if (leaving)
		both_allow(c, ep, p, at.flow, own ^ 1, t.bound);
	return 0;
decide:
	reason = flow_decide(c, ep, p, &t);
	return reason == FLOW_BEGINS ? flow_begin(c, ep, p, &t) : reason;
}
