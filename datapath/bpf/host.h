// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The two hooks at devices that lead out of the node, for what the host itself
 * sends and receives:
 *
 *   from_network  ingress of the device: ingress policy of the host
 *   to_network    egress of the device: egress policy of the host
 *
 * What is forwarded is nobody's matter here: the hooks of its endpoint judge
 * it. The host has one record, without device or addresses of its own; its
 * addresses are those that the tables, or the kernel's routes, call local.
 */
#pragma once

#include "cross.h"
#include "neighbour.h"
#include "overlay.h"

#define ETHERTYPE_SLOW 0x8809 /* link aggregation */
#define ETHERTYPE_PAE 0x888e  /* port authentication */
#define ETHERTYPE_LLDP 0x88cc
#define VLAN_ID_MASK 0xfff
#define AF_INET 2
#define AF_INET6 10

INLINE struct host *the_host(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&host, &zero);
}

/* The policy in force: a trial that nobody confirmed has ended at its
 * deadline, whether or not anybody is there to see to it. */
INLINE __u64 host_cell(const struct host *h, __u64 now)
{
	__u64 deadline = READ_ONCE(h->deadline);

	return deadline && now >= deadline ? READ_ONCE(h->previous) : READ_ONCE(h->self.cell);
}

/* Frames that are no matter of the host on this device: those of a VLAN are of
 * another device (VLAN 0 is none, and its frames are this one's), and what a
 * link tells its ends never comes near IP. */
INLINE bool of_others(const struct __sk_buff *skb)
{
	__u32 protocol = skb->protocol;

	if (skb->vlan_present)
		return skb->vlan_tci & VLAN_ID_MASK;
	return protocol == bpf_htons(ETHERTYPE_SLOW) || protocol == bpf_htons(ETHERTYPE_PAE) ||
	       protocol == bpf_htons(ETHERTYPE_LLDP);
}

INLINE bool multicast(const union address *a)
{
	/* 224.0.0.0 and above, broadcast with it; ff00::/8. */
	return is_mapped(a) ? a->byte[12] >= 0xe0 : a->byte[0] == 0xff;
}

/* Would the kernel send the packet on to somebody else? If it does not know,
 * or forwards nothing, the packet is taken for the host's. */
__noinline int is_forwarded(struct __sk_buff *skb, const struct packet *p)
{
	struct bpf_fib_lookup route = {};
	long found;

	if (!p || multicast(&p->destination))
		return 0;
	route.ifindex = skb->ifindex;
	route.l4_protocol = p->protocol;
	route.tot_len = 0;
	if (p->family == 4) {
		route.family = AF_INET;
		route.ipv4_src = p->source.word[3];
		route.ipv4_dst = p->destination.word[3];
	} else {
		route.family = AF_INET6;
		__builtin_memcpy(route.ipv6_src, &p->source, sizeof(p->source));
		__builtin_memcpy(route.ipv6_dst, &p->destination, sizeof(p->destination));
	}
	found = bpf_fib_lookup(skb, &route, sizeof(route), 0);
	return found >= 0 && found != BPF_FIB_LKUP_RET_NOT_FWDED &&
	       found != BPF_FIB_LKUP_RET_FWD_DISABLED;
}

/* Is what came by this device for the host itself? An address that only the
 * kernel knows as the node's counts as much as one of the tables. */
INLINE bool for_host(struct __sk_buff *skb, const struct packet *p)
{
	struct owner owner = owner_of(&p->destination);

	if (owner.flags & OWNER_LOCAL)
		return false;
	return owner.identity == IDENTITY_HOST || !is_forwarded(skb, p);
}

/* Has the host a socket that would get this packet? */
__noinline int has_socket(struct __sk_buff *skb, const struct packet *p)
{
	struct bpf_sock_tuple tuple = {};
	__u32 size = sizeof(tuple.ipv4);
	struct bpf_sock *sk = NULL;

	if (!p)
		return 0;

	if (p->family == 4) {
		tuple.ipv4.saddr = p->source.word[3];
		tuple.ipv4.daddr = p->destination.word[3];
		tuple.ipv4.sport = p->source_port;
		tuple.ipv4.dport = p->destination_port;
	} else {
		__builtin_memcpy(tuple.ipv6.saddr, &p->source, sizeof(p->source));
		__builtin_memcpy(tuple.ipv6.daddr, &p->destination, sizeof(p->destination));
		tuple.ipv6.sport = p->source_port;
		tuple.ipv6.dport = p->destination_port;
		size = sizeof(tuple.ipv6);
	}
	if (p->protocol == IPPROTO_TCP)
		sk = bpf_skc_lookup_tcp(skb, &tuple, size, BPF_F_CURRENT_NETNS, 0);
	else if (p->protocol == IPPROTO_UDP)
		sk = bpf_sk_lookup_udp(skb, &tuple, size, BPF_F_CURRENT_NETNS, 0);
	if (!sk)
		return 0;
	bpf_sk_release(sk);
	return 1;
}

/*
 * Notes a flow that leaves under the host's address although another than the
 * host sends it (masquerade): its answers are not for the host either. Neither
 * side of the entry grants anything.
 */
INLINE void note_forwarded(struct crossing *c, const struct host *h, const struct packet *p)
{
	struct track t = {};
	struct place at;
	bool forward;

	flow_track(c, p, &t, &at);
	if (!t.found) {
		c->cell = 0;
		flow_open(c, &h->self, p, &t, FLOW_FORWARDED);
		return;
	}
	forward = goes_forward(&t);
	flow_touch(&at, c, p, forward);
	if (forward && !(READ_ONCE(at.flow->state) & FLOW_FORWARDED))
		__sync_fetch_and_or(&at.flow->state, FLOW_FORWARDED);
}

