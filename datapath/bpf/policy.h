// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Which entry of a policy table decides. The same words stand at
 * `MapState::lookup` in Rust:
 *
 * 1. Longest prefix among the entries of the peer's identity and direction
 *    that cover (protocol, port): candidates are (protocol, port/16 …
 *    port/0), then (ANY).
 * 2. The same among the entries of identity 0 (any peer).
 * 3. Higher precedence wins; equal: longer prefix (0 for ANY, 8 for
 *    protocol/0, 8 + bits); equal: the identity's entry.
 * 4. Nothing found, or a deny entry that no rule stands behind: dropped,
 *    POLICY_DENIED (default deny). Another deny entry: dropped, POLICY_DENY.
 *    An entry that asks for authentication: dropped, AUTH_REQUIRED.
 *
 * A redirect needs a proxy: dropped while there is none, unless the proxy
 * would pass everything.
 */
#pragma once

#include "maps.h"

struct ruling {
	__u32 cookie;
	__u8 match;
	__u8 reason; /* 0 allowed */
};

INLINE __u8 match_of(const struct policy_entry *e, bool named)
{
	if (!e->prefix)
		return named ? MATCH_L3 : MATCH_ALL;
	if (e->prefix == POLICY_LENGTH_PROTOCOL - POLICY_LENGTH_ANY)
		return named ? MATCH_L3_PROTOCOL : MATCH_PROTOCOL;
	return named ? MATCH_L3_L4 : MATCH_L4;
}

INLINE __u8 reason_of(const struct policy_entry *e)
{
	if (e->auth && e->action != POLICY_DENY)
		return DROP_AUTH_REQUIRED;
	switch (e->action) {
	case POLICY_ALLOW:
	case POLICY_REDIRECT_UNRESTRICTED:
		return DROP_NONE;
	case POLICY_REDIRECT:
		return DROP_L7_WITHOUT_PROXY;
	default:
		/* Nobody's rule: a default deny that ends a tier. */
		return e->cookie ? DROP_POLICY_DENY : DROP_POLICY_DENIED;
	}
}

INLINE bool outranks(const struct policy_entry *any, const struct policy_entry *own)
{
	return any->precedence != own->precedence ? any->precedence > own->precedence
						  : any->prefix > own->prefix;
}

INLINE int rule_by(const struct policy_entry *e, bool named, struct ruling *r)
{
	r->cookie = e->cookie;
	r->match = match_of(e, named);
	r->reason = reason_of(e);
	return 0;
}

/* Asks the table of @cell for @key; key->length bounds how precise a match
 * may be. Leaves key->identity at 0. */
__noinline int policy_judge(__u64 cell, struct policy_key *key, struct ruling *r)
{
	__u32 slot = cell & CELL_TABLE_MASK;
	struct policy_entry *own, *any;
	void *table = bpf_map_lookup_elem(&tables, &slot);

	if (!key || !r)
		return 0;
	r->cookie = 0;
	r->match = MATCH_NONE;
	if (!table) {
		r->reason = DROP_TABLE_MISSING;
		return 0;
	}
	own = bpf_map_lookup_elem(table, key); /* 1. */
	key->identity = IDENTITY_UNKNOWN;
	any = bpf_map_lookup_elem(table, key); /* 2. */
	if (own && (!any || !outranks(any, own))) /* 3. */
		return rule_by(own, true, r);
	if (any)
		return rule_by(any, false, r);
	r->reason = DROP_POLICY_DENIED; /* 4. */
	return 0;
}
