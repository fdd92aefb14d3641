// SPDX-License-Identifier: GPL-2.0-or-later
#include "support/trees.h"

static const struct prefix_bucket *tree_bucket(void *context, __u32 index)
{
	struct tree *tree = context;

	tree->buckets_read++;
	return index < tree->bucket_count ? &tree->buckets[index] : NULL;
}

static const struct prefix_line *tree_line(void *context, __u32 index)
{
	struct tree *tree = context;

	tree->lines_read++;
	return index < tree->line_count ? &tree->lines[index] : NULL;
}

void tree_build(struct tree *tree, const struct prefix_entry *entries, size_t count)
{
	*tree = (struct tree){ .bucket_count = prefix_tree_buckets(count),
			       .line_count = prefix_tree_lines(entries, count) };
	tree->buckets = aligned_alloc(PREFIX_LINE, tree->bucket_count * PREFIX_LINE);
	tree->lines = aligned_alloc(PREFIX_LINE, (tree->line_count + 1) * PREFIX_LINE);
	assert_non_null(tree->buckets);
	assert_non_null(tree->lines);
	memset(tree->buckets, 0x55, tree->bucket_count * PREFIX_LINE);
	memset(tree->lines, 0x55, (tree->line_count + 1) * PREFIX_LINE);
	assert_int_equal(prefix_tree_build(&tree->tree, entries, count, tree->buckets, tree->lines),
			 0);
}

void tree_free(struct tree *tree)
{
	free(tree->buckets);
	free(tree->lines);
}

__u32 tree_find(struct tree *tree, const char *url, size_t length)
{
	__u64 words[PREFIX_WORDS + 1];
	struct prefix_cursor cursor;

	memset(words, 0x55, sizeof(words));
	memset(words, 0, (length / ICP_WORD + 1) * ICP_WORD);
	memcpy(words, url, length);
	return prefix_find(&tree->tree, words, length, tree_bucket, tree_line, tree, &cursor);
}
