/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The walk of finite automata over a URL, by which policies on patterns (regex, glob, substring) are
 * evaluated. An automaton stands for a whole list of patterns: in one pass, one step per byte, it
 * finds the answer of the first listed pattern that matches, whatever the patterns are.
 *
 * Each step is a load that depends on the one before it, and that latency is most of the cost. So
 * four automata are walked side by side, which takes little longer than one. They share an element
 * of the map, a group:
 *
 *	classes   for each byte, four times 8 bits: the byte's class in each automaton. Bytes between
 *		  which an automaton never distinguishes have the same class.
 *	cells     the rows of the states. A row has a cell for each class of its automaton, which holds
 *		  the next state.
 *
 * A state is the index of its row's first cell, so that a step is  state = cells[state + class].
 *
 * Some states are sinks: every byte leads back to them, because nothing that follows can change the
 * answer. All sinks of the group come first in the cells, AUTOMATON_SINK apart: one for each
 * answer, then one for "no answer", `none`. A state up to `none` is therefore a sink, and its
 * number gives its answer. NUL ends a URL: it leads from every state to a sink. It is followed by
 * more NULs up to the end of a word, which change nothing, so that URLs are read by words, without
 * looking at their length. URLs have no NUL and no white space; the result for those is undefined.
 *
 * The slots of a group are in the order of the policies' ranks, and so are the sinks: those of slot 0
 * come first. The answer of the group is that of the least final state, and the walk ends as soon
 * as it is certain: each slot is in a sink, or comes after one that has an answer.
 *
 * A group is read forward, or backward: from the last byte of the URL to the first. That is for
 * patterns that are anchored at the end, whose automata then reach a sink after a few bytes.
 *
 * user/automaton/ compiles patterns to automata and packs those into groups.
 */
#ifndef XDP_ICP_AUTOMATON_H
#define XDP_ICP_AUTOMATON_H

#include "base.h"

#define AUTOMATON_SLOTS 4u /* automata of a group */
#define AUTOMATON_ALL_SLOTS 0xfu
#define AUTOMATON_CELLS 65536u /* of a group, all its automata together */
#define AUTOMATON_SINK 256u    /* cells of a sink's row: as many as there can be classes */
#define AUTOMATON_ANSWERS 64u  /* sinks of a group with an answer, at most */
#define AUTOMATON_GROUPS 4u    /* that are walked for a query at most */

/* As RANK_NONE: of a slot without an automaton, and of what has not matched. */
#define AUTOMATON_NO_RANK 0xffffffffu

/* An answer is a number from 1 on; its meaning is the caller's. */
#define AUTOMATON_NO_ANSWER 0u

struct automaton_group {
	__u32 rank[AUTOMATON_SLOTS];	  /* ascending; AUTOMATON_NO_RANK: the slot is not used */
	__u32 start[AUTOMATON_SLOTS];	  /* states; `none` if the slot is not used */
	__u32 none;			  /* state: the sink without an answer */
	__u32 backward;			  /* 1: read from the last byte to the first; else 0 */
	__u16 answers[AUTOMATON_ANSWERS]; /* of the sinks before `none` */
	__u32 classes[256];		  /* slot 0 in the lowest 8 bits */
	/*
	 * With room for a step from each u16, so that no index has to be masked for the verifier.
	 * The last member, as memory behind the cells that are used may be missing.
	 */
	__u16 cells[AUTOMATON_CELLS + AUTOMATON_SINK];
};

/*
 * The states of a walk. In the kernel they are in memory that is not on the stack, as the cursor of
 * prefix.h and for the same reason: the verifier knows nothing of what is read back from there.
 */
struct automaton_walk {
	__u16 state[AUTOMATON_SLOTS];
};

/*
 * Begin a walk of those `slots` (as bits) that have a rank below `best`: the others can no longer
 * win. If rank[0] is not below it, the group need not be walked at all.
 */
ICP_INLINE void automaton_begin(struct automaton_walk *walk, const struct automaton_group *group,
				__u32 slots, __u32 best)
{
	for (__u32 slot = 0; slot < AUTOMATON_SLOTS; slot++) {
		__u64 below = (__u64)group->rank[slot] - best; /* its highest bit */

		ICP_BOUNDED(below);
		below = 0 - (below >> 63 & slots >> slot);
		walk->state[slot] = (group->start[slot] & below) | (group->none & ~below);
	}
}

ICP_INLINE __u32 automaton_next(const struct automaton_group *group, __u32 state, __u32 class)
{
	return group->cells[state + (class & 0xff)];
}

