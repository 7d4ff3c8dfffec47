// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The hooks of a group of processes (a cgroup) that is an endpoint on the node
 * itself, without a device or addresses of its own:
 *
 *   group_egress, group_ingress    every packet of its sockets
 *   group_connect4/6, group_sendmsg4/6    what cannot be allowed is refused at
 *                                  once (EPERM), before there is a packet
 *
 * Who sends is known by the socket, so there is nothing to forge. What leaves
 * bears the mark of the group, by which other endpoints of the node know it;
 * to it they speak as to the host, whose addresses it has. Its flows lie
 * apart from those that the other hooks see of the same packets.
 */
#pragma once

#include "cross.h"
#include "overlay.h"

#define GROUP_PASS 1
#define GROUP_REFUSE 0
#define GROUP_DEPTH 16           /* levels of the hierarchy that are looked at */
#define GROUP_SECRET 0x6a09e667f3bcc908ULL

#define IPV6_HEADER 40

/* The nearest group that holds the socket of a packet, or the calling process. */
INLINE struct endpoint *group_at(__u64 id)
{
	return id ? bpf_map_lookup_elem(&groups, &id) : NULL;
}

static __noinline __u64 group_of_packet(struct __sk_buff *skb)
{
	__u64 own = bpf_skb_cgroup_id(skb);

	if (likely(group_at(own)))
		return own;
	for (int level = GROUP_DEPTH; level >= 0; level--) {
		__u64 id = bpf_skb_ancestor_cgroup_id(skb, level);

		if (group_at(id))
			return id;
	}
	return 0;
}

static __noinline __u64 group_of_caller(void)
{
	__u64 own = bpf_get_current_cgroup_id();

	if (likely(group_at(own)))
		return own;
	for (int level = GROUP_DEPTH; level >= 0; level--) {
		__u64 id = bpf_get_current_ancestor_cgroup_id(level);

		if (group_at(id))
			return id;
	}
	return 0;
}

INLINE bool load(struct __sk_buff *skb, __u32 offset, void *to, __u32 size)
{
	return !bpf_skb_load_bytes_relative(skb, offset, to, size, BPF_HDR_START_NET);
}

/* L4 of what a socket sends or gets. */
INLINE int group_parse_l4(struct __sk_buff *skb, struct packet *p)
{
	__u8 h[14] = {};

	switch (p->protocol) {
	case IPPROTO_TCP:
		if (!load(skb, p->offset, h, 14))
			return DROP_TRUNCATED;
		p->tcp_flags = h[13];
		break;
	case IPPROTO_UDP:
	case IPPROTO_SCTP:
		if (!load(skb, p->offset, h, 8))
			return DROP_TRUNCATED;
		break;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		if ((p->protocol == IPPROTO_ICMP) != (p->family == 4)) {
			p->flags |= PACKET_PORTLESS;
			return 0;
		}
		if (!load(skb, p->offset, h, 8))
			return DROP_TRUNCATED;
		if (p->family == 4)
			parse_icmp(p, h, 8, 0);
		else
			parse_icmp(p, h, 128, 129);
		return 0;
	default:
		p->flags |= PACKET_PORTLESS;
		return 0;
	}
	__builtin_memcpy(&p->ports, h, sizeof(p->ports));
	p->port = p->destination_port;
	return 0;
}

/* A whole datagram: sockets neither see nor send fragments. No frame around
 * it, and the header was looked at by the stack. */
static __noinline int group_parse(struct __sk_buff *skb, struct packet *p)
{
	struct ipv6hdr v6 = {};
	struct iphdr v4 = {};

	if (!p || !load(skb, 0, &v4, sizeof(v4)))
		return DROP_INVALID_PACKET;
	if (*(__u8 *)&v4 >> 4 == 4) {
		p->family = 4;
		p->source = mapped(v4.saddr);
		p->destination = mapped(v4.daddr);
		p->protocol = v4.protocol;
		p->offset = (*(__u8 *)&v4 & 0xf) * 4;
		if (v4.frag_off & bpf_htons(IPV4_FRAGMENT_MORE | IPV4_FRAGMENT_OFFSET))
			return DROP_FRAGMENT;
		return group_parse_l4(skb, p);
	}
	if (*(__u8 *)&v4 >> 4 != 6 || !load(skb, 0, &v6, sizeof(v6)))
		return DROP_INVALID_PACKET;
	p->family = 6;
	__builtin_memcpy(&p->source, &v6.saddr, sizeof(p->source));
	__builtin_memcpy(&p->destination, &v6.daddr, sizeof(p->destination));
	if (is_mapped(&p->source) || is_mapped(&p->destination))
		return DROP_INVALID_PACKET;
	p->protocol = v6.nexthdr;
	p->offset = IPV6_HEADER;
	switch (p->protocol) {
	case IPPROTO_HOPOPTS:
	case IPPROTO_ROUTING:
	case IPPROTO_DSTOPTS:
	case IPPROTO_FRAGMENT:
	case IPPROTO_NONE:
		return DROP_EXTENSION_HEADER;
	}
	return group_parse_l4(skb, p);
}

