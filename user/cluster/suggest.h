/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Assignments of prefixes that balance requests: each member gets its share by weight, within a
 * tolerance, with few assignments. Keys are not divided. The search is greedy, so fewer assignments
 * may be possible.
 */
#ifndef XDP_ICP_CLUSTER_SUGGEST_H
#define XDP_ICP_CLUSTER_SUGGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cluster/membership.h"
#include "url_key.h"

#define SUGGEST_TOLERANCE 0.05 /* of a member's share */
#define SUGGEST_MAX 1000u      /* assignments */

struct suggestion {
	const char *prefix; /* without a NUL; lives as long as the search */
	size_t length;
	unsigned int to;   /* number of a member of the map */
	uint64_t requests; /* that its URLs have, whoever has had them */
};

struct suggest_member {
	double wanted; /* requests, the share by weight */
	uint64_t before, after;
};

struct suggest_result {
	uint64_t requests; /* of the members; those that have a verdict for all do not count */
	struct suggest_member *members; /* as many as the map has */
	struct suggestion *list;
	size_t count;
	bool balanced; /* all within the tolerance */
	struct suggestion
		hottest; /* the most requested key, and whose it is then; without requests: none */
};

struct suggest;

/* The map must outlive it. NULL: out of memory. */
struct suggest *suggest_new(const struct membership *map, const struct url_key_form *form);
void suggest_free(struct suggest *suggest); /* NULL is ignored */

/* Count a request for a URL of `length` bytes. -1 with an error: out of memory, or too many keys. */
int suggest_add(struct suggest *suggest, const char *url, size_t length, struct error *error);

/* Search. The argument owns the result; nothing can be added then. NULL: out of memory. */
const struct suggest_result *suggest_finish(struct suggest *suggest);

#endif