/*
 * Walk over 8 bytes, of which the lowest of `word` comes first. Returns true at the end: the answer
 * is certain, at the latest after the first NUL. There is a single branch, for the verifier's sake.
 */
ICP_INLINE bool automaton_step(struct automaton_walk *walk, const struct automaton_group *group,
			       __u64 word)
{
	__u32 a = ICP_READ_BACK(walk->state[0]);
	__u32 b = ICP_READ_BACK(walk->state[1]);
	__u32 c = ICP_READ_BACK(walk->state[2]);
	__u32 d = ICP_READ_BACK(walk->state[3]);
	__u64 none = group->none;
	__u64 sure; /* its highest bit counts, and is that of x - y if x is less than y */

#pragma GCC unroll 8
	for (__u32 i = 0; i < ICP_WORD; i++) {
		__u32 class = group->classes[word & 0xff];

		a = automaton_next(group, a, class);
		b = automaton_next(group, b, class >> 8);
		c = automaton_next(group, c, class >> 16);
		d = automaton_next(group, d, class >> 24);
		word >>= 8;
		ICP_BOUNDED(word);
	}
	walk->state[0] = a;
	walk->state[1] = b;
	walk->state[2] = c;
	walk->state[3] = d;
	sure = (c - none) | ((c - none - 1) & (d - none - 1));
	sure = (b - none) | ((b - none - 1) & sure);
	sure = (a - none) | ((a - none - 1) & sure);
	return sure >> 63;
}

/* The answer of a walk that has ended, or AUTOMATON_NO_ANSWER. */
ICP_INLINE __u32 automaton_answer(const struct automaton_walk *walk,
				  const struct automaton_group *group)
{
	__u64 least = group->none;

	for (__u32 slot = 0; slot < AUTOMATON_SLOTS; slot++) {
		__u64 state = ICP_READ_BACK(walk->state[slot]);
		__u64 less = state - least;

		ICP_BOUNDED(less);
		least += less & (0 - (less >> 63));
	}
	if (least >= group->none)
		return AUTOMATON_NO_ANSWER;
	return group->answers[least / AUTOMATON_SINK % AUTOMATON_ANSWERS];
}

/*
 * Read the 8 bytes that step `i` (from 0) of a walk takes, of a text of `length` bytes that is
 * followed by a NUL and zero-padded to the word. `backward` is 0 or 1; `words` is an upper bound of
 * length / ICP_WORD + 1, a constant in the kernel. Returns false past the word with the NUL.
 *
 * Backward, a word is combined from two words of the text: the first `part` bytes of the one at the
 * position, and the last bytes of the one before it. Forward, it is the whole word at the position.
 */
ICP_INLINE bool automaton_word(__u64 *word, const text_word *text, __u32 length, __u32 backward,
			       __u32 i, __u32 words)
{
	__u32 part = ICP_WORD - backward * (ICP_WORD - length % ICP_WORD);
	__u32 behind = i + backward * (length / ICP_WORD - 2 * i);
	__u64 exists = 0 - (__u64)behind; /* its highest bit: is there a word before it? */
	__u32 before;
	__u64 read;

	ICP_BOUNDED(exists);
	exists >>= 63;
	before = behind - exists;
	if (behind >= words || before >= words)
		return false;
	ICP_BOUNDED(behind);
	ICP_BOUNDED(before);
	read = word_little(text[before]) & (0 - exists);
	read = read >> 4 * part >> 4 * part; /* by halves: 64 is no shift */
	part = ICP_WORD - part;
	read |= word_little(text[behind]) << 4 * part << 4 * part;
	*word = read ^ ((read ^ __builtin_bswap64(read)) & (0 - (__u64)backward));
	return true;
}

/*
 * Walk a group over a text as described at automaton_word(), in those of `slots` (a bit mask) that
 * have a rank below `best`, and return its answer.
 */
ICP_INLINE __u32 automaton_walk_group(struct automaton_walk *walk,
				      const struct automaton_group *group, const text_word *text,
				      __u32 length, __u32 words, __u32 slots, __u32 best)
{
	__u32 backward = group->backward & 1;
	__u64 word;

	automaton_begin(walk, group, slots, best);
	for (__u32 i = 0; i < words; i++) {
		if (!automaton_word(&word, text, length, backward, i, words))
			break;
		if (automaton_step(walk, group, word))
			break;
	}
	return automaton_answer(walk, group);
}

#endif
