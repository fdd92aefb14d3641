/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a change of a cluster's map moves: the owners of requested URLs in two maps, in keys and
 * requests. A key counts once for each pair of owners that it has: assigned prefixes may divide it.
 */
#ifndef XDP_ICP_CLUSTER_PLAN_H
#define XDP_ICP_CLUSTER_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cluster/membership.h"
#include "url_key.h"

/* The two maps. */
enum {
	PLAN_BEFORE,
	PLAN_AFTER,
	PLAN_MAPS
};

struct plan_sum {
	uint64_t keys, requests;
};

/* A member, a verdict that all members give (ICP_OP_MISS), or "-" for no member. */
struct plan_owner {
	const char *name;
	const struct cluster_member *members[PLAN_MAPS]; /* NULL: not in that map */
	struct plan_sum sums[PLAN_MAPS];
};

/* From one owner to another. */
struct plan_move {
	unsigned int from, to; /* numbers of owners */
	struct plan_sum sum;
};

struct plan_result {
	struct plan_sum all, moved;
	struct plan_owner *owners; /* members by name, then all verdicts, and "-" */
	size_t owner_count;
	struct plan_move *moves; /* most requests first */
	size_t move_count;
};

struct plan;

/* The maps must outlive the plan. NULL: out of memory. */
struct plan *plan_new(const struct membership *before, const struct membership *after,
		      const struct url_key_form *form);
void plan_free(struct plan *plan); /* NULL is ignored */

/* Count a request for a URL of `length` bytes. -1 with an error: out of memory, or too many keys. */
int plan_add(struct plan *plan, const char *url, size_t length, struct error *error);

/* Return the result, owned by the plan, to which nothing can be added then. NULL: out of memory. */
const struct plan_result *plan_finish(struct plan *plan);

/* The share of a map's members by weight, from 0 to 1; 0 for others and for one that is drained. */
double plan_share(const struct membership *map, const struct cluster_member *member);

#endif
