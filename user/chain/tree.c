// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/random.h>

#include "chain/tree.h"

#define WAITING_MAX 32u /* a power of two */

/*
 * A node whose bucket is being prefetched: buckets are cold, and waiting for each would take most
 * of the time.
 */
struct waiting_node {
	struct prefix_node node;
	uint32_t home;
};

struct builder {
	struct prefix_tree *tree;
	const struct prefix_entry *entries;
	struct prefix_bucket *buckets;
	struct prefix_line *lines;
	uint32_t next_line;
	struct waiting_node waiting[WAITING_MAX];
	size_t inserted, begun; /* nodes so far */
};

/* The entries from `begin` up to `end`, which share their first `head` bytes and are longer. */
struct group {
	size_t begin, end;
	uint32_t head;
	const struct prefix_entry *exact; /* the head itself as an entry, or NULL */
	uint16_t answer;		  /* of the longest entry that is a prefix of the head */
};

/* Half full: six in seven buckets have a free slot, which ends a lookup. */
static size_t home_buckets(size_t entries)
{
	return (2 * entries + PREFIX_BUCKET_NODES - 1) / PREFIX_BUCKET_NODES;
}

size_t prefix_tree_buckets(size_t entries)
{
	return home_buckets(entries) + PREFIX_PROBE_MAX;
}

size_t prefix_tree_lines(const struct prefix_entry *entries, size_t count)
{
	size_t lines = 0;

	for (size_t i = 0; i < count; i++)
		lines += PREFIX_LINES(entries[i].length);
	return lines;
}

static uint64_t hash_text(const struct prefix_keys *keys, const char *text, uint32_t length)
{
	__u64 words[PREFIX_WORDS + 1];

	words[length / ICP_WORD] = 0; /* of which not all bytes may be the text's */
	memcpy(words, text, length);
	return prefix_hash(keys, words, length);
}

/* Returns false if no slot is within reach of a lookup, or one on the way has the same tag. */
static bool insert_next(struct builder *builder)
{
	const struct waiting_node *next = &builder->waiting[builder->inserted++ % WAITING_MAX];

	for (uint32_t at = next->home; at <= next->home + PREFIX_PROBE_MAX; at++) {
		struct prefix_node *nodes = builder->buckets[at].node;

		for (size_t i = 0; i < PREFIX_BUCKET_NODES; i++) {
			if (nodes[i].tag == next->node.tag)
				return false;
			if (!nodes[i].tag) {
				nodes[i] = next->node;
				return true;
			}
		}
	}
	return false;
}

/* Begin to insert a node, after those that wait. Returns false as insert_next() does. */
static bool insert_node(struct builder *builder, struct prefix_node node, const char *text,
			uint32_t head)
{
	uint64_t hash = hash_text(&builder->tree->keys, text, head);
	uint32_t home = prefix_home(hash, builder->tree->buckets);

	if (builder->begun - builder->inserted == WAITING_MAX && !insert_next(builder))
		return false;
	node.tag = prefix_tag(hash);
	builder->waiting[builder->begun++ % WAITING_MAX] = (struct waiting_node){ node, home };
	__builtin_prefetch(&builder->buckets[home], 1);
	return true;
}

static bool insert_waiting(struct builder *builder)
{
	while (builder->inserted < builder->begun)
		if (!insert_next(builder))
			return false;
	return true;
}

static uint32_t store_text(struct builder *builder, const struct prefix_entry *entry)
{
	uint32_t line = builder->next_line;
	size_t lines = PREFIX_LINES(entry->length);
	char *place = builder->lines[line].text;

	memcpy(place, entry->text, entry->length);
	memset(place + entry->length, 0, lines * PREFIX_LINE - entry->length);
	builder->next_line += lines;
	return line;
}

static bool begins_with(const struct prefix_entry *entry, const struct prefix_entry *prefix)
{
	return prefix->length <= entry->length &&
	       memcmp(entry->text, prefix->text, prefix->length) == 0;
}