/*
 * Is this the answer to a flow that was noted, or an error about one? Where the
 * host has a socket at that port the packet is the host's to judge, so that
 * nobody behind the host opens its ports by sending from the same numbers.
 */
__noinline int answers_forwarded(struct __sk_buff *skb, struct crossing *c, struct packet *p)
{
	struct packet quoted = {};
	struct track t = {};
	struct place at;
	bool error;

	if (!c || !p)
		return 0;
	error = p->flags & PACKET_ICMP_ERROR;
	if (error && (parse_quoted(skb, p, &quoted) || !same(&quoted.source, &p->destination)))
		return 0;
	flow_track(c, error ? &quoted : p, &t, &at);
	if (!t.found || goes_forward(&t) != error || !(READ_ONCE(at.flow->state) & FLOW_FORWARDED))
		return 0;
	if (error)
		return 1;
	if (has_socket(skb, p))
		return 0;
	if (p->flags & PACKET_FIRST_FRAGMENT)
		fragment_remember(p, c->now);
	flow_touch(&at, c, p, false);
	c->closed = false;
	return 1;
}

/* Link messages pass in both directions, as those of an endpoint do. */
INLINE int host_neighbour(struct crossing *c, const struct packet *p)
{
	__u8 hops;

	if (!is_link_message(p))
		return NEIGHBOUR_JUDGE;
	hops = p->icmp_type >= ND_ROUTER_SOLICITATION && p->icmp_type <= ND_REDIRECT ? 255 : 1;
	if (p->hop_limit != hops)
		return NEIGHBOUR_JUDGE;
	return c->direction == DIRECTION_INGRESS ? sender(c, p) : 0;
}

/* By the policy of the host. 0, or the reason to drop; @amiss is what was
 * wrong with the packet. */
INLINE int host_judge(struct __sk_buff *skb, const struct host *h, struct crossing *c,
		      struct packet *p, int amiss)
{
	int reason;

	c->cell = host_cell(h, c->now);
	if (unlikely(c->cell == HOST_OPEN))
		return 0;
	if (unlikely(!(c->cell & CELL_READY)))
		return DROP_NOT_READY;
	if (unlikely(amiss))
		return amiss;
	if (unlikely(p->flags & PACKET_ARP))
		return 0;
	if (unlikely(p->protocol == IPPROTO_ICMPV6)) {
		reason = host_neighbour(c, p);
		if (reason != NEIGHBOUR_JUDGE)
			return reason;
	}
	if (c->direction == DIRECTION_INGRESS) {
		if (unlikely(p->flags & PACKET_LATER_FRAGMENT)) {
			reason = fragment_recall(p, c->now);
			if (reason)
				return reason;
		}
		if (answers_forwarded(skb, c, p))
			return 0;
	}
	return follow(skb, &h->self, c, p);
}

INLINE int host_conclude(struct __sk_buff *skb, const struct host *h, struct crossing *c,
			 struct packet *p, int amiss)
{
	int reason;

	if (unlikely(!h))
		reason = DROP_UNKNOWN_ENDPOINT;
	else
		reason = host_judge(skb, h, c, p, amiss);
	if (unlikely(reason))
		return refuse(c, h ? &h->self : NULL, p, reason);
	report(c, &h->self, p);
	return TCX_NEXT;
}

/* The host has no slot among the endpoints, and nobody's proof is for it. */
INLINE struct crossing host_begin(struct __sk_buff *skb, __u8 direction)
{
	struct crossing c = crossing_begin(skb, direction);

	c.slot = SLOT_NONE;
	return c;
}

SEC("classifier")
int from_network(struct __sk_buff *skb)
{
	struct crossing c = host_begin(skb, DIRECTION_INGRESS);
	struct packet p = {};
	__u32 slot;
	int amiss;

	c.came_by = skb->ifindex;
	/* On the device of an endpoint, or of the overlay, our program has just
	 * written the mark. By any other nothing comes that was stamped on this node. */
	c.stamp = stamp_arriving(&c, skb->mark);
	if (unlikely(c.stamp) && !came_through_tunnel(&c) && !endpoint_at(skb->ifindex, &slot)) {
		c.stamp = 0;
		set_mark(skb, 0);
	}
	if (unlikely(of_others(skb)))
		return TCX_NEXT;
	amiss = parse(skb, &p);
	if (p.family && !for_host(skb, &p))
		return TCX_NEXT;
	if (unlikely(is_tunnel(&c, &p)) && is_node(&p.source))
		return TCX_NEXT;
	return host_conclude(skb, the_host(), &c, &p, amiss);
}

SEC("classifier")
int to_network(struct __sk_buff *skb)
{
	struct crossing c = host_begin(skb, DIRECTION_EGRESS);
	const struct host *h = the_host();
	struct packet p = {};
	int amiss;

	if (unlikely(of_others(skb)))
		return TCX_NEXT;
	amiss = parse(skb, &p);
	if (unlikely(is_tunnel(&c, &p)) && is_node(&p.destination))
		return TCX_NEXT;
	if (!stamp_of(skb->mark) && !skb->ingress_ifindex)
		return host_conclude(skb, h, &c, &p, amiss);
	if (h && !amiss && p.family && !(p.flags & (PACKET_ICMP_ERROR | PACKET_LATER_FRAGMENT)) &&
	    owner_of(&p.source).identity == IDENTITY_HOST)
		note_forwarded(&c, h, &p);
	return TCX_NEXT;
}
