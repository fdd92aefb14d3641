// SPDX-License-Identifier: GPL-2.0-or-later
#include "xdp-icpd/memory.h"

#define STORED_PER_SECOND 10000 /* decisions */

/* A flood of URLs that never come again must not keep the daemon busy. */
static bool is_too_much(struct memory *memory)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	if (now.tv_sec != memory->second) {
		memory->second = now.tv_sec;
		memory->count = 0;
	}
	return memory->count++ >= STORED_PER_SECOND;
}

void memory_store(void *context, const struct query *query, const struct chain_decision *decision)
{
	struct memory *memory = context;

	/* What ranks before the horizon the kernel decides itself. */
	if (!decision->cacheable || !memory->enabled || decision->chain != memory->chain ||
	    decision->rank < memory->horizon || is_too_much(memory))
		return;
	kernel_remember(
		memory->kernel, query->url, query->length, &query->source,
		candidate_of(decision->rank, decision->verdict.opcode, decision->verdict.cost),
		decision->expires);
}
