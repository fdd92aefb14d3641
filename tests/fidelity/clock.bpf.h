/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Included before the XDP program's source where it is compiled for the fidelity test: its clock is
 * then a number that the test sets, so that what expires does so at the very nanosecond.
 */
#ifndef FIDELITY_CLOCK_H
#define FIDELITY_CLOCK_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

__u64 fidelity_now;

#define bpf_ktime_get_ns() (*(volatile __u64 *)&fidelity_now)

#endif
