// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdlib.h>
#include <string.h>

#include "automaton/tree.h"
#include "lib/vec.h"

#define NODES_MAX (1u << 18)

void bytes_add_range(struct bytes *set, uint8_t first, uint8_t last)
{
	for (unsigned int byte = first; byte <= last; byte++)
		bytes_add(set, byte);
}

void bytes_unite(struct bytes *set, const struct bytes *other)
{
	for (size_t i = 0; i < 4; i++)
		set->bit[i] |= other->bit[i];
}

void bytes_intersect(struct bytes *set, const struct bytes *other)
{
	for (size_t i = 0; i < 4; i++)
		set->bit[i] &= other->bit[i];
}

void bytes_invert(struct bytes *set)
{
	for (size_t i = 0; i < 4; i++)
		set->bit[i] = ~set->bit[i];
}

struct bytes bytes_of_urls(void)
{
	struct bytes set = { 0 };

	bytes_add(&set, 0);
	bytes_add_range(&set, '\t', '\r');
	bytes_add(&set, ' ');
	bytes_invert(&set);
	return set;
}

struct bytes bytes_of_words(void)
{
	struct bytes set = { 0 };

	bytes_add_range(&set, '0', '9');
	bytes_add_range(&set, 'A', 'Z');
	bytes_add_range(&set, 'a', 'z');
	bytes_add(&set, '_');
	return set;
}

void pattern_tree_free(struct tree *tree)
{
	free(tree->nodes);
}

uint32_t tree_add(struct tree *tree, enum tree_kind kind, struct error *error)
{
	struct tree_node *node;

	if (tree->count == 0) {
		node = vec_append(tree->nodes, tree->count);
		if (!node)
			goto no_memory;
		*node = (struct tree_node){ .kind = TREE_EMPTY };
	}
	if (tree->count == NODES_MAX) {
		error_write(error, "the list has more than %u characters and other items",
			    NODES_MAX);
		return 0;
	}
	node = vec_append(tree->nodes, tree->count);
	if (!node)
		goto no_memory;
	*node = (struct tree_node){ .kind = kind };
	return tree->count - 1;
no_memory:
	error_write(error, "out of memory");
	return 0;
}

uint32_t tree_add_set(struct tree *tree, const struct bytes *set, struct error *error)
{
	uint32_t node = tree_add(tree, TREE_SET, error);

	if (node)
		tree->nodes[node].set = *set;
	return node;
}

void tree_append(struct tree *tree, uint32_t parent, uint32_t child)
{
	struct tree_node *nodes = tree->nodes;

	nodes[child].previous = nodes[parent].last;
	if (nodes[parent].last)
		nodes[nodes[parent].last].next = child;
	else
		nodes[parent].first = child;
	nodes[parent].last = child;
}

/* A repetition without end of any byte. */
static bool is_anything(const struct tree *tree, uint32_t node)
{
	const struct tree_node *nodes = tree->nodes;
	const struct bytes all = bytes_of_urls();

	if (nodes[node].kind != TREE_REPEAT || nodes[node].max != TREE_NO_MAX ||
	    nodes[nodes[node].first].kind != TREE_SET)
		return false;
	for (size_t i = 0; i < 4; i++)
		if (all.bit[i] & ~nodes[nodes[node].first].set.bit[i])
			return false;
	return true;
}

bool tree_anchored(const struct tree *tree, uint32_t node, enum tree_kind at, bool *tight)
{
	const struct tree_node *nodes = tree->nodes;
	bool begin = at == TREE_BEGIN;
	uint32_t child;

	switch (nodes[node].kind) {
	case TREE_BEGIN:
	case TREE_END:
		return nodes[node].kind == at;
	case TREE_SEQUENCE:
		/* Nothing can stand outside of the anchor but what is empty. */
		for (child = begin ? nodes[node].first : nodes[node].last; child;
		     child = begin ? nodes[child].next : nodes[child].previous) {
			uint32_t inner = begin ? nodes[child].next : nodes[child].previous;

			if (!tree_anchored(tree, child, at, tight))
				continue;
			if (inner && is_anything(tree, inner))
				*tight = false;
			return true;
		}
		return false;
	case TREE_CHOICE:
		for (child = nodes[node].first; child; child = nodes[child].next)
			if (!tree_anchored(tree, child, at, tight))
				return false;
		return true;
	case TREE_REPEAT:
		return nodes[node].min > 0 && tree_anchored(tree, nodes[node].first, at, tight);
	default:
		return false;
	}
}
