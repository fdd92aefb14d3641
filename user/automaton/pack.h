/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Packs automata into the groups that are walked; include/automaton.h describes them. */
#ifndef XDP_ICP_AUTOMATON_PACK_H
#define XDP_ICP_AUTOMATON_PACK_H

#include "automaton/compile.h"
#include "filter.h"

struct automaton_member {
	const struct automaton *automaton;
	uint32_t rank;
	/*
	 * The answers in the group, in place of automaton->answers: as many. The first, of the sink
	 * AUTOMATON_NO_ANSWER, is not used. NULL: they are the same.
	 */
	const uint16_t *answers;
	/* Set by automaton_pack(): the index of its group, or -1 if there is no room. */
	int group;
	uint32_t slot; /* there */
};

/*
 * Distribute the members, which are in ascending order of their ranks, to at most `max` groups, and
 * fill these. A member goes to the first group of its direction that has room. The groups are in
 * ascending order of their least ranks. Returns how many are used.
 */
size_t automaton_pack(struct automaton_group *groups, size_t max, struct automaton_member *members,
		      size_t count);

/* Make the filter of the members that have been packed. */
void automaton_filter(struct filter *filter, const struct automaton_member *members, size_t count);

/*
 * Make a group of a single automaton, with its own answers and rank 0. The group ends with the last
 * cell that is used, so it must not be copied. To be freed with free(). NULL: out of memory.
 */
struct automaton_group *automaton_single(const struct automaton *automaton);

/* The bytes of such a group. */
size_t automaton_size(const struct automaton *automaton);

/*
 * Walk a group over a URL of any length, which need not be padded or followed by a NUL. Returns the
 * answer, or AUTOMATON_NO_ANSWER.
 */
uint32_t automaton_find(const struct automaton_group *group, const char *url, size_t length);

#endif
