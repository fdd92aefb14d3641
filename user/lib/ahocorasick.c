// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdint.h>
#include <stdlib.h>

#include "lib/ahocorasick.h"
#include "lib/bytesort.h"

#define ROOT 0
#define NONE UINT32_MAX

/*
 * The nodes of a trie of the patterns, sorted by depth. A node's children are adjacent and sorted:
 * the children of node i are the nodes children[i] to children[i + 1] - 1.
 */
struct ahocorasick {
	size_t count;	    /* of nodes */
	uint32_t *children; /* count + 1 entries */
	uint32_t *fail;	    /* the node of the longest proper suffix in the trie */
	uint32_t *first;    /* lowest index of a pattern that ends here or in a suffix, or NONE */
	uint8_t *byte;	    /* on the edge from the parent */
	uint32_t from_root[256]; /* the root's children by byte; ROOT: none */
};

/* While the trie is built: the sorted patterns that begin with a node's string. */
struct range {
	uint32_t begin, end;
};

/* Each pattern adds a node for each byte that it does not share with the one before. */
static size_t count_nodes(const struct bytesort_item *patterns, size_t count)
{
	size_t nodes = 1;

	for (size_t i = 0; i < count; i++) {
		size_t shared = 0;

		while (i && shared < patterns[i].length && shared < patterns[i - 1].length &&
		       patterns[i].text[shared] == patterns[i - 1].text[shared])
			shared++;
		nodes += patterns[i].length - shared;
	}
	return nodes;
}

/* Build the trie level by level; `ranges` has room for all nodes. */
static void build_trie(struct ahocorasick *automaton, const struct bytesort_item *patterns,
		       size_t pattern_count, struct range *ranges)
{
	size_t built = 1, level_end = 1, depth = 0;

	ranges[ROOT] = (struct range){ 0, pattern_count };
	for (size_t node = 0; node < automaton->count; node++) {
		struct range range = ranges[node];

		if (node == level_end) {
			level_end = built;
			depth++;
		}
		automaton->children[node] = built;
		automaton->first[node] = NONE;
		/* Sorted: patterns that end here come first, and of equals the lowest index. */
		if (range.begin < range.end && patterns[range.begin].length == depth)
			automaton->first[node] = patterns[range.begin].number;
		while (range.begin < range.end && patterns[range.begin].length == depth)
			range.begin++;
		while (range.begin < range.end) {
			uint8_t byte = (uint8_t)patterns[range.begin].text[depth];

			automaton->byte[built] = byte;
			ranges[built].begin = range.begin;
			while (range.begin < range.end &&
			       (uint8_t)patterns[range.begin].text[depth] == byte)
				range.begin++;
			ranges[built++].end = range.begin;
		}
	}
	automaton->children[automaton->count] = built;
}

/* Return a node's child by binary search, not for the root; ROOT: there is none. */
static uint32_t child(const struct ahocorasick *automaton, uint32_t node, uint8_t byte)
{
	uint32_t low = automaton->children[node], high = automaton->children[node + 1];

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (automaton->byte[middle] == byte)
			return middle;
		if (automaton->byte[middle] < byte)
			low = middle + 1;
		else
			high = middle;
	}
	return ROOT;
}

static uint32_t step(const struct ahocorasick *automaton, uint32_t node, uint8_t byte)
{
	while (node != ROOT) {
		uint32_t next = child(automaton, node, byte);

		if (next != ROOT)
			return next;
		node = automaton->fail[node];
	}
	return automaton->from_root[byte];
}

/* By depth: the links and `first` of the parent and of all shorter suffixes are set already. */
static void link_suffixes(struct ahocorasick *automaton)
{
	automaton->fail[ROOT] = ROOT;
	for (uint32_t i = automaton->children[ROOT]; i < automaton->children[ROOT + 1]; i++) {
		automaton->from_root[automaton->byte[i]] = i;
		automaton->fail[i] = ROOT;
	}
	for (uint32_t node = 0; node < automaton->count; node++) {
		for (uint32_t i = automaton->children[node];
		     node != ROOT && i < automaton->children[node + 1]; i++)
			automaton->fail[i] =
				step(automaton, automaton->fail[node], automaton->byte[i]);
		if (automaton->first[automaton->fail[node]] < automaton->first[node])
			automaton->first[node] = automaton->first[automaton->fail[node]];
	}
}

static struct ahocorasick *allocate(size_t nodes)
{
	struct ahocorasick *automaton = calloc(1, sizeof(*automaton));

	if (!automaton)
		return NULL;
	automaton->count = nodes;
	automaton->children = calloc(nodes + 1, sizeof(*automaton->children));
	automaton->fail = calloc(nodes, sizeof(*automaton->fail));
	automaton->first = calloc(nodes, sizeof(*automaton->first));
	automaton->byte = calloc(nodes, sizeof(*automaton->byte));
	if (!automaton->children || !automaton->fail || !automaton->first || !automaton->byte) {
		ahocorasick_free(automaton);
		return NULL;
	}
	return automaton;
}

struct ahocorasick *ahocorasick_new(const char *const *patterns, const size_t *lengths,
				    size_t count)
{
	struct ahocorasick *automaton = NULL;
	struct bytesort_item *sorted = calloc(count ? count : 1, sizeof(*sorted));
	struct range *ranges = NULL;
	size_t total = 0, nodes;

	if (!sorted)
		goto out;
	for (size_t i = 0; i < count; i++) {
		total += lengths[i] + 1;
		if (total >= NONE)
			goto out; /* node numbers would overflow */
		sorted[i] = (struct bytesort_item){
			.text = patterns[i],
			.length = lengths[i],
			.number = i,
		};
	}
	bytesort(sorted, count);
	nodes = count_nodes(sorted, count);
	ranges = calloc(nodes, sizeof(*ranges));
	automaton = ranges ? allocate(nodes) : NULL;
	if (!automaton)
		goto out;
	build_trie(automaton, sorted, count, ranges);
	link_suffixes(automaton);
out:
	free(ranges);
	free(sorted);
	return automaton;
}

void ahocorasick_free(struct ahocorasick *automaton)
{
	if (!automaton)
		return;
	free(automaton->children);
	free(automaton->fail);
	free(automaton->first);
	free(automaton->byte);
	free(automaton);
}

size_t ahocorasick_first(const struct ahocorasick *automaton, const char *text, size_t length)
{
	uint32_t node = ROOT, first = automaton->first[ROOT];

	for (size_t i = 0; i < length && first != 0; i++) {
		node = step(automaton, node, (uint8_t)text[i]);
		if (automaton->first[node] < first)
			first = automaton->first[node];
	}
	return first == NONE ? AHOCORASICK_NONE : first;
}
