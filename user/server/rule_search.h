/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which rule decides each of some URLs. A lookup in the pinned map tells the verdict, but not how
 * long the rule is that it found; here one walk through all rules, in steps, serves all the URLs.
 */
#ifndef XDP_ICP_RULE_SEARCH_H
#define XDP_ICP_RULE_SEARCH_H

#include <stdbool.h>
#include <stddef.h>

#include "server/rules.h"

/* Begins as zeroes. */
struct rule_search {
	struct rule_search_url {
		char *url;
		size_t length;
		size_t tag;    /* of the caller's */
		bool found;    /* there is such a rule */
		size_t prefix; /* bytes of the URL that the longest rule has */
	} * urls;
	size_t count;
	bool sorted;
	struct rules_cursor cursor; /* `done`: the search is over */
};

/* Adds a copy of a URL, before the first step. 0, or -1 without memory. */
int rule_search_add(struct rule_search *search, const char *url, size_t length, size_t tag);

/* Looks at RULES_STEP more rules. 0, or -1 and `error`. */
int rule_search_step(struct rule_search *search, struct rules *rules, struct error *error);

void rule_search_free(struct rule_search *search);

#endif
