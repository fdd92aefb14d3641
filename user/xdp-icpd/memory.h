/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The daemon's decisions that the kernel remembers. */
#ifndef XDP_ICP_DAEMON_MEMORY_H
#define XDP_ICP_DAEMON_MEMORY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <time.h>

#include "chain/chain.h"
#include "icp/query.h"
#include "xdp/kernel.h"

/* Changed only while the workers pause: no decision of one chain is stored under another. */
struct memory {
	bool enabled;
	struct kernel *kernel;
	const struct chain *chain; /* the active one, in the kernel too */
	uint32_t horizon;	   /* rank, of the kernel's chain */

	_Atomic time_t second; /* of the monotonic clock */
	atomic_uint count;     /* decisions stored in it */
};

/*
 * Store a decision in the kernel if it may be remembered; `memory` is a struct memory. May run in
 * any thread of the server; a callback of the responder.
 */
void memory_store(void *memory, const struct query *query, const struct chain_decision *decision);

#endif
