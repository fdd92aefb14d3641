/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How long the daemon took: from the kernel's receipt of a query, so that time in the socket's
 * buffer counts too, until the reply was sent. Each thread counts separately.
 */
#ifndef XDP_ICP_LATENCY_H
#define XDP_ICP_LATENCY_H

#include <stdint.h>

#define LATENCY_BUCKETS 10 /* with an upper bound, in nanoseconds; one more has what takes longer */

extern const uint64_t latency_bounds[LATENCY_BUCKETS];

struct latency {
	uint64_t counts[LATENCY_BUCKETS + 1]; /* each of what is in no bucket before */
	uint64_t sum;			      /* nanoseconds */
};

/*
 * Count a reply that was sent at `now`, to a query of `received`, both in nanoseconds of the system's
 * time. 0: unknown. Neither that nor a time in the future, after a change of the clock, is counted.
 */
void latency_count(struct latency *latency, uint64_t received, uint64_t now);

/* Add `more` to `sum`. */
void latency_add(struct latency *sum, const struct latency *more);

#endif
