/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Nondeterministic automata: of all patterns of a list together, made from their trees, for one
 * direction of the walk. subset.c makes a deterministic one of it.
 */
#ifndef XDP_ICP_AUTOMATON_NFA_H
#define XDP_ICP_AUTOMATON_NFA_H

#include "automaton/tree.h"

enum nfa_kind {
	NFA_SET,   /* takes a byte of a set, then `next` */
	NFA_SPLIT, /* goes on at `next` and at `other` */
	NFA_BEGIN, /* goes on at `next` where the walk begins */
	NFA_END,   /* where it ends */
	NFA_EDGE,
	NFA_NO_EDGE,
	NFA_MATCH, /* the pattern has been found */
};

struct nfa_node {
	enum nfa_kind kind;
	uint32_t next, other;
	uint32_t set; /* index in sets */
	uint32_t
		level; /* of the pattern that it belongs to; for a split the least of what follows */
};

/* Members of `class` for bytes that do not occur, and for the end of the URL. */
#define NFA_CLASS_END 0

struct nfa {
	struct nfa_node *nodes;
	size_t count;
	struct bytes *sets;
	size_t set_count;
	uint32_t start;	     /* node */
	bool has_assertions; /* others than MATCH */
	uint32_t budget;     /* calls of emit() that are left */
	uint8_t class[256];  /* of each byte: NFA_CLASS_END, or from 1 on */
	uint32_t classes;
	bool word[256]; /* by class: do its bytes belong to words? */
};

#define NFA_NONE UINT32_MAX

/*
 * Make the automaton of `count` trees, each a level of the list (see compile.c). If `backward`, for a
 * walk from the last byte of the URL to the first. Returns -1 with an error. To be freed in either
 * case.
 */
int nfa_make(struct nfa *nfa, const struct tree *tree, const uint32_t *roots, size_t count,
	     bool backward, struct error *error);

void nfa_free(struct nfa *nfa);

#endif
