/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The part of compile.c about policies on patterns: their automata, in groups. */
#ifndef XDP_ICP_COMPILE_PATTERNS_H
#define XDP_ICP_COMPILE_PATTERNS_H

#include "automaton/pack.h"
#include "chain/compile.h"

/* The automata while they are collected, by rank. Zero-initialised is empty. */
struct compile_patterns {
	struct automaton_member member[AUTOMATON_GROUPS * AUTOMATON_SLOTS];
	uint16_t numbers[AUTOMATON_GROUPS * AUTOMATON_SLOTS][AUTOMATON_ANSWERS + 1];
	size_t count;
};

/*
 * Add a policy that has an automaton. Returns -1, and the reason in `compiled`: there are too many of
 * them, or too many answers.
 */
int compile_patterns_add(struct compile_patterns *patterns, struct compiled *compiled,
			 const struct policy *policy, __u32 rank);

/*
 * Fill compiled->groups. The first policy that finds no room there is the horizon. Returns -1: out
 * of memory.
 */
int compile_patterns_finish(struct compile_patterns *patterns, struct compiled *compiled);

#endif
