/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Builds the tree of prefixes for prefix_find(); include/prefix.h describes it. */
#ifndef XDP_ICP_CHAIN_TREE_H
#define XDP_ICP_CHAIN_TREE_H

#include <stddef.h>
#include <stdint.h>

#include "prefix.h"

struct prefix_entry {
	const char *text; /* not NUL-terminated */
	uint16_t length;  /* bytes, 0 to PREFIX_MAX; includes the NUL of a whole URL */
	uint16_t
		answer; /* to PREFIX_ANSWER_MAX; PREFIX_NO_ANSWER: URLs with this longest match have none */
};

/* The number of buckets of a tree of so many prefixes. */
size_t prefix_tree_buckets(size_t entries);

/* An upper bound of the lines for their texts. */
size_t prefix_tree_lines(const struct prefix_entry *entries, size_t count);

/*
 * Build a tree: fill `buckets` and `lines`, sized by the functions above, and `tree` with random
 * keys; first_bucket and first_line are left to the caller. The entries are sorted by their bytes, a
 * prefix before longer texts, without duplicates. Returns 0, or -1 with errno: no random numbers, or
 * EAGAIN if no keys were found with which all nodes fit.
 */
int prefix_tree_build(struct prefix_tree *tree, const struct prefix_entry *entries, size_t count,
		      struct prefix_bucket *buckets, struct prefix_line *lines);

#endif
