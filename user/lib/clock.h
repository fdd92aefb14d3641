/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Clocks that can be compared with those of other processes and of the kernel. */
#ifndef XDP_ICP_CLOCK_H
#define XDP_ICP_CLOCK_H

#include <stdint.h>
#include <sys/time.h>
#include <time.h>

/* Return a clock's time in nanoseconds, as this process sees it. */
uint64_t clock_ns(clockid_t clock);

/*
 * Return the kernel's monotonic clock (bpf_ktime_get_ns()) in nanoseconds. CLOCK_MONOTONIC differs
 * from it in a time namespace, see time_namespaces(7).
 */
uint64_t clock_kernel_ns(void);

/* Convert milliseconds for libevent. */
static inline struct timeval clock_timeval(uint64_t milliseconds)
{
	return (struct timeval){ milliseconds / 1000, milliseconds % 1000 * 1000 };
}

#define CLOCK_TEXT_SIZE 32

/* Write seconds since 1970 as local date and time, such as 2026-01-31 23:59:59. */
void clock_text(time_t time, char text[CLOCK_TEXT_SIZE]);

#endif
