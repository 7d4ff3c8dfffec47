// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Frame -> struct packet. Every header is bounds-checked against the frame
 * and against the length its own IP header states, so padding is never read
 * as a header. README.md has the table of what becomes of odd packets.
 */
#pragma once

#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>

#include "abi.h"
#include "compiler.h"

#define ETH_MIN_TYPE 0x600 /* below: an 802.3 length */
#define IPV4_FRAGMENT_MORE 0x2000
#define IPV4_FRAGMENT_OFFSET 0x1fff
#define IPV4_OPTIONS 40
#define IPV4_OPTION_END 0
#define IPV4_OPTION_NOP 1
#define IPV4_OPTION_LSRR 131
#define IPV4_OPTION_SSRR 137
#define IPV6_FRAGMENT_MORE 0x0001
#define IPV6_FRAGMENT_OFFSET 0xfff8
#define EXTENSION_HEADERS 6
#define FURTHEST_HEADER 0x3fff

#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_ACK 0x10

#define MAPPED_IPV4 bpf_htonl(0x0000ffff)

enum packet_flag {
	PACKET_ARP = 0x01,
	PACKET_PORTLESS = 0x02,       /* no ports we know: judged by protocol only */
	PACKET_ONE_WAY = 0x04,        /* ICMP message that has no answer */
	PACKET_ECHO_REPLY = 0x08,     /* belongs to the flow of its request */
	PACKET_ICMP_ERROR = 0x10,     /* judged by the flow it quotes */
	PACKET_FIRST_FRAGMENT = 0x20, /* to be remembered once allowed */
	PACKET_LATER_FRAGMENT = 0x40, /* ports are those of its first */
	PACKET_ECHO_REQUEST = 0x80,   /* begins, and never answers */
};

struct packet {
	union address source;
	union address destination;
	union {
		__u32 ports;
		struct {
			__be16 source_port;
			__be16 destination_port;
		};
	};
	__u32 offset; /* of the L4 header */
	__u32 end;    /* of the IP packet, both from the start of the frame */
	__u32 fragment_id;
	__be16 port;  /* as policy means it */
	__u8 family;
	__u8 protocol;
	__u8 fragment_protocol;
	__u8 hop_limit;
	__u8 tcp_flags; /* an echo request bears TCP_SYN */
	__u8 icmp_type;
	__u8 icmp_code;
	__u8 flags;
};

/* The bounds of the linear part. In C they are 32-bit fields, and the compiler
 * may keep only 32 bits of what the verifier knows as a pointer. */
INLINE void *frame_start(struct __sk_buff *skb)
{
	void *p;

	asm volatile("%0 = *(u32 *)(%1 + %2)"
		     : "=r"(p)
		     : "r"(skb), "i"(offsetof(struct __sk_buff, data)));
	return p;
}

INLINE void *frame_end(struct __sk_buff *skb)
{
	void *p;

	asm volatile("%0 = *(u32 *)(%1 + %2)"
		     : "=r"(p)
		     : "r"(skb), "i"(offsetof(struct __sk_buff, data_end)));
	return p;
}

/* Octets [offset, offset + size) of the frame; NULL if it is shorter. All
 * pointers of earlier calls are void afterwards. */
INLINE void *header(struct __sk_buff *skb, __u32 offset, __u32 size)
{
	void *at;

	if (offset > FURTHEST_HEADER)
		return NULL;
	at = frame_start(skb) + offset;
	KEEP(at); /* the very register that is checked is the one to read from */
	if (likely(at + size <= frame_end(skb)))
		return at;
	if (bpf_skb_pull_data(skb, offset + size))
		return NULL;
	at = frame_start(skb) + offset;
	KEEP(at);
	return at + size <= frame_end(skb) ? at : NULL;
}

INLINE union address mapped(__be32 ipv4)
{
	union address a = { .word = { 0, 0, MAPPED_IPV4, ipv4 } };

	return a;
}

INLINE bool same(const union address *a, const union address *b)
{
	return a->half[0] == b->half[0] && a->half[1] == b->half[1];
}

INLINE bool is_mapped(const union address *a)
{
	return !a->half[0] && a->word[2] == MAPPED_IPV4;
}

/* Type, code and identifier of ICMP and ICMPv6; @h has 8 octets. */
INLINE void parse_icmp(struct packet *p, const __u8 *h, __u8 request, __u8 reply)
{
	__be16 id = *(const __be16 *)(h + 4);
	bool error =
		p->family == 4 ? h[0] == 3 || h[0] == 11 || h[0] == 12 : h[0] >= 1 && h[0] <= 4;

	p->icmp_type = h[0];
	p->icmp_code = h[1];
	p->port = bpf_htons(h[0]);
	if (h[0] == request) {
		p->source_port = id;
		p->destination_port = 0;
		p->tcp_flags = TCP_SYN;
		p->flags |= PACKET_ECHO_REQUEST;
	} else if (h[0] == reply) {
		p->source_port = 0;
		p->destination_port = id;
		p->flags |= PACKET_ECHO_REPLY;
	} else if (error) {
		p->flags |= PACKET_ICMP_ERROR;
	} else {
		p->flags |= PACKET_ONE_WAY;
	}
}

