/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Builds the filter of grams; include/grams.h describes it. */
#ifndef XDP_ICP_CHAIN_GRAM_FILTER_H
#define XDP_ICP_CHAIN_GRAM_FILTER_H

#include "chain/tree.h"
#include "grams.h"

/* The number of buckets of a filter for so many texts. */
size_t gram_filter_buckets(size_t texts);

/*
 * Fill `buckets`, as many as above, and `grams` with a random key; first_bucket is left to the caller.
 * Texts have at least GRAM_MIN bytes. Returns 0, or -1 with errno: no random numbers.
 */
int gram_filter_build(struct gram_filter *grams, const struct prefix_entry *texts, size_t count,
		      struct prefix_bucket *buckets);

#endif
