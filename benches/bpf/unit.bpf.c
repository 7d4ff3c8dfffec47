// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What per-packet work is counted in: an empty program, and one that finds a
 * 16-byte key in a hash map. The difference is the unit.
 */
#include <linux/bpf.h>
#include <linux/types.h>

#include <bpf/bpf_helpers.h>

#define NEXT (-1)
#define DROP 2

struct key {
	__u32 word[4];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, struct key);
	__type(value, __u64);
} unit SEC(".maps");

SEC("classifier")
int empty(struct __sk_buff *skb)
{
	return NEXT;
}

SEC("classifier")
int lookup(struct __sk_buff *skb)
{
	struct key key = { { 1, 2, 3, 4 } };

	return bpf_map_lookup_elem(&unit, &key) ? NEXT : DROP;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
