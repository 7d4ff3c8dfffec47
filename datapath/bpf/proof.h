// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * A packet from one endpoint of this node to another is judged for both where
 * it leaves the first, once both have allowed its flow; the proof travels with
 * it as skb->hash, through the stack of the host, and the second hook accepts it
 * without looking for the flow. A bit of the mark says that the hash is one.
 *
 * The proof is a keyed hash of the packet's ends, of the second endpoint's cell,
 * of the address epoch and of the mark. So it means nothing for a packet that
 * the host has changed, once a policy or an address changed in between, or at
 * another device. Nobody inside an endpoint can make one: the first hook writes
 * the mark of whatever it sends.
 */
#pragma once

#include "flow.h"
#include "identity.h"

INLINE __u32 proof_of(const struct crossing *c, __u64 bound, __u64 cell, __u32 stamp)
{
	__u64 proof = seal_of(c, bound, cell) ^ (__u64)stamp << 16;

	proof *= 0xc4ceb9fe1a85ec53ULL ^ c->secret << 7;
	return proof >> 32;
}

/*
 * At the sender's hook, for a packet that its own policy allows: whether the
 * endpoint behind the flow's other side allows it at this moment. Only plain
 * TCP and UDP: whatever else there is the second hook looks at itself.
 */
INLINE void both_allow(struct crossing *c, const struct endpoint *ep, const struct packet *p,
		       const struct flow *flow, __u32 other, __u64 bound)
{
	const struct side *side = &flow->side[other & 1];
	__u32 slot = READ_ONCE(flow->slot[other & 1]);
	__u32 stamp = stamp_for(ep->identity);
	const struct endpoint *far;
	__u64 seal, cell;

	seal = READ_ONCE(side->seal);
	if (!seal || p->flags || (p->protocol != IPPROTO_TCP && p->protocol != IPPROTO_UDP))
		return;
	far = bpf_map_lookup_elem(&endpoints, &slot);
	if (!far)
		return;
	cell = READ_ONCE(far->cell);
	if (seal != seal_of(c, bound, cell) || side->stamp != stamp || !(cell & CELL_READY) ||
	    (far->lease && c->now >= far->lease))
		return;
	c->proof = proof_of(c, bound, cell, stamp);
	c->far = slot + 1;
}

/* The ends of a plain TCP or UDP packet, and nothing else of it. */
INLINE bool glance(struct __sk_buff *skb, struct packet *p)
{
	__u8 *h = frame_start(skb), *end = frame_end(skb);

	if (h + sizeof(struct ethhdr) + sizeof(struct iphdr) + 4 > end || skb->vlan_present)
		return false;
	p->protocol = h[sizeof(struct ethhdr) + offsetof(struct iphdr, protocol)];
	if (((struct ethhdr *)h)->h_proto == bpf_htons(ETH_P_IP)) {
		struct iphdr *ip = (void *)(h + sizeof(struct ethhdr));

		if (*(__u8 *)ip != 0x45 ||
		    ip->frag_off & bpf_htons(IPV4_FRAGMENT_MORE | IPV4_FRAGMENT_OFFSET))
			return false;
		p->source = mapped(ip->saddr);
		p->destination = mapped(ip->daddr);
		p->ports = *(__u32 *)(ip + 1);
	} else if (((struct ethhdr *)h)->h_proto == bpf_htons(ETH_P_IPV6)) {
		struct ipv6hdr *ip = (void *)(h + sizeof(struct ethhdr));

		if (h + sizeof(struct ethhdr) + sizeof(*ip) + 4 > end)
			return false;
		p->protocol = ip->nexthdr;
		__builtin_memcpy(&p->source, &ip->saddr, sizeof(p->source));
		__builtin_memcpy(&p->destination, &ip->daddr, sizeof(p->destination));
		p->ports = *(__u32 *)(ip + 1);
	} else {
		return false;
	}
	return p->protocol == IPPROTO_TCP || p->protocol == IPPROTO_UDP;
}

/*
 * At the second hook: whether the first has judged this very packet for the
 * endpoint here. Asked before anything else, and with nothing that a packet
 * with a proof does not need.
 */
INLINE bool proven(struct __sk_buff *skb)
{
	__u32 zero = 0, slot, stamp = stamp_of(skb->mark);
	const struct endpoint *ep = endpoint_at(skb->ifindex, &slot);
	const struct node *facts = bpf_map_lookup_elem(&node, &zero);
	struct crossing c;
	struct flow_key key;
	struct packet p = {};
	__u64 cell;

	if (!ep || !facts || !stamp || !glance(skb, &p))
		return false;
	cell = READ_ONCE(ep->cell);
	if (!(cell & CELL_READY) || (ep->lease && bpf_ktime_get_coarse_ns() >= ep->lease))
		return false;
	c.address_epoch = READ_ONCE(facts->address_epoch);
	c.secret = facts->secret;
	flow_key(&p, &key);
	return skb->hash == proof_of(&c, flow_bind(&key, c.secret), cell, stamp);
}
