// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdlib.h>
#include <string.h>

#include "policy/tally.h"

struct decider_tally *tally_new(void)
{
	struct decider_tally *tally = aligned_alloc(_Alignof(struct decider_tally), sizeof(*tally));

	if (tally) {
		memset(tally, 0, sizeof(*tally));
		tally->references = 1;
		tally->created = time(NULL);
	}
	return tally;
}

struct decider_tally *tally_ref(struct decider_tally *tally)
{
	tally->references++;
	return tally;
}

void tally_unref(struct decider_tally *tally)
{
	if (tally && --tally->references == 0)
		free(tally);
}

void tally_add(struct decider_counts *counts, enum icp_opcode verdict, uint64_t more, time_t now)
{
	atomic_fetch_add_explicit(&counts->verdicts[verdict], more, memory_order_relaxed);
	atomic_store_explicit(&counts->last, now, memory_order_relaxed);
}
