/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Find the rule that decides each of several URLs. A lookup in the pinned map returns the verdict,
 * but not the length of the rule; one walk through all rules, in steps, serves all URLs.
 */
#ifndef XDP_ICP_RULE_SEARCH_H
#define XDP_ICP_RULE_SEARCH_H

#include <stdbool.h>
#include <stddef.h>

#include "server/rules.h"

/* Zero-initialised. */
struct rule_search {
	struct rule_search_url {
		char *url;
		size_t length;
		size_t tag;    /* for the caller */
		bool found;    /* a rule matches */
		size_t prefix; /* length of the longest matching rule, in bytes */
	} * urls;
	size_t count;
	bool sorted;
	struct rules_cursor cursor; /* `done`: the search is complete */
};

/* Add a copy of a URL, before the first step. Return 0, or -1 without memory. */
int rule_search_add(struct rule_search *search, const char *url, size_t length, size_t tag);

/* Compare with the next RULES_STEP rules. Return 0, or -1 and `error`. */
int rule_search_step(struct rule_search *search, struct rules *rules, struct error *error);

void rule_search_free(struct rule_search *search);

#endif
