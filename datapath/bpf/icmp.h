// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * ICMP errors carry the head of the packet they complain about. They pass
 * when that packet belongs to a flow which the endpoint's policy allows at
 * this moment, whoever sends them. Any other error is a message like all
 * messages: policy judges its sender and its type. It begins no flow.
 */
#pragma once

#include "conntrack.h"

/* Ports of the quoted packet; 8 octets of its L4 header are there (RFC 792). */
INLINE int parse_quoted_l4(struct __sk_buff *skb, struct packet *q, __u32 end)
{
	__u8 *h = q->offset + 8 <= end ? header(skb, q->offset, 8) : NULL;

	if (!h)
		return DROP_TRUNCATED;
	switch (q->protocol) {
	case IPPROTO_TCP:
	case IPPROTO_UDP:
	case IPPROTO_SCTP:
		q->ports = *(__u32 *)h;
		return 0;
	case IPPROTO_ICMP:
		parse_icmp(q, h, 8, 0);
		break;
	case IPPROTO_ICMPV6:
		parse_icmp(q, h, 128, 129);
		break;
	default:
		return 0;
	}
	/* An error about an error is none (RFC 1122, RFC 4443). */
	return q->flags & PACKET_ICMP_ERROR ? DROP_UNKNOWN_FLOW : 0;
}

INLINE int parse_quoted(struct __sk_buff *skb, const struct packet *p, struct packet *q)
{
	__u32 at = p->offset + 8;

	q->family = p->family;
	if (p->family == 4) {
		struct iphdr *ip = p->end >= at + sizeof(*ip) ? header(skb, at, sizeof(*ip)) : NULL;

		if (!ip)
			return DROP_TRUNCATED;
		if (*(__u8 *)ip >> 4 != 4 || (*(__u8 *)ip & 0xf) < 5 ||
		    ip->frag_off & bpf_htons(IPV4_FRAGMENT_OFFSET))
			return DROP_UNKNOWN_FLOW;
		q->source = mapped(ip->saddr);
		q->destination = mapped(ip->daddr);
		q->protocol = ip->protocol;
		q->offset = at + (*(__u8 *)ip & 0xf) * 4;
	} else {
		struct ipv6hdr *ip =
			p->end >= at + sizeof(*ip) ? header(skb, at, sizeof(*ip)) : NULL;

		if (!ip)
			return DROP_TRUNCATED;
		if (*(__u8 *)ip >> 4 != 6)
			return DROP_UNKNOWN_FLOW;
		__builtin_memcpy(&q->source, &ip->saddr, sizeof(q->source));
		__builtin_memcpy(&q->destination, &ip->daddr, sizeof(q->destination));
		q->protocol = ip->nexthdr;
		q->offset = at + sizeof(*ip);
	}
	return parse_quoted_l4(skb, q, p->end);
}

/* 0 if the error is about a flow that counts at this moment, or what is amiss. */
INLINE int error_relate(struct __sk_buff *skb, struct crossing *c, const struct packet *p)
{
	bool leaving = c->direction == DIRECTION_EGRESS;
	struct packet q = {};
	struct track t = {};
	struct place at;
	struct side *side;
	int reason;

	reason = parse_quoted(skb, p, &q);
	if (reason)
		return reason;
	/* The quoted packet came from the one who is told, and went to the one
	 * who complains, unless that is a router on the way to us. */
	if (!same(&q.source, &p->destination) || (leaving && !same(&q.destination, &p->source)))
		return DROP_UNKNOWN_FLOW;
	flow_track(c, &q, &t, &at);
	if (!t.found)
		return DROP_UNKNOWN_FLOW;
	side = &at.flow->side[goes_forward(&t) != leaving ? SIDE_INITIATOR : SIDE_RESPONDER];
	return READ_ONCE(side->seal) == seal_of(c, t.bound, c->cell) ? 0 : DROP_UNKNOWN_FLOW;
}

/* 0, or the reason to drop: a rule that denies, or else what is amiss with the quote. */
__noinline int error_cross(struct __sk_buff *skb, struct crossing *c, const struct packet *p)
{
	int reason, amiss, judged;

	if (!c || !p)
		return DROP_UNKNOWN_FLOW;
	reason = find_peer(c, p);
	if (reason)
		return reason;
	amiss = error_relate(skb, c, p);
	if (!amiss)
		return 0;
	judged = flow_judge(c, p, c->direction, p->port);
	return judged == DROP_POLICY_DENIED ? amiss : judged;
}