/* Return the shortest entry of a group; `*next` is the length of the shortest of the others, or 0. */
static size_t find_leaf(const struct builder *builder, const struct group *group, uint16_t *next)
{
	const struct prefix_entry *entries = builder->entries;
	size_t leaf = group->begin;

	*next = 0;
	for (size_t i = group->begin + 1; i < group->end; i++) {
		uint16_t longer = entries[i].length;

		if (longer < entries[leaf].length) {
			longer = entries[leaf].length;
			leaf = i;
		}
		if (*next == 0 || longer < *next)
			*next = longer;
	}
	return leaf;
}

/*
 * Return the group of entries from `begin` on that share `head` bytes. The parent's leaf, which may
 * be shorter, is never in it: as a prefix of these entries, it would precede them.
 */
static struct group next_group(const struct builder *builder, size_t begin, size_t end,
			       uint32_t head)
{
	const struct prefix_entry *entries = builder->entries;
	struct group group = { .begin = begin, .end = begin + 1, .head = head };

	while (group.end < end && entries[group.end].length >= head &&
	       memcmp(entries[group.end].text, entries[begin].text, head) == 0)
		group.end++;
	if (entries[begin].length == head) {
		group.exact = &entries[begin];
		group.begin++;
	}
	return group;
}

static bool build_below(struct builder *builder, const struct group *group, size_t leaf,
			uint32_t next);

/* Insert the group's node and those below it. Returns false if other keys are needed. */
static bool build_group(struct builder *builder, const struct group *group)
{
	bool is_root = group->head == 0;
	struct prefix_node node = { .answer = group->answer };
	const struct prefix_entry *text = group->exact;
	size_t leaf = group->begin;

	if (group->begin < group->end) {
		leaf = find_leaf(builder, group, &node.next);
		text = &builder->entries[leaf];
		node.leaf = text->length;
		node.leaf_answer = text->answer;
	} else {
		node.leaf = group->head;
		node.leaf_answer = group->answer;
	}
	if (text)
		node.text = store_text(builder, text);
	if (is_root)
		builder->tree->root = node;
	else if (!insert_node(builder, node, text->text, group->head))
		return false;
	return !node.next || build_below(builder, group, leaf, node.next);
}

static bool build_below(struct builder *builder, const struct group *group, size_t leaf,
			uint32_t next)
{
	const struct prefix_entry *entries = builder->entries;

	for (size_t i = group->begin; i < group->end;) {
		struct group below;

		if (i == leaf) {
			i++;
			continue;
		}
		below = next_group(builder, i, group->end, next);
		if (below.exact)
			below.answer = below.exact->answer;
		else if (begins_with(&entries[i], &entries[leaf]))
			below.answer = entries[leaf].answer;
		else
			below.answer = group->answer;
		i = below.end;
		if (!build_group(builder, &below))
			return false;
	}
	return true;
}

int prefix_tree_build(struct prefix_tree *tree, const struct prefix_entry *entries, size_t count,
		      struct prefix_bucket *buckets, struct prefix_line *lines)
{
	struct builder builder = {
		.tree = tree, .entries = entries, .buckets = buckets, .lines = lines
	};
	struct group all = { .end = count };

	*tree = (struct prefix_tree){ .buckets = home_buckets(count) };
	for (size_t i = 0; i < count; i++)
		if (entries[i].length > tree->longest)
			tree->longest = entries[i].length;
	if (count && entries[0].length == 0) {
		all.exact = &entries[0];
		all.answer = entries[0].answer;
		all.begin = 1;
	}
	/* Of trees with a million nodes about one in a thousand needs a second try: two have one tag. */
	for (int tries = 0; tries < 100; tries++) {
		if (getrandom(&tree->keys, sizeof(tree->keys), 0) != sizeof(tree->keys))
			return -1;
		memset(buckets, 0, prefix_tree_buckets(count) * sizeof(*buckets));
		builder.next_line = 0;
		builder.inserted = builder.begun = 0;
		if (build_group(&builder, &all) && insert_waiting(&builder))
			return 0;
	}
	errno = EAGAIN;
	return -1;
}
