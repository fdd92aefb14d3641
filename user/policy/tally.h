/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How often something has decided a query: a policy, the default, the rules, a drain. A policy shares
 * its tally with the one of the same name in the next chain, so that it only grows.
 */
#ifndef XDP_ICP_POLICY_TALLY_H
#define XDP_ICP_POLICY_TALLY_H

#include <stdatomic.h>
#include <stdint.h>
#include <time.h>

#include "icp.h"

#define TALLY_VERDICTS (ICP_OP_DENIED + 1) /* the greatest, and 0 */

/* In cache lines of its own, because all threads write to it. */
struct decider_counts {
	_Atomic uint64_t verdicts[TALLY_VERDICTS] __attribute__((aligned(64))); /* by opcode */
	_Atomic time_t last; /* seconds since 1970; 0: never */
};

struct decider_tally {
	struct decider_counts daemon, kernel;
	time_t created; /* by tally_new(), in seconds since 1970; else 0 */
	atomic_uint references;
};

/* Return a tally with one reference. NULL: out of memory. */
struct decider_tally *tally_new(void);

/* Thread-safe. The last tally_unref() frees it. */
struct decider_tally *tally_ref(struct decider_tally *tally);
void tally_unref(struct decider_tally *tally);

/* Add a number of decisions, the last of them now. Thread-safe. */
void tally_add(struct decider_counts *counts, enum icp_opcode verdict, uint64_t more, time_t now);

#endif
