/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The table of include/recent.h, for its only writer. Others read it meanwhile: keys are inserted
 * and removed atomically, and never move.
 */
#ifndef XDP_ICP_RECENT_TABLE_H
#define XDP_ICP_RECENT_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "recent.h"

/* The memory, RECENT_SLOTS(homes) slots, is the caller's; zero, or what an earlier writer has left. */
struct recent_table {
	struct recent_slot *slots;
	uint32_t homes; /* at least 1 */
};

/* Insert a key, or set when it expires (in nanoseconds). Returns false if there is no room for it. */
bool recent_table_put(const struct recent_table *table, const struct recent_query *query,
		      uint64_t expires);

/* Remove a key, if it is there. */
void recent_table_remove(const struct recent_table *table, const struct recent_query *query);

/*
 * Free the slots of stores that are not among `kept`, which ends with 0. To begin, `end` is the number of
 * slots. A call looks at the `count` slots before it, and returns where the next one ends; 0: all is done.
 */
uint32_t recent_table_clear(const struct recent_table *table, uint32_t end, uint32_t count,
			    const uint32_t *kept);

#endif
