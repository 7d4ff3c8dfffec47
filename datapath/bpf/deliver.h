// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Delivery without the stack of the host: a packet that both ends allow goes
 * from the sender's hook straight into the namespace of an endpoint that asked
 * for it, with what a router does to it on the way: next link header, one hop
 * less (RFC 1812 5.3.1, RFC 8200 3). Whatever the host would have to answer
 * itself takes the way through its stack.
 */
#pragma once

#include "endpoint.h"

#define LINK_ADDRESSES 12
#define PACKET_FOR_HOST 0 /* skb->pkt_type: to the device's own link address */

/* One hop less; false if it was the last one. */
INLINE bool hop(struct __sk_buff *skb, const struct packet *p)
{
	__u8 *ip = header(skb, sizeof(struct ethhdr), sizeof(struct iphdr));
	__u32 at = sizeof(struct ethhdr), sum;
	__u8 word[4];

	if (!ip || p->hop_limit <= 1)
		return false;
	if (p->family == 6) {
		word[0] = p->hop_limit - 1;
		at += offsetof(struct ipv6hdr, hop_limit);
		return !bpf_skb_store_bytes(skb, at, word, 1, 0);
	}
	/* RFC 1624: the sum of the header rises as the hop count falls. */
	__builtin_memcpy(word, ip + offsetof(struct iphdr, ttl), sizeof(word));
	sum = (word[2] << 8 | word[3]) + 0x100;
	sum += sum >> 16;
	word[0] -= 1;
	word[2] = sum >> 8;
	word[3] = sum;
	at += offsetof(struct iphdr, ttl);
	return !bpf_skb_store_bytes(skb, at, word, sizeof(word), 0);
}

/* At the sender's hook, for a packet that both ends allow. The verdict of the
 * hook, or -1: through the stack. */
INLINE int deliver(struct __sk_buff *skb, const struct crossing *c, const struct packet *p)
{
	__u32 slot = c->far - 1;
	const struct endpoint *far = bpf_map_lookup_elem(&endpoints, &slot);
	__u8 link[LINK_ADDRESSES], *frame;

	if (!far || likely(!far->direct) || skb->pkt_type != PACKET_FOR_HOST)
		return -1;
	frame = header(skb, 0, LINK_ADDRESSES);
	if (!frame)
		return -1;
	__builtin_memcpy(link, far->mac, 6);
	__builtin_memcpy(link + 6, frame, 6);
	if (!hop(skb, p))
		return -1;
	if (bpf_skb_store_bytes(skb, 0, link, sizeof(link), 0))
		return TC_ACT_SHOT;
	skb->mark = 0;
	return bpf_redirect_peer(far->ifindex, 0);
}