/* The L4 header at p->offset. 0, or the reason to drop. */
INLINE int parse_l4(struct __sk_buff *skb, struct packet *p)
{
	__u32 room = p->end - p->offset;
	__u8 *h;

	switch (p->protocol) {
	case IPPROTO_TCP:
		h = room >= 20 ? header(skb, p->offset, 20) : NULL;
		if (!h)
			return DROP_TRUNCATED;
		if (h[12] < 5 << 4)
			return DROP_INVALID_PACKET;
		p->ports = *(__u32 *)h;
		p->tcp_flags = h[13];
		break;
	case IPPROTO_UDP:
		h = room >= 8 ? header(skb, p->offset, 8) : NULL;
		if (!h)
			return DROP_TRUNCATED;
		p->ports = *(__u32 *)h;
		break;
	case IPPROTO_SCTP:
		h = room >= 12 ? header(skb, p->offset, 12) : NULL;
		if (!h)
			return DROP_TRUNCATED;
		p->ports = *(__u32 *)h;
		break;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		if ((p->protocol == IPPROTO_ICMP) != (p->family == 4)) {
			p->flags |= PACKET_PORTLESS;
			return 0;
		}
		h = room >= 8 ? header(skb, p->offset, 8) : NULL;
		if (!h)
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
	p->port = p->destination_port;
	return 0;
}

/*
 * A fragment at @at octets into its datagram. The first must hold the whole
 * L4 header (RFC 1858, RFC 7112); one that could overwrite the flags of a TCP
 * header is refused (RFC 3128). Ports of later ones: fragment.h.
 */
INLINE int parse_fragment(struct __sk_buff *skb, struct packet *p, __u32 at)
{
	if (!at) {
		p->flags |= PACKET_FIRST_FRAGMENT;
		return parse_l4(skb, p);
	}
	if (p->protocol == IPPROTO_TCP && at < 20)
		return DROP_FRAGMENT;
	p->flags |= PACKET_LATER_FRAGMENT;
	return 0;
}

/* Source routes would carry a packet past the destination it is judged by.
 * Not static: the verifier then looks at it once, not once per call. */
__noinline int parse_ipv4_options(struct __sk_buff *skb, __u32 length)
{
	__u8 option[IPV4_OPTIONS] = {};
	__u32 skip = 0;

	if (!length || length > IPV4_OPTIONS ||
	    bpf_skb_load_bytes(skb, sizeof(struct ethhdr) + sizeof(struct iphdr), option, length))
		return DROP_INVALID_PACKET;
	for (__u32 i = 0; i < IPV4_OPTIONS && i < length; i++) {
		if (skip) {
			skip--;
			continue;
		}
		if (option[i] == IPV4_OPTION_END)
			return 0;
		if (option[i] == IPV4_OPTION_NOP)
			continue;
		if (option[i] == IPV4_OPTION_LSRR || option[i] == IPV4_OPTION_SSRR)
			return DROP_INVALID_PACKET;
		if (i + 1 >= IPV4_OPTIONS || i + 1 >= length || option[i + 1] < 2)
			return DROP_INVALID_PACKET;
		skip = option[i + 1] - 1;
	}
	return skip ? DROP_INVALID_PACKET : 0;
}

INLINE int parse_ipv4(struct __sk_buff *skb, struct packet *p)
{
	struct iphdr *ip = header(skb, sizeof(struct ethhdr), sizeof(*ip));
	__u32 total, words, fragment;
	int reason;

	if (!ip)
		return DROP_INVALID_PACKET;
	p->family = 4;
	p->source = mapped(ip->saddr);
	p->destination = mapped(ip->daddr);
	p->protocol = ip->protocol;
	p->hop_limit = ip->ttl;
	p->fragment_id = ip->id;
	p->fragment_protocol = ip->protocol;
	fragment = bpf_ntohs(ip->frag_off);
	total = bpf_ntohs(ip->tot_len);
	words = *(__u8 *)ip & 0xf;
	if (*(__u8 *)ip >> 4 != 4 || words < 5)
		return DROP_INVALID_PACKET;

	p->offset = sizeof(struct ethhdr) + words * 4;
	p->end = sizeof(struct ethhdr) + total;
	if (unlikely(!total) && skb->gso_size)
		p->end = skb->len; /* a segment beyond 64 KiB states no length */
	if (p->end < p->offset || p->end > skb->len)
		return DROP_INVALID_PACKET;
	if (unlikely(words > 5)) {
		reason = parse_ipv4_options(skb, words * 4 - sizeof(struct iphdr));
		if (reason)
			return reason;
	}
	if (unlikely(fragment & (IPV4_FRAGMENT_MORE | IPV4_FRAGMENT_OFFSET)))
		return parse_fragment(skb, p, (fragment & IPV4_FRAGMENT_OFFSET) * 8);
	return parse_l4(skb, p);
}

/*
 * Walks the extension headers up to the L4 header, or up to a later fragment.
 * Refused: unknown order, no next header, more than EXTENSION_HEADERS, and
 * routing headers that still lead elsewhere (RFC 5095 and its reasons).
 */
INLINE int parse_extensions(struct __sk_buff *skb, struct packet *p)
{
	for (int i = 0; i <= EXTENSION_HEADERS; i++) {
		__u8 *h, kind = p->protocol;
		__u32 fragment, length;

		if (kind != IPPROTO_HOPOPTS && kind != IPPROTO_ROUTING && kind != IPPROTO_DSTOPTS &&
		    kind != IPPROTO_AH && kind != IPPROTO_FRAGMENT)
			return kind == IPPROTO_NONE ? DROP_EXTENSION_HEADER : parse_l4(skb, p);
		if (i == EXTENSION_HEADERS || (kind == IPPROTO_HOPOPTS && i))
			return DROP_EXTENSION_HEADER;
		if (p->end - p->offset < 8)
			return DROP_INVALID_PACKET;
		h = header(skb, p->offset, 8);
		if (!h)
			return DROP_INVALID_PACKET;
		if (kind == IPPROTO_ROUTING && (h[2] == 0 || h[3]))
			return DROP_EXTENSION_HEADER;

		p->protocol = h[0];
		if (kind == IPPROTO_FRAGMENT) {
			p->fragment_protocol = h[0];
			p->fragment_id = *(__u32 *)(h + 4);
			fragment = bpf_ntohs(*(__be16 *)(h + 2));
			if (fragment & IPV6_FRAGMENT_OFFSET) {
				p->offset += 8;
				return parse_fragment(skb, p, fragment & IPV6_FRAGMENT_OFFSET);
			}
			if (fragment & IPV6_FRAGMENT_MORE)
				p->flags |= PACKET_FIRST_FRAGMENT;
			length = 8;
		} else if (kind == IPPROTO_AH) {
			length = (h[1] + 2) * 4;
		} else {
			length = (h[1] + 1) * 8;
		}
		p->offset += length;
		if (p->offset > p->end)
			return DROP_INVALID_PACKET;
	}
	return DROP_EXTENSION_HEADER;
}

INLINE int parse_ipv6(struct __sk_buff *skb, struct packet *p)
{
	struct ipv6hdr *ip = header(skb, sizeof(struct ethhdr), sizeof(*ip));
	__u32 payload;

	if (!ip)
		return DROP_INVALID_PACKET;
	p->family = 6;
	__builtin_memcpy(&p->source, &ip->saddr, sizeof(p->source));
	__builtin_memcpy(&p->destination, &ip->daddr, sizeof(p->destination));
	p->protocol = ip->nexthdr;
	p->hop_limit = ip->hop_limit;
	payload = bpf_ntohs(ip->payload_len);
	if (*(__u8 *)ip >> 4 != 6)
		return DROP_INVALID_PACKET;
	/* Would be taken for the IPv4 address that it is not. */
	if (is_mapped(&p->source) || is_mapped(&p->destination))
		return DROP_INVALID_PACKET;

	p->offset = sizeof(struct ethhdr) + sizeof(struct ipv6hdr);
	p->end = p->offset + payload;
	if (unlikely(!payload) && skb->gso_size)
		p->end = skb->len;
	if (p->end > skb->len)
		return DROP_INVALID_PACKET;
	if (likely(p->protocol == IPPROTO_TCP || p->protocol == IPPROTO_UDP))
		return parse_l4(skb, p);
	return parse_extensions(skb, p);
}

/* 0, or the reason to drop; @p then holds what was understood. Not static: the
 * verifier looks at it once, and at its callers without it. */
__noinline int parse(struct __sk_buff *skb, struct packet *p)
{
	struct ethhdr *eth = header(skb, 0, sizeof(*eth));

	if (!eth || !p)
		return DROP_INVALID_PACKET;
	if (skb->vlan_present)
		return DROP_UNSUPPORTED_L2;
	switch (eth->h_proto) {
	case bpf_htons(ETH_P_IP):
		return parse_ipv4(skb, p);
	case bpf_htons(ETH_P_IPV6):
		return parse_ipv6(skb, p);
	case bpf_htons(ETH_P_ARP):
		p->flags |= PACKET_ARP;
		return 0;
	case bpf_htons(ETH_P_8021Q):
	case bpf_htons(ETH_P_8021AD):
		return DROP_UNSUPPORTED_L2;
	default:
		return bpf_ntohs(eth->h_proto) < ETH_MIN_TYPE ? DROP_UNSUPPORTED_L2
							      : DROP_UNSUPPORTED_L3;
	}
}
