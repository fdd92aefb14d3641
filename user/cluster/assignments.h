/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The assigned prefixes of a map, in the order of their bytes, each once. They are in blocks, which
 * are immutable and reference-counted: the next map of a cluster shares those that it does not
 * change. So one change among a million takes the time and the memory of one block.
 */
#ifndef XDP_ICP_CLUSTER_ASSIGNMENTS_H
#define XDP_ICP_CLUSTER_ASSIGNMENTS_H

#include <stdbool.h>
#include <stddef.h>

#include "icp.h"

struct cluster_assignment {
	const char *prefix; /* any bytes but white space and NUL, with a NUL behind them */
	size_t length;	    /* bytes, 1 to MEMBERSHIP_PREFIX_MAX */
	const char *member; /* may name no current member; NULL: the verdict is for all */
	enum icp_opcode verdict;
};

struct assignment_block;

struct assignments {
	size_t count;
	size_t text_size; /* bytes of all texts, with their NULs */
	size_t block_count;
	const struct assignment_block **blocks; /* none is empty */
};

/* Drop the references, in any thread. */
void assignments_free(struct assignments *assignments);

/* A place in the list: before an assignment, or at the end. Valid as long as the list. */
struct assignment_cursor {
	const struct assignments *of;
	size_t block, index;
};

/* The first place, and the one before the first assignment that is greater than a prefix. */
struct assignment_cursor assignments_begin(const struct assignments *assignments);
struct assignment_cursor assignments_behind(const struct assignments *assignments,
					    const char *prefix, size_t length);

/* Return the assignment at the place; NULL: it is the end. */
const struct cluster_assignment *assignments_at(const struct assignment_cursor *cursor);

/* The same, and move on behind it. */
const struct cluster_assignment *assignments_next(struct assignment_cursor *cursor);

/* Return the assignment of a prefix, or NULL. */
const struct cluster_assignment *assignments_find(const struct assignments *assignments,
						  const char *prefix, size_t length);

/* Are they the same? Takes hardly any time for blocks that both have. */
bool assignments_are_same(const struct assignments *a, const struct assignments *b);

/* --- making the next list, in order */

struct assignments_maker {
	struct assignments made;
	struct cluster_assignment *open; /* not in a block yet; the texts are the caller's */
	size_t open_count;
	bool failed; /* out of memory */
};

/* Append an assignment; its texts must last until the end. */
void assignments_add(struct assignments_maker *maker, const struct cluster_assignment *assignment);

/*
 * Share the block that begins at a place, if all its assignments are less than the prefix `before` (NULL:
 * any), and move on behind it. Returns false if there is none, or if it must be merged with others
 * because it is small.
 */
bool assignments_share(struct assignments_maker *maker, struct assignment_cursor *cursor,
		       const char *before, size_t length);

/* Move what was made to `assignments`. -1: out of memory; nothing is left then. */
int assignments_finish(struct assignments_maker *maker, struct assignments *assignments);

#endif
