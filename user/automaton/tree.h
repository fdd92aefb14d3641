/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Patterns as trees, whatever syntax they were written in: what regex.c, glob.c and compile.c make,
 * and nfa.c reads. Nodes are known by their number; all belong to the tree and are freed with it.
 */
#ifndef XDP_ICP_AUTOMATON_TREE_H
#define XDP_ICP_AUTOMATON_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/error.h"

/* A set of bytes. */
struct bytes {
	uint64_t bit[4];
};

static inline bool bytes_has(const struct bytes *set, uint8_t byte)
{
	return set->bit[byte / 64] >> byte % 64 & 1;
}

static inline void bytes_add(struct bytes *set, uint8_t byte)
{
	set->bit[byte / 64] |= UINT64_C(1) << byte % 64;
}

/* Add the bytes from `first` to `last`. */
void bytes_add_range(struct bytes *set, uint8_t first, uint8_t last);

void bytes_unite(struct bytes *set, const struct bytes *other);
void bytes_intersect(struct bytes *set, const struct bytes *other);
void bytes_invert(struct bytes *set);

/* What URLs consist of: all bytes but NUL and white space. */
struct bytes bytes_of_urls(void);

/* Letters, digits and the underscore. */
struct bytes bytes_of_words(void);

enum tree_kind {
	TREE_EMPTY,    /* matches nothing but the empty text */
	TREE_SET,      /* one byte of a set */
	TREE_SEQUENCE, /* the children one after the other */
	TREE_CHOICE,   /* one of the children */
	TREE_REPEAT,   /* the only child, `min` to `max` times */
	TREE_BEGIN,    /* true at the beginning of the URL; takes no bytes, nor do the others */
	TREE_END,      /* at its end */
	TREE_EDGE,     /* between a byte of a word and another, or the beginning, or the end */
	TREE_NO_EDGE,  /* elsewhere */
};

#define TREE_NO_MAX UINT32_MAX

/* Node 0 does not exist: it stands for none, and for an error. */
struct tree_node {
	enum tree_kind kind;
	uint32_t first, last;	 /* child */
	uint32_t next, previous; /* with the same parent */
	uint32_t min, max;
	struct bytes set;
};

struct tree {
	struct tree_node *nodes;
	size_t count;
};

void pattern_tree_free(struct tree *tree);

/* Add a node without children. 0: too many, or out of memory, with an error. */
uint32_t tree_add(struct tree *tree, enum tree_kind kind, struct error *error);
uint32_t tree_add_set(struct tree *tree, const struct bytes *set, struct error *error);

/* Append a child that has no parent. */
void tree_append(struct tree *tree, uint32_t parent, uint32_t child);

/*
 * Is a match of the node possible only at the beginning, or the end, of the URL? If so, `*tight` tells
 * whether what stands there is more than a repetition of any bytes, so that walking from there soon
 * tells a match from none.
 */
bool tree_anchored(const struct tree *tree, uint32_t node, enum tree_kind at, bool *tight);

#endif