INLINE struct crossing group_begin(struct __sk_buff *skb, __u8 direction)
{
	struct crossing c = crossing_begin(skb, direction);

	c.secret ^= GROUP_SECRET;
	c.slot = SLOT_NONE;
	return c;
}

/* 0, or the reason to drop. */
INLINE int group_cross(struct __sk_buff *skb, const struct endpoint *ep, struct crossing *c,
		       struct packet *p)
{
	int reason = admit(c, ep, group_parse(skb, p));

	if (unlikely(reason))
		return reason;
	if (c->direction == DIRECTION_EGRESS && unlikely(is_tunnel(c, p)) &&
	    !is_workload(&p->destination))
		return DROP_ENCAPSULATION;
	if (unlikely(p->flags & PACKET_ICMP_ERROR)) {
		/* The stack tells sockets of errors by itself; this is for raw ones. */
		reason = find_peer(c, p);
		return reason ? reason : flow_judge(c, p, c->direction, p->port);
	}
	return flow_cross(c, ep, p);
}

INLINE int group_judge(struct __sk_buff *skb, __u8 direction)
{
	struct crossing c = group_begin(skb, direction);
	struct endpoint *ep = group_at(group_of_packet(skb));
	struct packet p = {};
	int reason;

	if (direction == DIRECTION_INGRESS) {
		c.came_by = skb->ingress_ifindex;
		c.stamp = stamp_arriving(&c, skb->mark);
	}
	reason = group_cross(skb, ep, &c, &p);
	if (unlikely(reason)) {
		refuse(&c, ep, &p, reason);
		return GROUP_REFUSE;
	}
	report(&c, ep, &p);
	if (direction == DIRECTION_EGRESS && ep)
		set_mark(skb, stamp_for(ep->identity) ^ MARK_MAGIC ^ MARK_GROUP);
	return GROUP_PASS;
}

SEC("cgroup_skb/egress")
int group_egress(struct __sk_buff *skb)
{
	return group_judge(skb, DIRECTION_EGRESS);
}

SEC("cgroup_skb/ingress")
int group_ingress(struct __sk_buff *skb)
{
	return group_judge(skb, DIRECTION_INGRESS);
}

/*
 * May the calling process send to @p? Where only ingress policy allows it, the
 * datagram may be an answer, which group_egress knows.
 */
static __noinline int group_may_send(struct packet *p, __u16 own_port, __u32 ifindex)
{
	struct endpoint *ep = group_at(group_of_caller());
	struct crossing c = {
		.now = bpf_ktime_get_coarse_ns(),
		.ifindex = ifindex,
		.slot = SLOT_NONE,
		.direction = DIRECTION_EGRESS,
		.reply = REPLY_UNKNOWN,
	};
	int reason = DROP_UNKNOWN_ENDPOINT;

	if (!p)
		return GROUP_REFUSE;
	if (ep) {
		c.cell = READ_ONCE(ep->cell);
		find_peer(&c, p);
		reason = c.cell & CELL_READY ? flow_judge(&c, p, DIRECTION_EGRESS, p->port)
					     : DROP_NOT_READY;
	}
	if (!reason)
		return GROUP_PASS;
	if (ep && p->protocol == IPPROTO_UDP && c.cell & CELL_READY) {
		struct crossing answer = c;

		if (!flow_judge(&answer, p, DIRECTION_INGRESS, bpf_htons(own_port)))
			return GROUP_PASS;
	}
	refuse(&c, ep, p, reason);
	return GROUP_REFUSE;
}

INLINE int group_addressed(struct bpf_sock_addr *ctx, union address to)
{
	struct packet p = { .family = is_mapped(&to) ? 4 : 6, .destination = to };
	struct bpf_sock *sk = ctx->sk;
	__u16 own = 0;

	p.protocol = ctx->protocol;
	p.destination_port = (__be16)ctx->user_port;
	p.port = p.destination_port;
	if (sk)
		own = sk->src_port;
	if (p.protocol != IPPROTO_TCP && p.protocol != IPPROTO_UDP)
		return GROUP_PASS; /* its packets are judged */
	return group_may_send(&p, own, 0);
}

INLINE union address user_ipv6(struct bpf_sock_addr *ctx)
{
	union address a = { .word = { ctx->user_ip6[0], ctx->user_ip6[1], ctx->user_ip6[2],
				      ctx->user_ip6[3] } };

	return a;
}

SEC("cgroup/connect4")
int group_connect4(struct bpf_sock_addr *ctx)
{
	return group_addressed(ctx, mapped(ctx->user_ip4));
}

SEC("cgroup/connect6")
int group_connect6(struct bpf_sock_addr *ctx)
{
	return group_addressed(ctx, user_ipv6(ctx));
}

SEC("cgroup/sendmsg4")
int group_sendmsg4(struct bpf_sock_addr *ctx)
{
	return group_addressed(ctx, mapped(ctx->user_ip4));
}

SEC("cgroup/sendmsg6")
int group_sendmsg6(struct bpf_sock_addr *ctx)
{
	return group_addressed(ctx, user_ipv6(ctx));
}
