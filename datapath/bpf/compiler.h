// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What the language lacks: inlining, single reads, values of newer headers. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <linux/bpf.h>
#include <linux/types.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define INLINE static __always_inline
#define READ_ONCE(x) (*(const volatile typeof(x) *)&(x))
#define WRITE_ONCE(x, v) (*(volatile typeof(x) *)&(x) = (v))
/* The value stays what it is, but the compiler may not compute it again. */
#define KEEP(x) asm volatile("" : "+r"(x))
#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

/* Continue with the next program of the hook (linux/bpf.h of 6.6 and later);
 * clsact reads the same number as "unspecified", which passes too. */
#define TCX_NEXT (-1)
#define TC_ACT_SHOT 2
