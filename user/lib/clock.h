/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Clocks that are compared with those of other processes and of the kernel. */
#ifndef XDP_ICP_CLOCK_H
#define XDP_ICP_CLOCK_H

#include <stdint.h>
#include <time.h>

/* A clock's time in nanoseconds, as this process sees it. */
uint64_t clock_ns(clockid_t clock);

/*
 * The monotonic clock in nanoseconds, as the kernel itself sees it (bpf_ktime_get_ns()): in a time
 * namespace CLOCK_MONOTONIC is ahead of it or behind. See time_namespaces(7).
 */
uint64_t clock_kernel_ns(void);

#endif
