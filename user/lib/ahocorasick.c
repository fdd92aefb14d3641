// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdint.h>
#include <stdlib.h>

#include "lib/ahocorasick.h"
#include "lib/bytesort.h"

#define ROOT 0
#define NONE UINT32_MAX

/*
 * The nodes of a trie of the texts in the order of their depth, each node's children side by
 * side and sorted: the children of node i are the nodes children[i] to children[i + 1] - 1.
 */
struct ahocorasick {
	size_t count;		 /* of nodes */
	uint32_t *children;	 /* count + 1 of them */
	uint32_t *fail;		 /* the node of the longest proper suffix that is in the trie */
	uint32_t *first;	 /* the first listed text that ends here or in a suffix, or NONE */
	uint8_t *byte;		 /* that leads to the node from its parent */
	uint32_t from_root[256]; /* the root's children once more; ROOT where there is none */
};

/* While the trie is made, a node stands for the sorted texts that begin as it says. */
struct range {
	uint32_t begin, end; /* in the sorted texts */
};

/* Counts the nodes: each text adds those beyond what it shares with the one before. */
static size_t count_nodes(const struct bytesort_item *texts, size_t count)
{
	size_t nodes = 1;

	for (size_t i = 0; i < count; i++) {
		size_t shared = 0;

		while (i && shared < texts[i].length && shared < texts[i - 1].length &&
		       texts[i].text[shared] == texts[i - 1].text[shared])
			shared++;
		nodes += texts[i].length - shared;
	}
	return nodes;
}

/* Makes the trie level by level; `ranges` has room for all nodes. */
static void make_nodes(struct ahocorasick *search, const struct bytesort_item *texts,
		       size_t text_count, struct range *ranges)
{
	size_t made = 1, level_end = 1, depth = 0;

	ranges[ROOT] = (struct range){ 0, text_count };
	for (size_t node = 0; node < search->count; node++) {
		struct range range = ranges[node];

		if (node == level_end) {
			level_end = made;
			depth++;
		}
		search->children[node] = made;
		search->first[node] = NONE;
		/* Sorted: what ends here comes first, and first of equals is the first listed. */
		if (range.begin < range.end && texts[range.begin].length == depth)
			search->first[node] = texts[range.begin].number;
		while (range.begin < range.end && texts[range.begin].length == depth)
			range.begin++;
		while (range.begin < range.end) {
			uint8_t byte = (uint8_t)texts[range.begin].text[depth];

			search->byte[made] = byte;
			ranges[made].begin = range.begin;
			while (range.begin < range.end &&
			       (uint8_t)texts[range.begin].text[depth] == byte)
				range.begin++;
			ranges[made++].end = range.begin;
		}
	}
	search->children[search->count] = made;
}

/* The child of a node but the root, by binary search; ROOT: it has none of that byte. */
static uint32_t child(const struct ahocorasick *search, uint32_t node, uint8_t byte)
{
	uint32_t low = search->children[node], high = search->children[node + 1];

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (search->byte[middle] == byte)
			return middle;
		if (search->byte[middle] < byte)
			low = middle + 1;
		else
			high = middle;
	}
	return ROOT;
}

static uint32_t step(const struct ahocorasick *search, uint32_t node, uint8_t byte)
{
	while (node != ROOT) {
		uint32_t next = child(search, node, byte);

		if (next != ROOT)
			return next;
		node = search->fail[node];
	}
	return search->from_root[byte];
}

/* Parents come before their children, and a suffix is shorter: all that is needed is there. */
static void link_suffixes(struct ahocorasick *search)
{
	search->fail[ROOT] = ROOT;
	for (uint32_t i = search->children[ROOT]; i < search->children[ROOT + 1]; i++) {
		search->from_root[search->byte[i]] = i;
		search->fail[i] = ROOT;
	}
	for (uint32_t node = 0; node < search->count; node++) {
		for (uint32_t i = search->children[node];
		     node != ROOT && i < search->children[node + 1]; i++)
			search->fail[i] = step(search, search->fail[node], search->byte[i]);
		if (search->first[search->fail[node]] < search->first[node])
			search->first[node] = search->first[search->fail[node]];
	}
}

static struct ahocorasick *allocate(size_t nodes)
{
	struct ahocorasick *search = calloc(1, sizeof(*search));

	if (!search)
		return NULL;
	search->count = nodes;
	search->children = calloc(nodes + 1, sizeof(*search->children));
	search->fail = calloc(nodes, sizeof(*search->fail));
	search->first = calloc(nodes, sizeof(*search->first));
	search->byte = calloc(nodes, sizeof(*search->byte));
	if (!search->children || !search->fail || !search->first || !search->byte) {
		ahocorasick_free(search);
		return NULL;
	}
	return search;
}

struct ahocorasick *ahocorasick_new(const char *const *texts, const size_t *lengths, size_t count)
{
	struct ahocorasick *search = NULL;
	struct bytesort_item *sorted = calloc(count ? count : 1, sizeof(*sorted));
	struct range *ranges = NULL;
	size_t total = 0, nodes;

	if (!sorted)
		goto out;
	for (size_t i = 0; i < count; i++) {
		total += lengths[i] + 1;
		if (total >= NONE)
			goto out; /* there could be more nodes than numbers */
		sorted[i] = (struct bytesort_item){
			.text = texts[i],
			.length = lengths[i],
			.number = i,
		};
	}
	bytesort(sorted, count);
	nodes = count_nodes(sorted, count);
	ranges = calloc(nodes, sizeof(*ranges));
	search = ranges ? allocate(nodes) : NULL;
	if (!search)
		goto out;
	make_nodes(search, sorted, count, ranges);
	link_suffixes(search);
out:
	free(ranges);
	free(sorted);
	return search;
}

void ahocorasick_free(struct ahocorasick *search)
{
	if (!search)
		return;
	free(search->children);
	free(search->fail);
	free(search->first);
	free(search->byte);
	free(search);
}

size_t ahocorasick_first(const struct ahocorasick *search, const char *text, size_t length)
{
	uint32_t node = ROOT, first = search->first[ROOT];

	for (size_t i = 0; i < length && first != 0; i++) {
		node = step(search, node, (uint8_t)text[i]);
		if (search->first[node] < first)
			first = search->first[node];
	}
	return first == NONE ? AHOCORASICK_NONE : first;
}
