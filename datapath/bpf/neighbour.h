// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What keeps a link alive passes without policy, as long as it speaks for
 * the endpoint alone: ARP, IPv6 neighbour discovery (RFC 4861: hop limit 255,
 * never forwarded) and multicast listener reports (RFC 2710, RFC 3810: hop
 * limit 1). Whatever only looks like it is judged like any other packet.
 */
#pragma once

#include "identity.h"

#define NEIGHBOUR_JUDGE (-1) /* not a matter of the link */

#define MLD_QUERY 130
#define MLD_REPORT 131
#define MLD_DONE 132
#define ND_ROUTER_SOLICITATION 133
#define ND_ROUTER_ADVERTISEMENT 134
#define ND_SOLICITATION 135
#define ND_ADVERTISEMENT 136
#define ND_REDIRECT 137
#define MLD2_REPORT 143

struct arp {
	__be16 hardware;
	__be16 protocol;
	__u8 hardware_length;
	__u8 protocol_length;
	__be16 operation;
	__u8 sender_mac[6];
	__u8 sender[4];
	__u8 target_mac[6];
	__u8 target[4];
} __attribute__((packed));

INLINE bool link_multicast(const union address *a)
{
	return (a->word[0] & bpf_htonl(0xffff0000)) == bpf_htonl(0xff020000);
}

INLINE bool unspecified(const union address *a)
{
	return !(a->half[0] | a->half[1]);
}

/* An endpoint may speak for its own address, or probe for it (RFC 5227). */
INLINE int arp_leaves(struct __sk_buff *skb, const struct endpoint *ep)
{
	struct arp *arp = header(skb, sizeof(struct ethhdr), sizeof(*arp));
	__u32 sender;

	if (!arp || arp->hardware != bpf_htons(1) || arp->protocol != bpf_htons(ETH_P_IP) ||
	    arp->hardware_length != 6 || arp->protocol_length != 4)
		return DROP_INVALID_PACKET;
	__builtin_memcpy(&sender, arp->sender, sizeof(sender));
	if (!sender)
		return arp->operation == bpf_htons(1) ? 0 : DROP_NEIGHBOUR_SPOOFED;
	return sender == ep->ipv4 ? 0 : DROP_NEIGHBOUR_SPOOFED;
}

/* On this link: the next hop is this host or one of its endpoints, which
 * will see a hop limit below 255 should the message have been forwarded. */
INLINE bool on_link(const union address *a)
{
	struct owner owner;

	if (link_local(a) || link_multicast(a))
		return true;
	owner = owner_of(a);
	return owner.identity == IDENTITY_HOST || owner.flags & OWNER_LOCAL;
}

INLINE bool is_link_message(const struct packet *p)
{
	return p->family == 6 && p->protocol == IPPROTO_ICMPV6 && !p->icmp_code &&
	       p->icmp_type >= MLD_QUERY &&
	       (p->icmp_type <= ND_REDIRECT || p->icmp_type == MLD2_REPORT) &&
	       !(p->flags & (PACKET_FIRST_FRAGMENT | PACKET_LATER_FRAGMENT | PACKET_PORTLESS));
}

INLINE int advertises(struct __sk_buff *skb, const struct endpoint *ep, const struct packet *p)
{
	union address target;
	__u8 *h = p->end - p->offset >= 24 ? header(skb, p->offset, 24) : NULL;

	if (!h)
		return DROP_TRUNCATED;
	__builtin_memcpy(&target, h + 8, sizeof(target));
	return link_local(&target) || owns(ep, &target, 6) ? 0 : DROP_NEIGHBOUR_SPOOFED;
}

/* From an endpoint. 0 passes, NEIGHBOUR_JUDGE, or the reason to drop. */
INLINE int neighbour_leaves(struct __sk_buff *skb, const struct endpoint *ep,
			    const struct packet *p)
{
	bool silent = unspecified(&p->source);
	bool own = owns(ep, &p->source, 6) || link_local(&p->source);

	if (!is_link_message(p))
		return NEIGHBOUR_JUDGE;
	switch (p->icmp_type) {
	case MLD_QUERY:
	case ND_ROUTER_ADVERTISEMENT:
	case ND_REDIRECT:
		return DROP_FORBIDDEN_ICMP6; /* an endpoint is no router */
	case MLD_REPORT:
	case MLD_DONE:
	case MLD2_REPORT:
		return (own || silent) && p->hop_limit == 1 && link_multicast(&p->destination)
			       ? 0
			       : NEIGHBOUR_JUDGE;
	case ND_ADVERTISEMENT:
		if (!own || p->hop_limit != 255 || !on_link(&p->destination))
			return NEIGHBOUR_JUDGE;
		return advertises(skb, ep, p);
	default:
		return (own || silent) && p->hop_limit == 255 && on_link(&p->destination)
			       ? 0
			       : NEIGHBOUR_JUDGE;
	}
}

/* To an endpoint. 0 passes, NEIGHBOUR_JUDGE, or the reason to drop. */
INLINE int neighbour_arrives(struct crossing *c, const struct endpoint *ep, const struct packet *p)
{
	__u8 hops;

	if (!is_link_message(p))
		return NEIGHBOUR_JUDGE;
	if (!owns(ep, &p->destination, 6) && !link_local(&p->destination) &&
	    !link_multicast(&p->destination))
		return NEIGHBOUR_JUDGE;
	hops = p->icmp_type >= ND_ROUTER_SOLICITATION && p->icmp_type <= ND_REDIRECT ? 255 : 1;
	if (p->hop_limit != hops)
		return NEIGHBOUR_JUDGE;
	return sender(c, p);
}
