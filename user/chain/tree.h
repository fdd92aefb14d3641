/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Builds the tree of prefixes in which prefix_find() looks (include/prefix.h says what it is). */
#ifndef XDP_ICP_PREFIX_TREE_H
#define XDP_ICP_PREFIX_TREE_H

#include <stddef.h>
#include <stdint.h>

#include "prefix.h"

struct prefix_entry {
	const char *text; /* no NUL follows */
	uint16_t length;  /* bytes, 0 to PREFIX_MAX; a whole URL counts its NUL */
	uint16_t answer;  /* 1 to PREFIX_ANSWER_MAX */
};

/* The buckets that a tree of so many prefixes takes. */
size_t prefix_tree_buckets(size_t entries);

/* The lines that their texts take, at most. */
size_t prefix_tree_lines(const struct prefix_entry *entries, size_t count);

/*
 * Fills `buckets` and `lines`, which are as many as a tree of these entries takes, and `tree` with
 * random keys; where in the arrays they lie is left to the caller (first_bucket, first_line). The
 * entries are sorted by their bytes, a prefix before what begins with it, no two with the same
 * text. Returns 0, or -1 and errno: no random numbers, or none (EAGAIN) with which all nodes find
 * a place.
 */
int prefix_tree_build(struct prefix_tree *tree, const struct prefix_entry *entries, size_t count,
		      struct prefix_bucket *buckets, struct prefix_line *lines);

#endif
