// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Knobs that are fixed when the object is loaded (.rodata). */
#pragma once

#include "compiler.h"

/* Identity of an IPv4 / IPv6 address that no table knows: 2 (world), or 9 and
 * 10 where the node speaks both families. */
const volatile __u32 world_ipv4 = 2;
const volatile __u32 world_ipv6 = 2;

/* A power of two, at most as many as there are endpoints, less one. */
const volatile __u32 endpoint_mask = 1024 - 1;

/* Buckets of flows, a power of two, less one. */
const volatile __u32 flow_mask = 32768 - 1;

/* A flow that goes on is reported when this many ticks (FLOW_CLOCK_SHIFT) have
 * passed, and when it takes a new state: 0 never, all bits set for every packet. */
const volatile __u32 trace_ticks = 0;
#define TRACE_PACKETS (~0U)

/* Octets pending in the ring from which on the reader is woken at once. */
const volatile __u32 wakeup_bytes = 64 * 1024;
