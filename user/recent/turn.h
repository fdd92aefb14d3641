/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Turns of the main thread. What feeds a store may come faster than it can be processed, and the main
 * thread has gates and queries to serve: work is done in short turns, and after each the feed rests
 * several times as long as the turn took.
 */
#ifndef XDP_ICP_RECENT_TURN_H
#define XDP_ICP_RECENT_TURN_H

#include <sys/time.h>

#include "lib/clock.h"

#define TURN_NS 1000000 /* nanoseconds after which no more work is begun */
#define TURN_REST 4	/* times as long as the turn */

struct turn {
	uint64_t began; /* nanoseconds */
};

static inline struct turn turn_begin(void)
{
	return (struct turn){ clock_ns(CLOCK_MONOTONIC) };
}

static inline bool turn_is_over(const struct turn *turn)
{
	return clock_ns(CLOCK_MONOTONIC) - turn->began >= TURN_NS;
}

/* How long the feed rests if there is more to do, at least a millisecond. */
static inline struct timeval turn_rest(const struct turn *turn)
{
	uint64_t rest = (clock_ns(CLOCK_MONOTONIC) - turn->began) * TURN_REST / 1000 + 1000;

	return (struct timeval){ rest / 1000000, rest % 1000000 };
}

#endif
