/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Deterministic automata: made by the subset construction, then minimised. The first states are the
 * sinks, one for each answer: state i is the sink of answer i of the list.
 */
#ifndef XDP_ICP_AUTOMATON_DFA_H
#define XDP_ICP_AUTOMATON_DFA_H

#include "automaton/nfa.h"

struct dfa {
	uint32_t states, sinks, start;
	uint32_t classes;   /* NFA_CLASS_END and those of bytes */
	uint8_t class[256]; /* of each byte */
	uint32_t *next;	    /* `classes` for each state */
};

/* What has been found at each level; see compile.c. */
struct dfa_levels {
	uint32_t count;
	const uint32_t *answers; /* sinks, of each level and then of no match at all */
	uint32_t sinks;		 /* number of answers */
};

/*
 * Make a deterministic automaton. Returns -1 with an error: it is too large. To be freed in either
 * case.
 */
int dfa_make(struct dfa *dfa, const struct nfa *nfa, const struct dfa_levels *levels,
	     struct error *error);

/* Make it as small as possible, in states and in classes. Returns -1: out of memory. */
int dfa_minimise(struct dfa *dfa);

void dfa_free(struct dfa *dfa);

#endif
