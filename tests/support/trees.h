/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A tree of prefixes in memory, and lookups that count the lines they touch. */
#ifndef XDP_ICP_TEST_TREES_H
#define XDP_ICP_TEST_TREES_H

#include "chain/tree.h"
#include "support/test.h"

struct tree {
	struct prefix_tree tree;
	size_t bucket_count, line_count;
	struct prefix_bucket *buckets;
	struct prefix_line *lines;
	unsigned int buckets_read, lines_read;
};

/* `entries` as for prefix_tree_build(). Memory that it does not write holds garbage. */
void tree_build(struct tree *tree, const struct prefix_entry *entries, size_t count);
void tree_free(struct tree *tree);

/* prefix_find() for `length` bytes and a NUL, followed by garbage, as in the program. */
__u32 tree_find(struct tree *tree, const char *url, size_t length);

#endif
