// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Fragments behind the first have no ports: they take those of the first,
 * which is remembered once it was allowed. Out of order means dropped. */
#pragma once

#include "endpoint.h"

#define FRAGMENT_LIFETIME (30ULL * 1000 * 1000 * 1000)
#define FRAGMENT_FLAGS (PACKET_PORTLESS | PACKET_ONE_WAY | PACKET_ECHO_REPLY | PACKET_ECHO_REQUEST)

INLINE void fragment_key(const struct packet *p, struct fragment_key *key)
{
	key->source = p->source;
	key->destination = p->destination;
	key->id = p->fragment_id;
	key->protocol = p->fragment_protocol;
}

/* Fills @p from the first fragment. 0, or the reason to drop. */
__noinline int fragment_recall(struct packet *p, __u64 now)
{
	struct fragment_key key;
	struct fragment *first;

	if (!p)
		return DROP_FRAGMENT_NOT_FOUND;
	fragment_key(p, &key);
	first = bpf_map_lookup_elem(&fragments, &key);
	if (!first || now - first->seen > FRAGMENT_LIFETIME)
		return DROP_FRAGMENT_NOT_FOUND;
	p->ports = first->ports;
	p->protocol = first->protocol;
	p->icmp_type = first->icmp_type;
	p->icmp_code = first->icmp_code;
	p->flags |= first->flags;
	p->port = p->destination_port;
	if (p->protocol == IPPROTO_ICMP || p->protocol == IPPROTO_ICMPV6)
		p->port = bpf_htons(p->icmp_type);
	if (p->flags & PACKET_PORTLESS)
		p->port = 0;
	if (p->flags & PACKET_ECHO_REQUEST)
		p->tcp_flags = TCP_SYN;
	return 0;
}

__noinline int fragment_remember(const struct packet *p, __u64 now)
{
	struct fragment first = { .seen = now };
	struct fragment_key key;

	if (!p)
		return 0;
	fragment_key(p, &key);
	first.ports = p->ports;
	first.protocol = p->protocol;
	first.icmp_type = p->icmp_type;
	first.icmp_code = p->icmp_code;
	first.flags = p->flags & FRAGMENT_FLAGS;
	bpf_map_update_elem(&fragments, &key, &first, BPF_ANY);
	return 0;
}
